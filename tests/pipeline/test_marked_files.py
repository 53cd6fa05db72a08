"""Every file that the client writes says that it is synthetic."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from client.media.background import chosen_background
from client.media.frame_folder import FrameFolder
from client.media.source import Source
from client.poses.extract import PoseJob, find_poses
from client.poses.local_estimation import PoseModels
from client.terminal.display import Display
from client.terminal.signals import Interrupts
from client.transfer.job import TransferJob
from client.transfer.report import TransferReport
from client.transfer.run import transfer
from motion.wardrobe.pieces import Wardrobe
from provenance.credentials.file_marks import FileMarks
from provenance.credentials.manifest import SyntheticMedia
from provenance.credentials.media_types import sidecar_of
from provenance.credentials.reading import Credentials, State, read_credentials
from provenance.watermark.server_key import key_id
from tests.pipeline.chain import Stack, publish_actor, stack_of
from tests.pipeline.fake_stages import SIDE_PX
from tests.signed_files import scene, signer, write_video


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip with Content Credentials of its own."""
    from tests.signed_files import FACTS

    path = write_video(tmp_path / "clip.mp4", [scene(index, side_px=SIDE_PX) for index in range(4)])
    signer(tmp_path / "camera").sign(path, path, FACTS)
    return path


async def danced(stack: Stack, clip: Path, out: Path, **job: Any) -> TransferReport:
    """Let cara dance the clip into a file."""
    task = asyncio.current_task()
    assert task is not None
    chosen = TransferJob(source=Source(str(clip)), actor="cara", out=out, one_pass=True, **job)
    return await transfer(chosen, stack.address, Display(), Interrupts(task))


def signed(path: Path) -> Credentials:
    """The valid credentials of a file."""
    found = read_credentials(path)
    assert found is not None, f"{path.name} has no Content Credentials"
    assert found.state is State.VALID
    return found


def comment(path: Path) -> str:
    with av.open(str(path)) as container:
        by_name = {name.lower(): value for name, value in container.metadata.items()}
    return by_name.get("comment", "")


@pytest.fixture
async def cara(tmp_path: Path, wardrobe: Wardrobe):
    """An orchestrator with a key, and an actor who can leave her place."""
    publish_actor(tmp_path / "actors", "cara", face=False, wardrobe=wardrobe)
    key = tmp_path / "server.key"
    key.write_text("ab" * 32)
    async with stack_of(tmp_path / "actors", watermark_key_file=key) as stack:
        yield stack


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("o.mp4", {}),
        ("o.mov", {}),
        ("o.mkv", {}),
        ("o.mp4", {"compare": True}),
        ("o.webm", {"background": chosen_background("transparent")}),
        ("o.mov", {"background": chosen_background("transparent")}),
    ],
    ids=["mp4", "mov", "mkv", "comparison", "transparent webm", "transparent mov"],
)
async def test_a_video_states_how_it_was_made(
    cara: Stack, tmp_path: Path, clip: Path, name: str, options: dict[str, Any]
) -> None:
    """Actor, consent, server, and the clip with its own credentials; containers that hold none get a sidecar."""
    out = tmp_path / "out" / name
    report = await danced(cara, clip, out, credentials=signer(tmp_path), label="AI", **options)
    found = signed(out)
    assert found.says_synthetic
    assert found.ingredients == (("clip.mp4", True),)
    actor = cara.service._shared.actors.load("cara")
    assert found.stated == {
        "actor": "cara",
        "actor_version": 1,
        "consent_sha256": actor.consent.sha256(),
        "source": "clip.mp4",
        "watermark_key": f"{key_id(bytes.fromhex('ab' * 32)):04x}",
        "label": "AI",
    }
    sidecar = None if out.suffix in (".mp4", ".mov") else out.with_name(f"{out.name}.c2pa")
    assert report.sidecar == sidecar
    assert sorted(out.parent.iterdir()) == sorted(path for path in (out, sidecar) if path is not None)
    assert comment(out).startswith("AI-generated")


async def test_each_png_frame_is_signed(cara: Stack, tmp_path: Path, clip: Path) -> None:
    """A folder of frames for other programs: every file says it by itself."""
    out = tmp_path / "frames"
    await danced(cara, clip, out, credentials=signer(tmp_path), background=chosen_background("transparent"))
    frames = sorted(out.iterdir())
    assert len(frames) == 4
    assert all(signed(frame).says_synthetic for frame in frames)


async def test_a_file_without_credentials_says_so(cara: Stack, tmp_path: Path, clip: Path) -> None:
    """The user wanted none: the comment tells, and the watermark is there all the same."""
    frames = tmp_path / "frames"
    await danced(cara, clip, frames, credentials=None, background=chosen_background("transparent"))
    assert all(b"without Content Credentials (--no-credentials)" in path.read_bytes() for path in frames.iterdir())
    assert all(cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape == (SIDE_PX, SIDE_PX, 4) for path in frames.iterdir())
    out = tmp_path / "o.mp4"
    await danced(cara, clip, out, credentials=None)
    assert read_credentials(out) is None
    assert comment(out) == "AI-generated; Everybody Dance, without Content Credentials (--no-credentials)"


async def test_a_repeated_transfer_replaces_a_sidecar(cara: Stack, tmp_path: Path, clip: Path) -> None:
    """With --force, file and sidecar belong together again."""
    out = tmp_path / "o.mkv"
    await danced(cara, clip, out, credentials=signer(tmp_path))
    await danced(cara, clip, out, credentials=signer(tmp_path), label="AI", replace_out=True)
    assert signed(out).stated["label"] == "AI"
    await danced(cara, clip, out, credentials=None, replace_out=True)
    assert read_credentials(out) is None
    assert not sidecar_of(out).exists()


async def test_a_mkv_and_a_webm_of_one_name_do_not_share_a_sidecar(cara: Stack, tmp_path: Path, clip: Path) -> None:
    """Each keeps its own."""
    behind = {"background": chosen_background("transparent")}
    await danced(cara, clip, tmp_path / "o.mkv", credentials=signer(tmp_path))
    await danced(cara, clip, tmp_path / "o.webm", credentials=signer(tmp_path), **behind)
    assert signed(tmp_path / "o.mkv").says_synthetic
    assert signed(tmp_path / "o.webm").says_synthetic


async def test_a_clip_that_is_gone_costs_no_work(
    cara: Stack, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk was unplugged after it was read: the film is kept, and says so."""
    out = tmp_path / "o.mp4"
    credentials = signer(tmp_path)
    sign = credentials.sign

    def unplugged(*given: Any) -> Path | None:
        clip.unlink()
        return sign(*given)

    monkeypatch.setattr(credentials, "sign", unplugged)
    await danced(cara, clip, out, credentials=credentials)
    assert signed(out).ingredients == (("clip.mp4", False),)


def test_a_clip_that_goes_between_two_frames_costs_none(tmp_path: Path, clip: Path) -> None:
    """The frames before name it with its credentials, those after by its name."""
    facts = SyntheticMedia(actor="cara", actor_version=1, sources=(clip,))
    with FrameFolder(tmp_path / "frames", FileMarks(signer(tmp_path), facts)) as folder:
        folder.write(np.zeros((8, 8, 4), np.uint8), 0)
        clip.unlink()
        folder.write(np.zeros((8, 8, 4), np.uint8), 1)
        folder.keep()
    frames = [tmp_path / "frames" / f"{number:06d}.png" for number in range(2)]
    assert [signed(frame).ingredients for frame in frames] == [(("clip.mp4", True),), (("clip.mp4", False),)]


async def test_an_overlay_of_joints_is_called_edited(tmp_path: Path, clip: Path) -> None:
    """It shows what was filmed: it is signed, names its source, and does not call itself synthetic."""
    from motion.keypoint_files.openpose_json import KeypointsPerson
    from tests.unit.client.media.test_keypoints_source import body, written

    folder = written(tmp_path / "poses", [KeypointsPerson(body(20), 1)])
    out = tmp_path / "overlay.mp4"
    job = PoseJob(source=Source(str(folder)), models=PoseModels(), overlay=out, credentials=signer(tmp_path))
    await asyncio.to_thread(find_poses, job, Display(), lambda: False)
    found = signed(out)
    assert not found.says_synthetic
    assert comment(out).startswith("People's joints are drawn over footage")
