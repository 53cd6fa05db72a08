"""`--pose here`: the client finds the poses, and the pictures of the source stay on this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.__main__ import run
from client.connection.types import PosedFrame
from client.errors import CommandError
from client.media.frame_feed import FeedOptions, FileFeed
from client.media.live_feed import LiveFeed
from client.media.source import Source
from client.poses.dancer_estimator import DancerEstimator
from client.poses.posed_feed import EstimatorThread, PosedFeed
from client.terminal.display import Display
from client.terminal.signals import Interrupts
from client.transfer.job import TransferJob
from client.transfer.report import TransferReport
from client.transfer.run import transfer
from motion import skeleton
from motion.frame import Picture
from motion.people.dancer_choice import DancerChoice
from motion.pose import Pose
from motion.pose_choice import PoseBackend, PoseDetail
from services.pose.backends import Backends, EstimatorConfig
from services.pose.estimator import Estimate, Spent
from tests.unit.client.breakable import Mishap, breakable
from video.reader import SourceFrame, VideoReader


@dataclass
class Seen:
    """A pose backend whose nose is at (mean brightness, number of earlier pictures); it records what it is shown."""

    pictures: list[Picture] = field(default_factory=list)
    details: list[PoseDetail] = field(default_factory=list)
    threads: set[threading.Thread] = field(default_factory=set)
    open: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    closed: int = 0
    breaks_at: int | None = None
    spent: Spent = field(default_factory=Spent)

    def __post_init__(self) -> None:
        self.open.set()

    def make(self, config: EstimatorConfig, state: bytes) -> Seen:
        self.details.append(config.detail)
        self.threads.add(threading.current_thread())
        return self

    def start(self, detail: PoseDetail) -> DancerEstimator:
        backends = Backends(mediapipe=self.make)  # type: ignore[arg-type]
        return DancerEstimator(backends, PoseBackend.MEDIAPIPE, detail, DancerChoice())

    def estimate(self, picture: Picture, *_: Any) -> Estimate:
        self.begun.set()
        self.open.wait(10)
        self.threads.add(threading.current_thread())
        if len(self.pictures) == self.breaks_at:
            raise RuntimeError("the network fell over")
        joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
        confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
        joints_px[skeleton.NOSE] = (picture.mean(), len(self.pictures))
        confidence[skeleton.NOSE] = 0.5
        self.pictures.append(picture)
        return Estimate([Pose(joints_px, confidence)], 0, 0.001, face_and_hands_carried=len(self.pictures) % 2 == 0)

    def close(self) -> None:
        self.threads.add(threading.current_thread())
        self.closed += 1


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """The backend that the commands use in place of MediaPipe."""
    seen = Seen()
    backends = Backends(mediapipe=seen.make)  # type: ignore[arg-type]
    monkeypatch.setattr("client.commands.transfer.opened_backends", lambda cards: backends)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return seen


def danced(source: Path, out: Path, address: str, *more: str) -> int:
    return run(
        ["transfer", str(source), "--actor", "juggler", "-o", str(out), "--server", address, "--pose", "here", *more]
    )


def test_only_poses_are_sent_in_both_passes(serve, make_video, tmp_path, seen, capsys):
    """The body is measured from poses too. The estimator sees frames of the size and the loss of those sent."""
    fake = serve()
    source = make_video(frames=5, width=320, height=160)
    assert danced(source, tmp_path / "out.mp4", fake.address, "--max-side", "128") == 0
    assert fake.behaviour.fitted_frames == 5
    assert seen.details == [PoseDetail.BODY, PoseDetail.HOLISTIC]
    assert {picture.shape for picture in seen.pictures} == {(64, 128, 3)}
    assert fake.behaviour.seen_sizes == [(128, 64)] * 5
    noses = [pose.joints_px[skeleton.NOSE, 1] for pose in fake.behaviour.seen_poses]
    assert noses == [5, 6, 7, 8, 9]
    assert fake.behaviour.seen_configs[0].pose_backend == 0
    assert seen.closed == 2
    said = capsys.readouterr()
    assert "frames of 320x160 are shrunk to a long side of 128" in said.err
    assert "pose " in said.out


def test_a_comparison_still_shows_the_source(serve, make_video, tmp_path, seen):
    """The source's panel comes from this machine."""
    out = tmp_path / "out.mp4"
    assert danced(make_video(frames=3, width=96, height=64), out, serve().address, "--compare", "--one-pass") == 0
    with VideoReader(str(out)) as reader:
        picture = next(iter(reader.frames())).pixels
    assert picture[20, 20, 0] > 200
    assert picture[20, 20, 2] < 60


def test_live_poses_have_their_detail(serve, make_video, tmp_path, seen):
    """With --live, the estimator gets the detail that a server would get, and frames without the loss of a JPEG."""
    fake = serve()
    assert danced(make_video(frames=6, rate=60), tmp_path / "out.mp4", fake.address, "--live") == 0
    assert seen.details == [PoseDetail.LIVE]
    with VideoReader(str(tmp_path / "clip.mp4")) as reader:
        first = next(iter(reader.frames())).pixels
    assert np.array_equal(seen.pictures[0], first)
    assert len(fake.behaviour.seen_poses) == len(seen.pictures) > 0


def test_an_estimator_that_fails_ends_the_transfer(serve, make_video, tmp_path, seen, capsys):
    """Its error is the command's, and nothing is written."""
    seen.breaks_at = 3
    assert danced(make_video(frames=6), tmp_path / "out.mp4", serve().address, "--one-pass") == 1
    assert "the network fell over" in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()
    assert seen.closed == 1


def test_an_interrupt_ends_the_estimator_too(serve, make_video, tmp_path, seen):
    """Ctrl-C leaves nothing behind, neither a file nor an estimator."""
    assert danced(make_video(frames=8), tmp_path / "out.mp4", serve(interrupt_at=3).address, "--one-pass") == 130
    assert not (tmp_path / "out.mp4").exists()
    assert seen.closed == 1


@pytest.mark.parametrize("command", ["transfer", "fit"])
def test_keypoints_have_poses_already(serve, tmp_path, seen, command, capsys):
    """--pose here with a folder of keypoints is refused."""
    folder = tmp_path / "poses"
    folder.mkdir()
    (folder / "clip_000000000000_keypoints.json").write_text('{"version": 1.3, "people": []}')
    actor = ["--actor", "juggler"] if command == "transfer" else []
    facts = ["--frame-size", "64x64", "--frame-rate", "25"]
    assert run([command, str(folder), *actor, *facts, "--pose", "here", "--server", serve().address]) == 2
    assert "holds poses already" in capsys.readouterr().err


def test_the_body_alone_can_be_measured_here(serve, make_video, tmp_path, seen):
    """`dance fit --pose here` sends poses too."""
    fake = serve()
    assert run(["fit", str(make_video(frames=4)), "--pose", "here", "--server", fake.address]) == 0
    assert fake.behaviour.fitted_frames == len(seen.pictures) == 4


def test_a_card_may_be_given_for_poses_found_here(serve, make_video, tmp_path, capsys):
    """With a server elsewhere, --pose-model is refused only if that server would find the poses."""
    missing = str(tmp_path / "card.json")
    source, address = make_video(frames=2), serve().address
    assert danced(source, tmp_path / "out.mp4", address, "--pose-model", missing) == 2
    assert "card.json" in capsys.readouterr().err
    there = ["transfer", str(source), "--actor", "juggler", "--server", address, "--pose-model", missing]
    assert run(there) == 2
    assert "or with --pose here" in capsys.readouterr().err


async def transferred(address: str, source: Path, out: Path, seen: Seen, **more) -> TransferReport:
    task = asyncio.current_task()
    assert task is not None
    job = TransferJob(
        source=Source(str(source)), actor="juggler", out=out, checkpoint_every_frames=5, one_pass=True,
        estimator=seen.start, **more,
    )  # fmt: skip
    return await transfer(job, address, Display(), Interrupts(task))


async def test_poses_are_sent_again_after_an_outage_and_not_found_again(make_video, tmp_path, monkeypatch):
    """The output is that of an unbroken run; every frame is estimated once, however often it is sent."""
    monkeypatch.setattr("client.connection.retry._FIRST_WAIT_SECONDS", 0.002)
    source = make_video(frames=24)
    unbroken, broken = Seen(), Seen()
    async with breakable() as service:
        await transferred(service.address, source, tmp_path / "unbroken.mp4", unbroken)
    async with breakable(Mishap("cut", 3), Mishap("drain", 9), Mishap("cut late", 16)) as service:
        report = await transferred(service.address, source, tmp_path / "broken.mp4", broken)
    assert report.reconnects == 3
    assert len(broken.pictures) == len(unbroken.pictures) == 24
    assert (tmp_path / "broken.mp4").read_bytes() == (tmp_path / "unbroken.mp4").read_bytes()


async def test_the_estimator_has_one_thread_of_its_own(make_video):
    """It is created, used and closed in one thread, which is not the event loop's."""
    seen = Seen()
    times = []
    with VideoReader(str(make_video(frames=3))) as reader:
        feed, thread = FileFeed(reader.frames(), FeedOptions(max_side_px=640)), _thread(seen, times.append)
        posed: list[Any] = [frame async for frame in PosedFeed(feed, thread, prepares_ahead=True)]
        feed.close()
        thread.close()
    assert [(type(frame), frame.sequence) for frame in posed] == [(PosedFrame, 0), (PosedFrame, 1), (PosedFrame, 2)]
    assert [frame.face_and_hands_carried for frame in posed] == [False, True, False]
    assert [shot.sequence for shot in feed.in_flight] == [0, 1, 2]
    assert [time.stage for time in times] == ["pose"] * 3
    assert len(seen.threads) == 1
    assert threading.current_thread() not in seen.threads
    assert seen.closed == 1


class Camera(LiveFeed):
    """A camera that shows frames when the test says so."""

    def __init__(self, reader: VideoReader) -> None:
        super().__init__(reader, FeedOptions(max_side_px=640))

    def _play(self, frames) -> None:
        self.player_ended.set()

    def shows(self, *levels: int) -> None:
        for index in levels:
            self._offer(SourceFrame(index, index, index / 25, np.full((32, 32, 3), 10 * index, np.uint8)))


async def test_a_busy_estimator_gets_the_newest_frame_next(make_video):
    """While a pose is estimated, the event loop runs and newer frames replace older ones, which are counted."""
    seen = Seen()
    seen.open.clear()
    with VideoReader(str(make_video(frames=1))) as reader:
        camera, thread = Camera(reader), _thread(seen)
        feed = PosedFeed(camera, thread, prepares_ahead=False)
        camera.shows(0)
        first = asyncio.create_task(anext(feed))
        await asyncio.to_thread(seen.begun.wait, 10)
        camera.shows(1, 2, 3)
        seen.open.set()
        assert (await first).sequence == 0
        assert (await anext(feed)).sequence == 3
        assert camera.skipped == 2
        feed.close()
        camera.close()
        thread.close()


async def test_a_start_that_fails_is_raised(make_video):
    """An estimator that cannot be created raises its error where it is waited for, and closing is safe."""

    def start() -> DancerEstimator:
        raise CommandError("no such network")

    thread = EstimatorThread(start)
    with pytest.raises(CommandError, match="no such network"):
        await thread.started()
    thread.close()


def _thread(seen: Seen, on_time: Callable[..., None] = lambda time: None) -> EstimatorThread:
    return EstimatorThread(lambda: seen.start(PoseDetail.HOLISTIC), on_time)
