"""The pose finder in a real browser finds what the pose service finds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from motion import skeleton
from motion.pose import Pose
from services.pose.mediapipe.estimator import PoseEstimator
from tests.browser.cameras import empty_room, sample_frames
from tests.browser.finder_page import FinderPage, finder_server
from tests.browser.visits import Visits

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

_FRAME_MS = 40.0
_MOST_PX = {"body": 3.0, "face": 2.0, "left hand": 3.0, "right hand": 3.0}
"""Mean distances in pictures of 512 px, of a person whose torso has 103 px."""
_PARTS = {
    "body": skeleton.BODY,
    "face": skeleton.FACE,
    "left hand": skeleton.LEFT_HAND,
    "right hand": skeleton.RIGHT_HAND,
}


@pytest_asyncio.fixture(loop_scope="session")
async def finder_page(visits: Visits) -> AsyncIterator[FinderPage]:
    pictures: dict[str, bytes] = {}
    async with finder_server(pictures) as address:
        yield FinderPage(await visits.open(f"{address}/blank"), pictures)


def _distances_px(one: Pose, other: Pose) -> dict[str, float]:
    """The mean distance of each part's joints that both poses have, at least half of the part's."""
    distances = np.linalg.norm(one.joints_px - other.joints_px, axis=1)
    both = one.seen & other.seen
    means = {}
    for name, part in _PARTS.items():
        assert both[part].mean() > 0.5, f"{name}: too few common joints"
        means[name] = float(distances[part][both[part]].mean())
    return means


async def test_finds_what_the_pose_service_finds(finder_page: FinderPage) -> None:
    """Body, face and hands are within a few pixels of the service's; without a GPU, `auto` computes on the CPU."""
    started = await finder_page.start(processor="auto")
    assert started["processor"] == "cpu"
    so_far, whole = started["progress"][-1]
    assert so_far == whole > 20e6
    measured = []
    with PoseEstimator() as estimator:
        for index, picture in enumerate(sample_frames(20, 6)):
            pose, _ = await finder_page.find(picture, index * _FRAME_MS)
            expected = estimator.estimate(picture, index * _FRAME_MS / 1000).dancer
            assert pose is not None
            assert expected is not None
            measured.append(_distances_px(pose, expected))
    means = {name: float(np.mean([each[name] for each in measured])) for name in _PARTS}
    assert all(means[name] <= most_px for name, most_px in _MOST_PX.items()), means


async def test_the_gateway_lets_the_finder_run(visits: Visits, real_page: str) -> None:
    """Under the gateway's own headers, its files and tables are all that the finder needs."""
    visits.expect_error("favicon")
    page = FinderPage(await visits.open(f"{real_page}/healthz"), {})
    started = await page.start()
    assert started["processor"] == "cpu"


async def test_an_empty_room_has_no_pose_until_somebody_enters(finder_page: FinderPage) -> None:
    """Without a person there are no joints; the first picture of a person has them again, also in a new video."""
    await finder_page.start(processor="cpu")
    room, person = empty_room(), sample_frames(0, 1)[0]
    assert (await finder_page.find(room, 1000.0))[0] is None
    assert (await finder_page.find(person, 1040.0))[0] is not None
    assert (await finder_page.find(room, 1080.0))[0] is None
    assert (await finder_page.find(person, 0.0))[0] is not None  # an earlier time: a new video


async def test_a_software_gpu_finds_the_same_joints(finder_page: FinderPage) -> None:
    """The GPU's way works too, though without a GPU it is slow."""
    started = await finder_page.start(processor="gpu", within={"start_ms": 200_000, "answer_ms": 100_000})
    assert started["processor"] == "gpu"
    picture = sample_frames(20, 1)[0]
    pose, _ = await finder_page.find(picture, 0.0)
    with PoseEstimator() as estimator:
        expected = estimator.estimate(picture, 0.0).dancer
    assert pose is not None
    assert expected is not None
    assert _distances_px(pose, expected)["body"] <= _MOST_PX["body"]
