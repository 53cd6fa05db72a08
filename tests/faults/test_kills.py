"""kill -9 during a dance: every frame is answered once, in order, with the picture of an undisturbed dance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from dance.v1 import transfer_pb2

from serving.actors.store import ActorStore
from tests.faults.dancer import Answers, dance, moving_poses, pictures_of
from tests.faults.deployment import Deployment
from tests.pipeline.fake_stages import SIDE_PX, person
from tests.tiny_actors import publish_tiny
from tests.tiny_wardrobes import tiny_wardrobe, with_arms_turned

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

FRAMES = 60
FILMED_FRAMES = 30
PARTS = ("orchestrator", "normalize", "face", "stub", "triton", "pose")
QUICK = (0, 29, FRAMES - 2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """One deployment for all kills of this module, with an actor who has a face network and a wardrobe."""
    folder = tmp_path_factory.mktemp("deployment")
    (folder / "tiny").mkdir()
    wardrobe = tiny_wardrobe([with_arms_turned(person(), angle) for angle in np.linspace(0, 2, 8)], SIDE_PX)
    store = ActorStore(folder / "actors")
    publish_tiny(store, folder / "tiny", "tiny", bias=3, side_px=SIDE_PX, wardrobe=wardrobe)
    async with Deployment(folder, folder / "actors") as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unbroken(deployment: Deployment) -> list[bytes]:
    """The pictures of an undisturbed dance."""
    answers, _, sessions = await dance(deployment.address, moving_poses(FRAMES))
    assert sessions == 1
    assert len(set(pictures(answers))) > FRAMES // 2
    return pictures(answers)


def pictures(answers: Answers) -> list[bytes]:
    """Return the pictures; every frame must have one."""
    assert all(answer.WhichOneof("result") == "picture" for answer in answers)
    return [answer.picture.data for answer in answers]


async def danced_through(
    deployment: Deployment, frames: list[transfer_pb2.TransferFrame], part: str, at: set[int]
) -> tuple[Answers, float]:
    """Return the answers, with `part` killed after the answers to `at`, and the longest wait."""
    healing: list[asyncio.Task[None]] = []

    async def answered(sequence: int) -> None:
        if sequence in at:
            await asyncio.gather(*healing)  # it must be back before it can be killed again
            await deployment.kill(part)
            healing.append(asyncio.create_task(deployment.heal(part)))

    try:
        answers, longest_seconds, _ = await dance(deployment.address, frames, answered)
    finally:
        await asyncio.gather(*healing)
    return answers, longest_seconds


@pytest.mark.parametrize("part", PARTS)
async def test_killed_part_changes_no_picture(deployment: Deployment, unbroken: list[bytes], part: str) -> None:
    """Killed three times in one dance of sent poses, the output is that of the undisturbed dance, byte for byte."""
    answers, longest_seconds = await danced_through(deployment, moving_poses(FRAMES), part, set(QUICK))
    print(f"{part}: longest wait {longest_seconds:.2f} s")
    assert pictures(answers) == unbroken


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.timeout(1800)
async def test_killed_part_changes_no_picture_at_any_frame(
    deployment: Deployment, unbroken: list[bytes], part: str
) -> None:
    """Each of the sixty places for a kill, six per dance: far enough apart for the part to work in between."""
    for begin in range(10):
        places = set(range(begin, FRAMES, 10))
        answers, longest_seconds = await danced_through(deployment, moving_poses(FRAMES), part, places)
        print(f"{part}: longest wait {longest_seconds:.2f} s")
        assert pictures(answers) == unbroken


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filmed(deployment: Deployment, root: Path) -> tuple[list[transfer_pb2.TransferFrame], Answers]:
    """Frames with real pictures of a person, and the answers of an undisturbed dance."""
    frames = pictures_of(root / "samples" / "source_clip.mp4", FILMED_FRAMES)
    answers, _, sessions = await dance(deployment.address, frames)
    assert sessions == 1
    assert len({answer.picture.data for answer in answers}) > FILMED_FRAMES // 2
    return frames, answers


@pytest.mark.parametrize("part", ["pose", "orchestrator"])
async def test_killed_part_changes_no_picture_of_a_film(
    deployment: Deployment, filmed: tuple[list[transfer_pb2.TransferFrame], Answers], part: str
) -> None:
    """With pictures as the source, the tracker's state goes on in the new process: the output is the same, byte for
    byte.
    """
    frames, unbroken = filmed
    answers, longest_seconds = await danced_through(deployment, frames, part, {0, 14, FILMED_FRAMES - 2})
    print(f"{part}, with pictures: longest wait {longest_seconds:.2f} s")
    assert results(answers) == results(unbroken)
    if part == "pose":
        assert any(transfer_pb2.FRAME_REMARK_STAGE_RETRIED in answer.remarks for answer in answers)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_killed_pose_service_changes_no_picture_of_a_film_at_any_frame(
    deployment: Deployment, filmed: tuple[list[transfer_pb2.TransferFrame], Answers]
) -> None:
    """Each of the thirty places for a kill, three per dance."""
    frames, unbroken = filmed
    for begin in range(10):
        answers, longest_seconds = await danced_through(
            deployment, frames, "pose", set(range(begin, FILMED_FRAMES, 10))
        )
        print(f"pose, with pictures: longest wait {longest_seconds:.2f} s")
        assert results(answers) == results(unbroken)


def results(answers: Answers) -> list[tuple[int, bytes, str]]:
    """Return each frame's number, its picture and the reason why there is none."""
    return [(answer.sequence, answer.picture.data, str(answer.no_picture)) for answer in answers]
