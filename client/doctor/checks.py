"""`dance doctor`: looks at a running deployment stage by stage, and says in words what is wrong and what to do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import grpc.aio
from grpc import StatusCode

from client.connection.server_access import ServerAccess
from client.connection.session import DanceClient
from client.connection.types import ActorListing
from client.doctor.environment import Finding, surroundings
from client.doctor.probe_session import ProbeAnswer, ProbeSession, health_of
from client.errors import ServerError, UsageError
from serving.rpc.channels import goes_through_proxy, open_channel
from serving.rpc.server import VERSION
from serving.transport.addresses import checked_address
from serving.transport.proxies import proxy_for

PROCESSES: Final = ("orchestrator", "pose", "normalize", "face", "generator")
_CONNECT_SECONDS: Final = 3.0
_HEALTH_SECONDS: Final = 5.0
_HTTP_PORT: Final = 80
"""Of a proxy that is named without a port."""

_LOOK: Final = {
    "pose": "is the pose service running, and does ORCHESTRATOR_POSE_ADDRESS name its port? Its log says more",
    "normalize": "is normalize running, and does ORCHESTRATOR_NORMALIZE_ADDRESS name its port? Its log says more",
    "face": "is the face service running, and does ORCHESTRATOR_FACE_ADDRESS name its port? Its log says more",
    "agent": "is the generator's agent running, and does ORCHESTRATOR_AGENT_ADDRESS name its port? Its log says more",
    "triton": "does Triton run, and does ORCHESTRATOR_TRITON_ADDRESS name its gRPC port? Triton's log says more",
}
_UNHEALTHY: Final = {
    "orchestrator": "it drains, or cannot reach a stage: its log names the stage; see also the stages here",
    "pose": "estimators hang or do not start: its log says which; short of memory?",
    "normalize": "it is starting or draining",
    "face": "its engine fails or hangs: its log says how; on a GPU, look at the device",
    "generator": "Triton, or one of its actors, does not draw: the agent is healing it; its log says what it tried",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """What is looked at. server: the orchestrator. health: health ports by process, as far as known.

    Health ports speak plaintext, whatever the others do. actor: who shall dance; empty takes the first who can.
    """

    server: ServerAccess
    health: Mapping[str, str] = field(default_factory=dict)
    actor: str = ""
    accept_seconds: float = 120.0
    answer_seconds: float = 30.0


def parse_stages(text: str) -> dict[str, str]:
    """Health ports from "pose=host:port,face=host:port". Raises UsageError, naming what is wrong."""
    health: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, address = part.partition("=")
        if not equals or name not in PROCESSES:
            raise UsageError(f"--stages: expected NAME=HOST:PORT with a name of {', '.join(PROCESSES)}, got {part!r}")
        check_address(address, option="--stages")
        health[name] = address
    return health


def check_address(address: str, *, option: str) -> None:
    """Raises UsageError for anything that is not host:port."""
    try:
        checked_address(address, one_server=True)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


async def examine(patient: Patient) -> AsyncIterator[Finding]:
    """All checks, one after another, each told as soon as it is known. What cannot be checked any more is left out."""
    for finding in surroundings(patient.server.address, os.environ):
        yield finding
    reached = await _connects("orchestrator", patient.server.address)
    yield reached
    for name in (name for name in PROCESSES if name in patient.health):
        yield await _healthy(name, patient.health[name])
    if not reached.ok:
        return
    actors, listed = await _actors(patient)
    for finding in listed:
        yield finding
    chosen = [actor for actor in actors if not actor.unavailable and patient.actor in ("", actor.actor)]
    chosen.sort(key=lambda actor: -actor.served_percent)  # what most sessions get
    if chosen:
        async for finding in _frames(patient, chosen[0]):
            yield finding


async def _connects(name: str, address: str) -> Finding:
    choice = proxy_for(address, os.environ)
    if choice is None or not goes_through_proxy(address):
        host, _, port = address.rpartition(":")
        return await _opens(name, address, host.strip("[]"), int(port))
    proxy = urlsplit(f"http://{choice.proxy}")
    through = await _opens("proxy", choice.proxy, proxy.hostname or "", proxy.port or _HTTP_PORT)
    advice = f"{choice.variable} names this proxy: is it right? no_proxy exempts servers that are reached without"
    return through if through.ok else Finding("proxy", False, through.text, advice)


async def _opens(name: str, address: str, host: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        advice = "a firewall or a NetworkPolicy may drop the packets; or the host is down"
        return Finding(name, False, f"nobody answers at {address} within {_CONNECT_SECONDS:g} s", advice)
    except OSError as error:
        advice = "`dance up` starts a server here; --server names another"
        return Finding(name, False, f"nothing can be reached at {address}: {error.strerror or error}", advice)
    writer.close()
    return Finding(name, True, f"something listens at {address}")


async def _healthy(name: str, address: str) -> Finding:
    check = f"{name} health"
    try:
        status = await health_of(address, within_seconds=_HEALTH_SECONDS)
    except grpc.aio.AioRpcError as error:
        if error.code() is StatusCode.DEADLINE_EXCEEDED:
            advice = f"{name} hangs or has too much to do: its log says more; else start it again"
            return Finding(check, False, f"no answer at {address} within {_HEALTH_SECONDS:g} s", advice)
        advice = f"is {name} running, and is {address} its health port? Its ready line names it"
        return Finding(check, False, f"no health at {address}: {_said(error)}", advice)
    if status != "SERVING":
        return Finding(check, False, f"{status} at {address}", _UNHEALTHY[name])
    return Finding(check, True, f"SERVING at {address}")


async def _actors(patient: Patient) -> tuple[list[ActorListing], list[Finding]]:
    try:
        async with DanceClient(patient.server) as client:
            actors = await client.actors()
    except ServerError as error:
        return [], [Finding("actors", False, f"the server does not list them: {error}", _refusal_advice(error))]
    if not actors:
        advice = "does ORCHESTRATOR_ACTORS_ROOT name the folder? `dance train` makes an actor"
        return [], [Finding("actors", False, "the server has none", advice)]
    findings = []
    for actor in actors:
        who = f"actor {actor.actor} version {actor.version}"
        if actor.unavailable:
            findings.append(Finding(who, False, actor.unavailable, "train it anew, or take its folder away"))
        else:
            findings.append(Finding(who, True, f"can be loaded, {actor.preset}"))
    if patient.actor and patient.actor not in {actor.actor for actor in actors}:
        known = ", ".join(sorted({actor.actor for actor in actors}))
        findings.append(Finding(f"actor {patient.actor}", False, "the server does not have it", f"it has {known}"))
    return actors, findings


async def _frames(patient: Patient, actor: ActorListing) -> AsyncIterator[Finding]:
    async with open_channel(patient.server.address, patient.server.tls, may_use_proxy=True) as channel:
        session = ProbeSession(
            channel, patient.server, accept_seconds=patient.accept_seconds, answer_seconds=patient.answer_seconds
        )
        try:
            try:
                check = f"session with {actor.actor}"
                seconds = await session.open(actor)
                yield Finding(check, True, f"accepted in {seconds:.2f} s, generator in {session.precision}")
                if session.server_version != VERSION:
                    text = f"the server is of version {session.server_version}, this client of {VERSION}"
                    yield Finding("version", False, text, "install the same version on both sides")
                check = "frame with a pose"
                yield _answered(check, await session.pose_frame(), expected=("picture",))
                check = "frame with a picture"
                yield _answered(check, await session.picture_frame(), expected=("picture", "no person"))
            except (grpc.aio.AioRpcError, ServerError) as error:
                yield await _failed(check, error, session)
        finally:
            await session.close()


def _answered(check: str, answer: ProbeAnswer, *, expected: Iterable[str]) -> Finding:
    times = ", ".join(f"{spent.stage} {spent.total_seconds * 1000:.1f}" for spent in answer.stage_times)
    text = f"{answer.result} after {answer.seconds * 1000:.1f} ms" + (f" ({times})" if times else "")
    if answer.result in expected:
        return Finding(check, True, text)
    advice = "normalize drops a figure that it cannot place: is the actor's body sound?"
    return Finding(check, False, f"{text} {answer.detail}".strip(), advice)


async def _failed(check: str, error: grpc.aio.AioRpcError | ServerError, session: ProbeSession) -> Finding:
    told = await session.session()
    text = _said(error) + (f" (session {told} in the server's logs)" if told else "")
    if isinstance(error, ServerError):
        return Finding(check, False, text, "a stage may hang: the orchestrator's log names it")
    return Finding(check, False, text, _stage_advice(error))


def _stage_advice(error: grpc.aio.AioRpcError) -> str:
    words = (error.details() or "").split()
    if words[:1] == ["stage"] and len(words) > 1:
        stage = words[1]
        if stage == "generator":  # before any frame it is the agent that is asked
            stage = "triton" if "at frame" in (error.details() or "") else "agent"
        if error.code() is StatusCode.DEADLINE_EXCEEDED:
            return f"{stage} can be reached and does not answer: it hangs or has too much to do; its log says more"
        if stage in _LOOK:
            return _LOOK[stage]
    return _status_advice(error.code())


def _refusal_advice(error: ServerError) -> str:
    return _status_advice(error.status)


def _status_advice(status: StatusCode | None) -> str:
    advice = {
        StatusCode.UNIMPLEMENTED: "another gRPC service listens there: an orchestrator's `port` is wanted",
        StatusCode.UNAVAILABLE: "no gRPC is spoken there so: is it another port, or is --tls-ca missing or wrong?",
        StatusCode.UNAUTHENTICATED: "the server wants a token: --token-file",
        StatusCode.PERMISSION_DENIED: "this token may not do that",
        StatusCode.RESOURCE_EXHAUSTED: "all sessions are taken: come again later, or raise ORCHESTRATOR_MAX_SESSIONS",
    }
    return "the server's log says more" if status is None else advice.get(status, "the server's log says more")


def _said(error: grpc.aio.AioRpcError | ServerError) -> str:
    if isinstance(error, ServerError):
        return str(error)
    return f"{error.code().name}: {' '.join((error.details() or 'nothing more').split())}"
