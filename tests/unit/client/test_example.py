"""The example in the README works as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from video.reader import VideoReader

EXAMPLE = Path(__file__).parents[3] / "examples" / "transfer_client.py"


def test_plain_client_writes_the_actors_video(serve, make_video, tmp_path):
    """Thirty lines with the generated stubs: every frame goes in, every picture comes out, in order."""
    out = tmp_path / "out.mp4"
    command = [sys.executable, str(EXAMPLE), str(make_video(frames=6)), "juggler", str(out), serve().address]
    subprocess.run(command, check=True, timeout=60)
    with VideoReader(str(out)) as reader:
        levels = [round((float(np.median(frame.pixels)) - 20) / 10) for frame in reader.frames()]
    assert levels == list(range(6))
