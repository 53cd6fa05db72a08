"""Which tokens the orchestrator accepts, and the limit per client; on real ports."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from dance.v1 import transfer_pb2, transfer_pb2_grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from orchestrator.servicer import TransferService
from orchestrator.settings import OrchestratorSettings
from serving.rpc.channels import open_channel
from serving.rpc.server import RunningServer, running

PATIENCE_SECONDS = 30
TOKEN = "wVb5-a-token-of-studio-1f7"
OTHER_TOKEN = "kk03-a-token-of-theatre-9ad"
ISSUER, AUDIENCE = "https://issuer.example", "dance"
KEY = ec.generate_private_key(ec.SECP256R1())
FOREIGN_KEY = ec.generate_private_key(ec.SECP256R1())


def listed(**tokens: str) -> str:
    """A tokens file."""
    return "".join(f"{name}:{hashlib.sha256(token.encode()).hexdigest()}\n" for name, token in tokens.items())


def signed(key: Any = KEY, headers: dict[str, str] | None = None, algorithm: str = "ES256", **claims: Any) -> str:
    """A JWT that is valid except for `claims`; a claim of None is left out."""
    good = {"sub": "user-7", "iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600}
    kept = {name: value for name, value in {**good, **claims}.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers={"kid": "one"} if headers is None else headers)


def key_set(key: ec.EllipticCurvePrivateKey = KEY, kid: str = "one") -> str:
    """A JWK set with the public half of `key`."""
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return json.dumps({"keys": [{**public, "kid": kid, "use": "sig", "alg": "ES256"}]})


@pytest.fixture
def guarded(tmp_path: Path) -> dict[str, Any]:
    """Settings of an orchestrator with two listed tokens and one key."""
    (tmp_path / "tokens").write_text(listed(studio=TOKEN, theatre=OTHER_TOKEN))
    (tmp_path / "keys.json").write_text(key_set())
    return {
        "tokens_file": tmp_path / "tokens",
        "jwt_keys_file": tmp_path / "keys.json",
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
        "actors_root": tmp_path / "actors",
        "drain_seconds": 0,
    }


@asynccontextmanager
async def orchestrating(**settings: Any) -> AsyncIterator[tuple[RunningServer, grpc.aio.Channel]]:
    """An orchestrator without stages, and a channel to it."""
    chosen = OrchestratorSettings(**settings)
    async with (
        running(TransferService(chosen), chosen) as server,
        open_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield server, channel


def stub_of(channel: grpc.aio.Channel) -> Any:
    return transfer_pb2_grpc.TransferServiceStub(channel)


def shown(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def actors(channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...] = ()) -> None:
    await stub_of(channel).ListActors(transfer_pb2.ListActorsRequest(), metadata=metadata, timeout=PATIENCE_SECONDS)


async def refusal(channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await actors(channel, metadata)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    return str(caught.value.details())


async def test_listed_and_signed_tokens_open_the_server(guarded: dict[str, Any]):
    """A listed token and a JWT of the key set are both valid, with the scheme in any capitalisation."""
    async with orchestrating(**guarded) as (_, channel):
        await actors(channel, shown(TOKEN))
        await actors(channel, (("authorization", f"bearer {OTHER_TOKEN}"),))
        await actors(channel, shown(signed()))


WRONG = {
    "none": (lambda: (), "a token is required"),
    "unknown": (lambda: shown("wVb5-a-token-of-nobody"), "the token is unknown"),
    "another scheme": (lambda: (("authorization", f"Basic {TOKEN}"),), "must be 'Bearer TOKEN'"),
    "empty": (lambda: (("authorization", "Bearer "),), "must be 'Bearer TOKEN'"),
    "two": (lambda: shown(TOKEN) + shown(OTHER_TOKEN), "has several"),
    "too long": (lambda: shown("x" * 4097), "at most 4096 characters"),
    "expired": (lambda: shown(signed(exp=int(time.time()) - 60)), "the token has expired"),
    "not yet valid": (lambda: shown(signed(nbf=int(time.time()) + 600)), "the token is not valid yet"),
    "foreign audience": (lambda: shown(signed(aud="another")), "the token is for another audience"),
    "foreign issuer": (lambda: shown(signed(iss="https://another")), "the token is from another issuer"),
    "no expiry": (lambda: shown(signed(exp=None)), "needs exp, sub, iss and aud"),
    "no subject": (lambda: shown(signed(sub=None)), "needs exp, sub, iss and aud"),
    "odd subject": (lambda: shown(signed(sub="user\n7")), "printable characters"),
    "foreign key": (lambda: shown(signed(FOREIGN_KEY)), "the token's signature is wrong"),
    "unknown key": (lambda: shown(signed(headers={"kid": "two"})), "signed by an unknown key"),
    "no signature": (lambda: shown(signed("", algorithm="none")), "algorithm does not match its key"),
    "another algorithm": (lambda: shown(signed("s" * 64, algorithm="HS256")), "algorithm does not match its key"),
    "changed": (lambda: shown(_changed(signed())), "the token's signature is wrong"),
}


def _changed(token: str) -> str:
    head, _, signature = token.split(".")
    return ".".join((head, signed(sub="somebody-else").split(".")[1], signature))


@pytest.mark.parametrize("case", WRONG)
async def test_every_other_token_is_refused(guarded: dict[str, Any], caplog: pytest.LogCaptureFixture, case: str):
    """UNAUTHENTICATED names the error; neither it nor the log, at its most verbose, contains any of the token."""
    metadata, said = WRONG[case][0](), WRONG[case][1]
    caplog.set_level(logging.DEBUG)
    async with orchestrating(**guarded) as (_, channel):
        details = await refusal(channel, metadata)
    assert said in details
    for _, value in metadata:
        for secret in value.removeprefix("Bearer ").split("."):
            assert not secret or secret not in details + caplog.text


async def test_streams_are_refused_as_plain_calls_are(guarded: dict[str, Any]):
    """Transfer and FitBody answer UNAUTHENTICATED too, even to a client whose first request is on its way."""
    async with orchestrating(**guarded) as (_, channel):
        for open_stream, request in (
            (stub_of(channel).Transfer, transfer_pb2.TransferRequest()),
            (stub_of(channel).FitBody, transfer_pb2.FitBodyRequest()),
        ):
            call = open_stream(metadata=shown("wrong"))
            await call.write(request)
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_reflection_needs_a_token_and_health_none(guarded: dict[str, Any]):
    """Reflection needs a token; liveness does not."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with (
        orchestrating(**guarded) as (server, channel),
        open_channel(f"127.0.0.1:{server.health_port}") as probing,
    ):
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask().read()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        asking = ask(metadata=shown(TOKEN))
        await asking.write(request)
        assert (await asking.read()).list_services_response.service
        asking.cancel()
        await health_pb2_grpc.HealthStub(probing).Check(health_pb2.HealthCheckRequest())


async def test_changed_files_count_from_the_next_call_on(guarded: dict[str, Any], tmp_path: Path):
    """An added token is valid at once, a removed one is not, and likewise a key."""
    async with orchestrating(**guarded) as (_, channel):
        guarded["tokens_file"].write_text(listed(studio="a-new-token-of-studio"))
        await actors(channel, shown("a-new-token-of-studio"))
        await refusal(channel, shown(TOKEN))
        renewed = tmp_path / "renewed.json"
        renewed.write_text(key_set(FOREIGN_KEY, "two"))
        renewed.replace(guarded["jwt_keys_file"])
        await actors(channel, shown(signed(FOREIGN_KEY, {"kid": "two"})))
        await refusal(channel, shown(signed()))


async def test_a_damaged_file_changes_nothing(guarded: dict[str, Any], caplog: pytest.LogCaptureFixture):
    """A file that becomes invalid is logged once, without its contents; the old tokens stay valid."""
    async with orchestrating(**guarded) as (_, channel):
        guarded["tokens_file"].write_text(f"studio:{TOKEN}\n")
        await actors(channel, shown(TOKEN))
        await actors(channel, shown(OTHER_TOKEN))
    assert caplog.text.count("line 1 of the tokens file is not NAME:SHA256") == 1
    assert TOKEN not in caplog.text


async def test_one_client_cannot_take_all_sessions(guarded: dict[str, Any]):
    """A client that has all its sessions is refused with RetryInfo, others are not. An ended session frees a place."""
    async with orchestrating(**guarded, max_sessions=3, max_sessions_per_client=1) as (_, channel):
        transfer = partial(stub_of(channel).Transfer, metadata=shown(TOKEN))
        calls = [transfer(), transfer()]
        codes = [asyncio.create_task(call.code()) for call in calls]
        async with asyncio.timeout(PATIENCE_SECONDS):
            done, _ = await asyncio.wait(codes, return_when=asyncio.FIRST_COMPLETED)
            assert [task.result() for task in done] == [grpc.StatusCode.RESOURCE_EXHAUSTED]
            refused = calls[codes.index(done.pop())]
            status = await _status(refused)
            assert status.message == "token:studio has all 1 sessions that one client may have"
            assert status.details[0].Is(error_details_pb2.RetryInfo.DESCRIPTOR)
            for metadata in (shown(OTHER_TOKEN), shown(signed())):
                assert await _ended(stub_of(channel).Transfer(metadata=metadata)) is grpc.StatusCode.INVALID_ARGUMENT
            (held,) = [call for call in calls if call is not refused]
            assert await _ended(held) is grpc.StatusCode.INVALID_ARGUMENT
            assert await _ended(transfer()) is grpc.StatusCode.INVALID_ARGUMENT


async def _ended(call: Any) -> grpc.StatusCode:
    """Return its status after it half-closes: INVALID_ARGUMENT for an admitted session without a config."""
    await call.done_writing()
    return await call.code()


async def _status(call: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    return rpc_status.from_call(caught.value)


async def test_anonymous_callers_have_the_common_limit_only(tmp_path: Path):
    """Without tokens clients cannot be distinguished, so the limit per client does not apply."""
    async with orchestrating(actors_root=tmp_path, drain_seconds=0, max_sessions_per_client=1) as (_, channel):
        held = stub_of(channel).Transfer()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await _ended(stub_of(channel).Transfer()) is grpc.StatusCode.INVALID_ARGUMENT
            assert await _ended(held) is grpc.StatusCode.INVALID_ARGUMENT
