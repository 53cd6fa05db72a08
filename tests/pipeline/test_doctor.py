"""`dance doctor` on incomplete deployments: it reports what is missing and what to do."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from dance.v1 import normalize_pb2
from grpc_health.v1 import health_pb2_grpc

from client.__main__ import run
from client.connection.server_access import ServerAccess
from client.doctor.checks import PROCESSES, Patient, examine
from client.doctor.environment import Finding
from client.local_stack.port_file import health_addresses, noted
from client.local_stack.processes import Ready
from motion.labelmap import LABEL_MAP_VERSION
from serving.rpc import converters
from serving.rpc.health import Health
from tests.pipeline.chain import Stack, publish_actor, stack_of
from tests.pipeline.fake_stages import person


@contextmanager
def unused_address() -> Iterator[str]:
    """An address where nothing listens during the test."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@asynccontextmanager
async def healths(**serving: bool) -> AsyncIterator[dict[str, str]]:
    """Health ports of processes, SERVING or not."""
    async with AsyncExitStack() as stack:
        addresses = {}
        for name, is_serving in serving.items():
            health, server = Health(()), grpc.aio.server()
            health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
            addresses[name] = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
            await health.set(is_serving)
            await server.start()
            stack.push_async_callback(server.stop, 0)
        yield addresses


def place(stack: Stack) -> None:
    """Makes normalize place every figure inside the actor's picture, like the real one, so that it has a face there."""

    def placed(answer: normalize_pb2.NormalizedPose) -> None:
        answer.pose.CopyFrom(converters.pose_to_proto(person()))

    stack.normalize.change = placed


async def found(server: str, **more: Any) -> dict[str, Finding]:
    """Return all findings by check."""
    return {finding.check: finding async for finding in examine(Patient(server=ServerAccess(server), **more))}


def wrong(findings: dict[str, Finding]) -> dict[str, str]:
    """Return the failures, with their advice."""
    return {check: f"{finding.text} -> {finding.advice}" for check, finding in findings.items() if not finding.ok}


async def test_a_sound_deployment_has_nothing_wrong(stack: Stack):
    """Every process is healthy, every actor can be loaded, a pose and a picture are answered, with stage times."""
    place(stack)
    async with healths(**dict.fromkeys(PROCESSES, True)) as addresses:
        findings = await found(stack.address, health=addresses)
    assert not wrong(findings)
    assert list(findings) == [
        "orchestrator", *(f"{name} health" for name in PROCESSES), "actor anna version 1", "actor ben version 1",
        "session with anna", "frame with a pose", "frame with a picture",
    ]  # fmt: skip
    assert all(stage in findings["frame with a pose"].text for stage in ("normalize", "generator", "face", "encode"))
    assert "pose" in findings["frame with a picture"].text
    assert stack.pose.pictures.keys() == {1}


@pytest.mark.parametrize(
    ("stage", "check", "setting"),
    [
        ("pose", "frame with a picture", "ORCHESTRATOR_POSE_ADDRESS"),
        ("normalize", "session with anna", "ORCHESTRATOR_NORMALIZE_ADDRESS"),
        ("agent", "session with anna", "ORCHESTRATOR_AGENT_ADDRESS"),
        ("triton", "frame with a pose", "ORCHESTRATOR_TRITON_ADDRESS"),
        ("face", "frame with a pose", "ORCHESTRATOR_FACE_ADDRESS"),
    ],
)
async def test_a_stage_that_is_down_is_named(stack: Stack, stage: str, check: str, setting: str):
    """The check that needs the stage fails, and names the stage, the setting and the session's id."""
    place(stack)
    names = ("pose", "normalize", "triton", "face", "agent")
    addresses = {f"{name}_address": getattr(stack.settings, f"{name}_address") for name in names}
    with unused_address() as address:
        async with stack_of(stack.actors_root, **{**addresses, f"{stage}_address": address}) as chain:
            told = wrong(await found(chain.address))
    assert list(told) == [check]
    assert setting in told[check]
    assert f"stage {'generator' if stage in ('agent', 'triton') else stage} failed" in told[check]
    assert "session " in told[check]
    assert "server's logs" in told[check]


async def test_a_hanging_stage_is_distinguished_from_one_that_is_down(stack: Stack):
    """A stage that is reachable but does not answer is reported as hanging."""
    place(stack)
    stack.face.gates.hold()
    names = ("pose", "normalize", "triton", "face", "agent")
    addresses = {f"{name}_address": getattr(stack.settings, f"{name}_address") for name in names}
    async with stack_of(stack.actors_root, **addresses, face_seconds=0.1) as chain:
        told = wrong(await found(chain.address))
    stack.face.gates.release()
    assert list(told) == ["frame with a pose"]
    assert "face can be reached but does not answer" in told["frame with a pose"]


@pytest.mark.parametrize("name", PROCESSES)
async def test_an_unhealthy_process_is_named(stack: Stack, name: str):
    """NOT_SERVING is reported with its meaning for this process; the other checks continue."""
    async with healths(**{other: other != name for other in PROCESSES}) as addresses:
        findings = await found(stack.address, health=addresses)
    told = wrong(findings)
    assert list(told) == [f"{name} health"]
    assert told[f"{name} health"].startswith("NOT_SERVING at 127.0.0.1:")
    assert findings["frame with a picture"].ok


async def test_a_health_port_without_a_listener(stack: Stack):
    """A process that cannot be reached is reported as such."""
    with unused_address() as address:
        told = wrong(await found(stack.address, health={"face": address}))
    assert list(told) == ["face health"]
    assert "is face running" in told["face health"]


async def test_without_a_server_the_stages_are_still_looked_at():
    """An orchestrator that is away is one finding; checks that do not need it still run."""
    with unused_address() as address:
        async with healths(pose=True, face=False) as addresses:
            findings = await found(address, health=addresses)
    assert list(wrong(findings)) == ["orchestrator", "face health"]
    assert "start a server here with `dance up`" in findings["orchestrator"].advice
    assert findings["pose health"].ok


async def test_another_service_is_distinguished_from_an_orchestrator():
    """A foreign gRPC server, such as a health port, is reported as such."""
    async with healths(pose=True) as addresses:
        told = wrong(await found(addresses["pose"]))
    assert list(told) == ["actors"]
    assert "another gRPC service listens there" in told["actors"]


async def test_a_server_without_grpc_is_reported():
    """Another kind of server, or one that expects TLS, is not reported as silent."""
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        told = wrong(await found(f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    assert list(told) == ["actors"]
    assert "is --tls-ca missing or wrong?" in told["actors"]


async def test_actors_that_cannot_be_loaded_are_named(tmp_path: Path):
    """An actor of another label-map version is reported with the reason; a usable actor still dances."""
    publish_actor(tmp_path, "anna")
    publish_actor(tmp_path, "olga", label_map_version=LABEL_MAP_VERSION + 1)
    async with stack_of(tmp_path) as stack:
        findings = await found(stack.address)
    assert list(wrong(findings)) == ["actor olga version 1"]
    assert findings["frame with a picture"].ok


async def test_no_actor_is_a_finding(tmp_path: Path):
    """A server without actors is a failure."""
    async with stack_of(tmp_path) as stack:
        assert list(wrong(await found(stack.address))) == ["actors"]
        publish_actor(tmp_path, "anna")
        told = wrong(await found(stack.address, actor="bob"))
    assert told == {"actor bob": "the server does not have it -> it has anna"}


async def test_a_full_server_is_not_reported_as_broken(stack: Stack):
    """If all sessions are taken, the finding says so and gives advice."""
    full = replace(stack.settings, max_sessions=1)
    names = ("pose", "normalize", "triton", "face", "agent")
    addresses = {f"{name}_address": getattr(full, f"{name}_address") for name in names}
    async with stack_of(stack.actors_root, max_sessions=1, **addresses) as chain:
        call = chain.stub.Transfer()
        await call.initial_metadata()
        told = wrong(await found(chain.address))
        call.cancel()
    assert "ORCHESTRATOR_MAX_SESSIONS" in told["session with anna"]


def test_the_command_ends_with_1_where_anything_is_wrong(capfd: pytest.CaptureFixture[str]):
    """Findings go to stdout, one line each, followed by advice; the last line counts the failures."""
    with unused_address() as address:
        code = run(["doctor", "--server", address, "--stages", ""])
    out, err = capfd.readouterr()
    assert code == 1
    assert out.startswith(f"wrong orchestrator: nothing can be reached at {address}: connection refused\n")
    assert "      -> start a server here with `dance up`" in out
    assert "not checked" not in err
    assert "1 of 1 checks failed: orchestrator" in err


async def test_the_command_ends_with_0_where_nothing_is(stack: Stack):
    """A healthy deployment is reported check by check."""
    command = (sys.executable, "-m", "client", "doctor", "--server", stack.address, "--stages", "")
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = await process.communicate()
    assert process.returncode == 0, err
    assert "ok    frame with a pose: picture after" in out.decode()
    assert "not checked: the health of orchestrator, pose, normalize, face, generator" in err.decode()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--server", "nowhere"), "--server: nowhere has no port; expected HOST:PORT"),
        (("--stages", "hair=a:1"), "--stages: expected NAME=HOST:PORT, where NAME is one of"),
        (("--stages", "pose=a:b"), "--stages: 'a:b' has 'b' as its port"),
    ],
)
def test_nonsense_is_refused_by_name(arguments: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]):
    """An invalid option gives one line and exit code 2."""
    assert run(["doctor", *arguments]) == 2
    assert message in capfd.readouterr().err


def test_the_stages_of_dance_up_are_found_while_it_runs(tmp_path: Path):
    """`dance up` records its health ports by address, and removes the record when it ends."""
    ready = {"pose": Ready("pose", {"port": 1, "health_port": 2}), "face": Ready("face", {"port": 3, "health_port": 4})}
    with noted("127.0.0.1:50050", ready, tmp_path):
        assert health_addresses("127.0.0.1:50050", tmp_path) == {"pose": "127.0.0.1:2", "face": "127.0.0.1:4"}
        assert health_addresses("127.0.0.1:50051", tmp_path) == {}
    assert health_addresses("127.0.0.1:50050", tmp_path) == {}
    (tmp_path / "up-50050.json").write_text("[1]")
    assert health_addresses("127.0.0.1:50050", tmp_path) == {}
