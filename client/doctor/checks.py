"""`dance doctor`: check a running deployment stage by stage, and explain what is wrong and what to do."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import grpc.aio
from grpc import StatusCode

from client.connection.server_access import ServerAccess
from client.connection.session import DanceClient
from client.connection.types import ActorListing, Answer, TransferOptions
from client.doctor.environment import Finding, surroundings
from client.doctor.probe_session import health_of, probe
from client.errors import ServerError, UsageError
from serving.rpc.channels import goes_through_proxy
from serving.rpc.server import VERSION
from serving.transport.addresses import checked_address
from serving.transport.proxies import proxy_for

PROCESSES: Final = ("orchestrator", "pose", "normalize", "face", "generator")
_CONNECT_SECONDS: Final = 3.0
_HEALTH_SECONDS: Final = 5.0
_FRAME_RATE_HZ: Final = 25.0
_HTTP_PORT: Final = 80
"""The default port of a proxy."""

_LOOK: Final = {
    "pose": "is the pose service running, and does ORCHESTRATOR_POSE_ADDRESS name its port? See its log",
    "normalize": "is normalize running, and does ORCHESTRATOR_NORMALIZE_ADDRESS name its port? See its log",
    "face": "is the face service running, and does ORCHESTRATOR_FACE_ADDRESS name its port? See its log",
    "agent": "is the generator's agent running, and does ORCHESTRATOR_AGENT_ADDRESS name its port? See its log",
    "triton": "is Triton running, and does ORCHESTRATOR_TRITON_ADDRESS name its gRPC port? See Triton's log",
}
_UNHEALTHY: Final = {
    "orchestrator": "it is draining, or cannot reach a stage: its log names the stage; see also the stages here",
    "pose": "estimators hang or do not start: its log names them; is memory short?",
    "normalize": "it is starting or draining",
    "face": "its engine fails or hangs: see its log; on a GPU, check the device",
    "generator": "Triton, or one of its actors, does not draw: the agent is repairing it; see the agent's log",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """The deployment to check. server: the orchestrator. health: the known health ports, by process.

    Health ports are always plaintext. actor: the actor for the session; empty for the first one available.
    """

    server: ServerAccess
    health: Mapping[str, str] = field(default_factory=dict)
    actor: str = ""
    accept_seconds: float = 120.0
    answer_seconds: float = 30.0


def parse_stages(text: str) -> dict[str, str]:
    """Parse health ports from "pose=host:port,face=host:port". Raises UsageError, naming what is wrong."""
    health: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, address = part.partition("=")
        if not equals or name not in PROCESSES:
            raise UsageError(
                f"--stages: expected NAME=HOST:PORT, where NAME is one of {', '.join(PROCESSES)}, got {part!r}"
            )
        check_address(address, option="--stages")
        health[name] = address
    return health


def check_address(address: str, *, option: str) -> None:
    """Raise UsageError unless `address` is host:port."""
    try:
        checked_address(address, one_server=True)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


async def examine(patient: Patient) -> AsyncIterator[Finding]:
    """Run all checks in order and yield each finding. Checks that depend on a failed one are skipped."""
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
    advice = f"{choice.variable} names this proxy: is that right? To exempt servers from it, use no_proxy"
    return through if through.ok else Finding("proxy", False, through.text, advice)


async def _opens(name: str, address: str, host: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        advice = "a firewall or a NetworkPolicy may drop the packets, or the host is down"
        return Finding(name, False, f"no answer at {address} within {_CONNECT_SECONDS:g} s", advice)
    except OSError as error:
        advice = "start a server here with `dance up`, or name another with --server"
        refused = f"[Errno {errno.ECONNREFUSED}]" in str(error)  # asyncio's own words repeat the address
        reason = "connection refused" if refused else error.strerror or error
        return Finding(name, False, f"nothing can be reached at {address}: {reason}", advice)
    writer.close()
    return Finding(name, True, f"something listens at {address}")


async def _healthy(name: str, address: str) -> Finding:
    check = f"{name} health"
    try:
        status = await health_of(address, within_seconds=_HEALTH_SECONDS)
    except grpc.aio.AioRpcError as error:
        if error.code() is StatusCode.DEADLINE_EXCEEDED:
            advice = f"{name} hangs or is overloaded: see its log, or restart it"
            return Finding(check, False, f"no answer at {address} within {_HEALTH_SECONDS:g} s", advice)
        advice = f"is {name} running, and is {address} its health port? Its ready line shows the port"
        return Finding(check, False, f"no health at {address}: {_said(error)}", advice)
    if status != "SERVING":
        return Finding(check, False, f"{status} at {address}", _UNHEALTHY[name])
    return Finding(check, True, f"SERVING at {address}")


async def _actors(patient: Patient) -> tuple[list[ActorListing], list[Finding]]:
    try:
        async with DanceClient(patient.server) as client:
            actors = await client.actors()
    except ServerError as error:
        return [], [Finding("actors", False, f"the server does not list them: {error}", _status_advice(error.status))]
    if not actors:
        advice = "does ORCHESTRATOR_ACTORS_ROOT name the right folder? `dance train` makes an actor"
        return [], [Finding("actors", False, "the server has none", advice)]
    findings = []
    for actor in actors:
        who = f"actor {actor.actor} version {actor.version}"
        if actor.unavailable:
            findings.append(Finding(who, False, actor.unavailable, "train it again, or remove its folder"))
        else:
            findings.append(Finding(who, True, f"can be loaded, {actor.preset}"))
    if patient.actor and patient.actor not in {actor.actor for actor in actors}:
        known = ", ".join(sorted({actor.actor for actor in actors}))
        findings.append(Finding(f"actor {patient.actor}", False, "the server does not have it", f"it has {known}"))
    return actors, findings


async def _frames(patient: Patient, actor: ActorListing) -> AsyncIterator[Finding]:
    options = TransferOptions(actor=actor.actor, actor_version=actor.version, frame_rate_hz=_FRAME_RATE_HZ)
    async with DanceClient(patient.server) as client:
        session = client.transfer(options, accept_seconds=patient.accept_seconds, answer_seconds=patient.answer_seconds)
        check = f"session with {actor.actor}"
        began_s = time.perf_counter()
        try:
            async with session:
                accepted = session.accepted
                seconds = time.perf_counter() - began_s
                yield Finding(check, True, f"accepted in {seconds:.2f} s, generator in {accepted.generator_precision}")
                if accepted.server_version != VERSION:
                    text = f"the server has version {accepted.server_version}, this client has {VERSION}"
                    yield Finding("version", False, text, "install the same version on both sides")
                expected: tuple[str, ...]
                check, expected = "frame with a pose", ("picture",)
                async for answer, seconds in probe(session):
                    yield _answered(check, answer, seconds, expected=expected)
                    check, expected = "frame with a picture", ("picture", "no person")
        except ServerError as error:
            told = await session.session_id()
            text = _said(error) + (f" (session {told} in the server's logs)" if told else "")
            yield Finding(check, False, text, _stage_advice(error))


def _answered(check: str, answer: Answer, seconds: float, *, expected: Iterable[str]) -> Finding:
    result = "picture" if answer.no_picture is None else answer.no_picture.name.replace("_", " ").lower()
    times = ", ".join(f"{spent.stage} {spent.total_seconds * 1000:.1f}" for spent in answer.stage_times)
    text = f"{result} after {seconds * 1000:.1f} ms" + (f" ({times})" if times else "")
    if result in expected:
        return Finding(check, True, text)
    advice = "normalize drops a figure that it cannot place: are the actor's body stats plausible?"
    return Finding(check, False, f"{text} {answer.detail}".strip(), advice)


def _stage_advice(error: ServerError) -> str:
    if error.status is None:
        return "a stage may hang: the orchestrator's log names it"
    words = str(error).split()
    if words[:1] == ["stage"] and len(words) > 1:
        stage = words[1]
        if stage == "generator":  # before the first frame, this is the agent
            stage = "triton" if "at frame" in str(error) else "agent"
        if error.status is StatusCode.DEADLINE_EXCEEDED:
            return f"{stage} can be reached but does not answer: it hangs or is overloaded; see its log"
        if stage in _LOOK:
            return _LOOK[stage]
    return _status_advice(error.status)


def _status_advice(status: StatusCode | None) -> str:
    advice = {
        StatusCode.UNIMPLEMENTED: "another gRPC service listens there: use the orchestrator's `port`",
        StatusCode.UNAVAILABLE: "no gRPC answer: is it another port, or is --tls-ca missing or wrong?",
        StatusCode.UNAUTHENTICATED: "the server requires a token: use --token-file",
        StatusCode.PERMISSION_DENIED: "this token lacks the permission",
        StatusCode.RESOURCE_EXHAUSTED: "all sessions are in use: try again later, or raise ORCHESTRATOR_MAX_SESSIONS",
    }
    return "see the server's log" if status is None else advice.get(status, "see the server's log")


def _said(error: grpc.aio.AioRpcError | ServerError) -> str:
    if isinstance(error, ServerError):
        return str(error) if error.status is None else f"{error.status.name}: {error}"
    return f"{error.code().name}: {' '.join((error.details() or 'no details').split())}"
