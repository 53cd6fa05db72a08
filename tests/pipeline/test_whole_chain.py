"""The whole chain without fakes: real processes, real MediaPipe, real Triton, the sample clip and actor."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from client.connection.session import DanceClient
from client.connection.types import Answer, TransferOptions
from client.errors import ServerError
from client.local_stack.stack import LocalStack, local_stack
from motion.frame import EncodedPicture, Frame, Picture, PictureEncoding
from serving.actors.store import ActorStore
from serving.pictures.codec import decode_picture, encode_picture
from tests.tiny_actors import publish_tiny
from video.reader import VideoReader

FRAMES = 8


@pytest.fixture(scope="module")
def actors(root: Path, tmp_path_factory: pytest.TempPathFactory) -> ActorStore:
    """The sample actor, and another one whose pictures are the label map at half its brightness, plus 20."""
    store = ActorStore(tmp_path_factory.mktemp("actors"))
    shutil.copytree(root / "samples" / "actors" / "sample", store.root / "sample")
    publish_tiny(store, tmp_path_factory.mktemp("parts"), "tiny", bias=20, face=False)
    return store


@pytest.fixture(scope="module")
def clip(root: Path) -> list[Frame]:
    """The first frames of the sample clip."""
    with VideoReader(str(root / "samples" / "source_clip.mp4")) as reader:
        shown = zip(range(FRAMES), reader.frames(), strict=False)
        return [Frame(i, encode_picture(frame.pixels, PictureEncoding.JPEG, 95), frame.seconds) for i, frame in shown]


async def test_two_sessions_two_actors_at_the_same_time(actors: ActorStore, clip: list[Frame], tmp_path: Path):
    """Each session gets its own actor, in order, complete; afterwards no process is left."""
    async with local_stack(actors.root, tmp_path) as stack, DanceClient(stack.address) as client:
        pids = stack.pids
        assert set(pids) == {"pose", "normalize", "face", "generator", "orchestrator"}
        sample, tiny = await asyncio.gather(
            _danced(stack, client, "sample", clip), _danced(stack, client, "tiny", clip)
        )
        children = [child for pid in pids.values() for child in psutil.Process(pid).children(recursive=True)]
    for answers in (sample, tiny):
        assert [answer.sequence for answer in answers] == list(range(FRAMES))
        assert all(answer.picture is not None for answer in answers)
        assert {time.stage for time in answers[-1].stage_times} >= {"pose", "normalize", "label_map", "generator"}
    stage = actors.load("sample").crop
    plate = stage.cut(actors.load("sample").read_plate())
    for answer in sample:
        # The upper corners show the place without the dancer: a few levels of tolerance for JPEG.
        assert np.abs(_corners(_pixels(answer.picture)) - _corners(plate)).mean() < 6
    for answer in tiny:
        # Half of the label map's white, a quarter of the previous picture (it settles at 4/3), and 20.
        level = _corners(_pixels(answer.picture)).mean()
        assert level == pytest.approx(196.7 - 17 * 0.25**answer.sequence, abs=4)
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


async def _danced(stack: LocalStack, client: DanceClient, actor: str, clip: list[Frame]) -> list[Answer]:
    async def frames() -> AsyncIterator[Frame]:
        for frame in clip:
            yield frame

    async with client.transfer(TransferOptions(actor=actor, frame_rate_hz=25.0)) as session:
        return [answer async for answer in session.answers(frames())]


def _pixels(picture: EncodedPicture | None) -> Picture:
    assert picture is not None
    return decode_picture(picture)


def _corners(pixels: Picture) -> np.ndarray:
    """The two upper corners, an eighth of the side each, as signed integers."""
    side_px = pixels.shape[0] // 8
    return np.hstack([pixels[:side_px, :side_px], pixels[:side_px, -side_px:]]).astype(int)


async def test_a_client_learns_what_is_damaged_but_not_where(
    actors: ActorStore, clip: list[Frame], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    """Each kind of damage is named, without a path or a line of code of the server. The logs have them."""
    parts = tmp_path_factory.mktemp("parts")
    damaged = {"no-network": "generator.onnx", "no-face": "face.onnx", "no-json": "actor.json"}
    for name, file in damaged.items():
        actor = publish_tiny(actors, parts, name)
        (actor.folder / file).write_bytes(b"/etc/passwd is no such thing\n")
    async with local_stack(actors.root, tmp_path) as stack, DanceClient(stack.address) as client:
        for name, word in {**damaged, "nobody": "there is no actor"}.items():
            with pytest.raises(ServerError, match=word) as refusal:
                await _danced(stack, client, name, clip)
            said = str(refusal.value).replace(str(stack.address), "")
            for hidden in (str(actors.root), str(tmp_path), "/", "Traceback", "At:", "model.py"):
                assert hidden not in said, said
        tiny = await _danced(stack, client, "tiny", clip)
    assert len(tiny) == FRAMES
    assert "model.py" in (tmp_path / "generator.log").read_text()
