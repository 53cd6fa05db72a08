"""SIGTERM and SIGKILL of real processes: what remains of them, and what their clients receive."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio
from dance.v1 import frame_pb2, transfer_pb2, transfer_pb2_grpc

from services.generator.triton.leftovers import SHARED_MEMORY
from serving.actors.store import ActorStore
from serving.rpc.channels import open_channel
from tests.faults.dancer import dance, moving_poses
from tests.faults.deployment import HOST, MODULES, Deployment
from tests.shared_memory import prefixes_of
from tests.tiny_actors import publish_tiny

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

FRAMES = 40
DRAIN_SECONDS = 5.0
"""The module of each process in a deployment."""
MARGIN_SECONDS = 10.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """One deployment for all tests here; each test leaves it intact."""
    folder = tmp_path_factory.mktemp("deployment")
    (folder / "tiny").mkdir()
    publish_tiny(ActorStore(folder / "actors"), folder / "tiny", "tiny", bias=3)
    async with Deployment(folder, folder / "actors") as running:
        yield running


def listens(port: int) -> bool:
    """Whether a process listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


async def ended(deployment: Deployment, name: str) -> float:
    """Return the seconds until the process has ended, with exit code 0 and nothing left behind."""
    family = deployment.victims(name)
    memory = prefixes_of(family[0].pid)
    assert bool(memory) == (name == "generator")
    family += [child for process in family for child in process.children(recursive=True)]
    began = time.perf_counter()
    assert await deployment.exit_code(name) == 0
    seconds = time.perf_counter() - began
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=60)
    assert not alive
    assert not listens(deployment.ports[name])
    assert not [path for prefix in memory for path in SHARED_MEMORY.glob(f"{prefix}*")]
    return seconds


@pytest.mark.parametrize("name", MODULES)
async def test_idle_process_ends_at_once(deployment: Deployment, name: str) -> None:
    """Without sessions to drain: exit code 0, no child, no port, no shared memory."""
    deployment.terminate(name)
    assert await ended(deployment, name) < DRAIN_SECONDS + MARGIN_SECONDS
    await deployment.start(name)
    _, _, sessions = await dance(deployment.address, moving_poses(5))
    assert sessions == 1


@pytest.mark.parametrize("name", MODULES)
async def test_process_that_ends_in_mid_session_costs_no_frame(deployment: Deployment, name: str) -> None:
    """It exits with 0 in time; the session resumes at the process that takes its place."""
    replacing: list[asyncio.Task[float]] = []

    async def replace() -> float:
        seconds = await ended(deployment, name)
        await deployment.start(name)
        return seconds

    async def answered(sequence: int) -> None:
        if sequence == 10:
            deployment.terminate(name)
            replacing.append(asyncio.create_task(replace()))

    answers, _, sessions = await dance(deployment.address, moving_poses(FRAMES), answered)
    (seconds,) = await asyncio.gather(*replacing)
    assert [answer.sequence for answer in answers] == list(range(FRAMES))
    assert all(answer.WhichOneof("result") == "picture" for answer in answers)
    assert seconds < DRAIN_SECONDS + MARGIN_SECONDS
    # Only the orchestrator's client has to do anything.
    assert name == "orchestrator" or sessions == 1


async def test_client_that_never_reads_does_not_keep_an_orchestrator(deployment: Deployment) -> None:
    """The drain times out, the process still ends, and its memory was bounded."""
    before_bytes = deployment.rss_bytes("orchestrator")
    async with open_channel(deployment.address) as channel:
        call = transfer_pb2_grpc.TransferServiceStub(channel).Transfer()
        raw = transfer_pb2.OutputFormat(encoding=frame_pb2.PICTURE_ENCODING_RAW)
        returns = transfer_pb2.ReturnOptions(label_map=True, normalized_pose=True)
        config = transfer_pb2.TransferConfig(actor="tiny", frame_rate_hz=25.0, output=raw, return_options=returns)
        await call.write(transfer_pb2.TransferRequest(config=config))
        sent = 0
        try:
            async with asyncio.timeout(3):
                for frame in moving_poses(20_000):
                    await call.write(transfer_pb2.TransferRequest(frame=frame))
                    sent += 1
        except TimeoutError:
            pass
        assert sent < 20_000, "the sender was never made to wait"
        assert deployment.rss_bytes("orchestrator") - before_bytes < 64 * 2**20
        deployment.terminate("orchestrator")
        assert await ended(deployment, "orchestrator") < DRAIN_SECONDS + MARGIN_SECONDS
        call.cancel()
    await deployment.start("orchestrator")


async def test_second_signal_ends_a_process_at_once(deployment: Deployment) -> None:
    """An open session would be drained for seconds; a second signal ends the process at once."""
    async with open_channel(deployment.address) as channel:
        call = transfer_pb2_grpc.TransferServiceStub(channel).Transfer()
        config = transfer_pb2.TransferConfig(actor="tiny", frame_rate_hz=25.0)
        await call.write(transfer_pb2.TransferRequest(config=config))
        await call.read()
        for frame in moving_poses(10):
            await call.write(transfer_pb2.TransferRequest(frame=frame))
        stage = deployment.victims("normalize")[0]
        deployment.terminate("normalize")  # its stream belongs to the session, and stays open
        await asyncio.to_thread(_until_draining, deployment, "normalize")
        again = asyncio.get_running_loop().call_later(1.2, stage.terminate)
        try:
            assert await deployment.exit_code("normalize") == 1
        finally:
            again.cancel()
        call.cancel()
    await deployment.start("normalize")


def _until_draining(deployment: Deployment, name: str) -> None:
    end = time.monotonic() + 20
    while "draining" not in deployment.log(name):
        assert time.monotonic() < end, "it never began to drain"
        time.sleep(0.01)
