"""Writes the actor's pictures as PNG files with an opacity, one for each frame."""

from __future__ import annotations

from pathlib import Path

from client.errors import UnwritableVideo
from client.terminal.output_files import check_writable
from motion.frame import PictureEncoding, RgbaPicture
from provenance.credentials.errors import CannotSign
from provenance.credentials.file_marks import FileMarks
from serving.pictures.codec import encode_picture
from serving.process.atomic_files import folder_written_whole


def check_frame_folder(out: Path) -> None:
    """Check the folder before work begins. Raises CommandError if it cannot be written or is not empty."""
    check_writable(out, is_folder=True)
    if out.is_dir() and any(out.iterdir()):
        raise UnwritableVideo(f"{out} is not empty; name a new or an empty folder for the frames")


class FrameFolder:
    """A folder of PNG files, 000000.png and on, that appear under their names only when all are complete.

    The colours of the files are not multiplied by the opacity. Each file is signed. Leaving the context without
    `keep()` deletes what was written.
    """

    def __init__(self, out: Path, marks: FileMarks) -> None:
        self.out = out
        self._marks = marks
        self.pictures = 0
        self._kept = False
        self._writing = folder_written_whole(out)

    def __enter__(self) -> FrameFolder:
        try:
            self._partial = self._writing.__enter__()
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(self, *error: object) -> None:
        if not self._kept:
            discarded = UnwritableVideo(f"{self.out} was not kept")
            self._writing.__exit__(UnwritableVideo, discarded, None)

    def write(self, picture: RgbaPicture, pts: int) -> None:
        """Add a picture, `[H, W, 4]` uint8 with straight alpha; its time does not matter. Raises UnwritableVideo."""
        try:
            encoded = encode_picture(picture, PictureEncoding.PNG)
            path = self._partial / f"{self.pictures:06d}.png"
            path.write_bytes(encoded.data)
            self._marks.sign(path, path)
        except (CannotSign, OSError) as error:
            raise self._unwritable(error) from error
        self.pictures += 1

    def keep(self) -> None:
        """Rename the files to their place. Raises UnwritableVideo, also if no picture was written."""
        if not self.pictures:
            raise UnwritableVideo(f"{self.out}: there is no picture to write")
        self._kept = True
        try:
            self._writing.__exit__(None, None, None)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError | CannotSign) -> UnwritableVideo:
        return UnwritableVideo(f"{self.out} cannot be written: {getattr(error, 'strerror', None) or error}")
