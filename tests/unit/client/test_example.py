"""The example in the README works as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from video.reader import VideoReader

BLACK = -2  # by the rule of `levels_of`
EXAMPLE = Path(__file__).parents[3] / "examples" / "transfer_client.py"


def test_plain_client_writes_the_actors_video(serve, make_video, tmp_path):
    """About thirty lines with the generated stubs: every frame goes in, every picture comes out, in order."""
    assert sum(1 for line in EXAMPLE.read_text().splitlines() if line.strip()) <= 33
    assert levels_of(transferred(make_video(frames=6), tmp_path, serve().address)) == list(range(6))


def test_frames_without_a_person_keep_the_rate(serve, make_video, tmp_path):
    """The last picture is repeated; a beginning without a person is black."""
    address = serve(no_person=frozenset({0, 1, 4, 5, 7})).address
    levels = levels_of(transferred(make_video(frames=8), tmp_path, address))
    assert levels == [BLACK, BLACK, 2, 3, 3, 3, 6, 6]


def test_a_call_that_fails_ends_with_the_servers_words(serve, make_video, tmp_path):
    """It is an error and no crash, though gRPC's thread may still be reading the video."""
    command = [sys.executable, str(EXAMPLE), str(make_video(frames=60)), "juggler", str(tmp_path / "out.mp4")]
    ended = subprocess.run(
        [*command, serve(fail_at=1).address], check=False, timeout=60, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert "status = StatusCode." in ended.stderr


def transferred(source: Path, folder: Path, address: str) -> Path:
    out = folder / "out.mp4"
    subprocess.run([sys.executable, str(EXAMPLE), str(source), "juggler", str(out), address], check=True, timeout=60)
    return out


def levels_of(path: Path) -> list[int]:
    with VideoReader(str(path)) as reader:
        return [round((float(np.median(frame.pixels)) - 20) / 10) for frame in reader.frames()]
