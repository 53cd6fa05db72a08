"""`make demo`: transfer the sample clip to the sample actor; writes a video and a sheet of a few frames.

Runs the same command as a user would.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, so that a signal during them does not print a traceback
    from serving.process.entry import begin

    begin()

import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np

from provenance.credentials.actor_pictures import ActorPictures
from provenance.user_folder import own_credentials
from serving.process.entry import started
from video.reader import VideoReader

SAMPLES: Final = Path(__file__).resolve().parent
ROWS: Final = 4


def main() -> None:
    """Write out/demo.mp4 and out/demo.png in the current folder; exits with the code of `dance transfer`."""
    out = Path("out")
    out.mkdir(exist_ok=True)
    video, sheet = out / "demo.mp4", out / "demo.png"
    command = ["transfer", str(SAMPLES / "source_clip.mp4"), "--actor", "sample", "--actors", str(SAMPLES / "actors")]
    finished = subprocess.run(
        [sys.executable, "-m", "client", *command, "--compare", "--force", "-o", str(video)], check=False
    )
    if finished.returncode:
        sys.exit(finished.returncode)
    with VideoReader(str(video)) as reader:
        pictures = [frame.pixels for frame in reader.frames()]
    chosen = np.linspace(0, len(pictures) - 1, ROWS + 2)[1:-1].astype(int)
    credentials = own_credentials(None, None, print)
    ActorPictures(credentials, "sample", actor_version=1).write(sheet, np.vstack([pictures[i] for i in chosen]))
    print(f"wrote {sheet}")
    print("to dance yourself, in your browser: make web, then open http://localhost:8080/")


if __name__ == "__main__":
    started()
    main()
