"""Small video and picture files, and the identity that signs them."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from motion.frame import Picture
from provenance.credentials.certificate import self_made_identity
from provenance.credentials.file_marks import FileMarks
from provenance.credentials.manifest import SyntheticMedia
from provenance.credentials.signing import ContentCredentials

FACTS = SyntheticMedia(actor="anna", actor_version=3, consent_sha256="ab" * 32, source_name="clip.mp4")


def signer(folder: Path) -> ContentCredentials:
    """What signs with an identity that is made in `folder`."""
    return ContentCredentials(self_made_identity(folder / "identity", "tests"))


def sign(path: Path, folder: Path, facts: SyntheticMedia = FACTS) -> Path | None:
    """Sign a file in place, as a client does, with the identity of `signer(folder)`. Return its sidecar, if any."""
    marks = FileMarks(signer(folder), facts)
    marks.sign(path, path)
    marks.name(path, path)
    return marks.sidecar


def scene(index: int = 0, *, side_px: int = 256) -> Picture:
    """A picture with soft shapes in colour, one of which moves."""
    rows, columns = np.mgrid[:side_px, :side_px].astype(np.float32)
    picture = np.stack([110 + 40 * np.sin(columns / 23), 120 + 30 * np.cos(rows / 31), 90 + 20 * np.sin(rows / 17)], 2)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    cv2.circle(picture, (60 + 3 * index, side_px // 2), side_px // 8, (30, 140, 60), -1, cv2.LINE_AA)
    return picture


def write_video(path: Path, pictures: list[Picture], *, crf: int = 18) -> Path:
    """Write pictures at 25 Hz; the codec is the container's usual one."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx" if path.suffix == ".webm" else "libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = (*pictures[0].shape[:2], "yuv420p")
        stream.options = {"crf": str(crf)}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def changed(path: Path, at: float = 0.6) -> Path:
    """Change one byte of a file in place, at this share of its length."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 0xFF
    path.write_bytes(data)
    return path
