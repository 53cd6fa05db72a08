"""The loss curves of a training: every loss in a CSV file, and losses with pictures for TensorBoard."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from tensorboardX import SummaryWriter
from tensorboardX.record_writer import register_writer_factory

from motion.frame import Picture
from serving.process.atomic_files import written_whole

_SCALARS_EVERY_SECONDS: Final = 5.0
"""For TensorBoard; the CSV file has every step."""
_FORGIVING: Final = "forgiving"
_COUNTED: Final = ("pictures", "seconds", "rate")


class Curves:
    """The curves of one phase of a training: `<folder>/<phase>-losses.csv` and `<folder>/tensorboard/<phase>/`.

    keep_until: rows of more pictures than this belong to a run that was lost after its last checkpoint, and are
    dropped, as is an incomplete row. A row is on disk as soon as its step is done.
    names: the losses that a step may have, in the order of the file; empty for those of the first step.
    """

    def __init__(self, folder: Path, phase: str, keep_until: int, *, names: Sequence[str] = ()) -> None:
        self._path = folder / f"{phase}-losses.csv"
        self._board = folder / "tensorboard" / phase
        self._file: IO[str] | None = None
        self._names: list[str] = []
        self._losses = tuple(names)
        self._writer: SummaryWriter | None = None
        self._shown_at = -_SCALARS_EVERY_SECONDS
        self._purge_from = keep_until + 1
        self._drop_after(keep_until)

    def add(
        self,
        pictures_seen: int,
        seconds: float,
        rate: float,
        losses: Mapping[str, float],
        *,
        waited_seconds: float = 0.0,
    ) -> None:
        """Add a step. rate: the learning rate. Numbers are written so that they read back exactly.

        waited_seconds: the time the step waited for its data; shown only in TensorBoard.
        """
        if self._file is None:
            self._file = self._opened(losses)
        values = {"pictures": pictures_seen, "seconds": round(seconds, 3), "rate": rate, **losses}
        self._file.write(",".join(repr(values[name]) if name in values else "" for name in self._names) + "\n")
        self._file.flush()
        if time.monotonic() - self._shown_at >= _SCALARS_EVERY_SECONDS:
            self._shown_at = time.monotonic()
            shown = {**losses, "learning_rate": rate, "seconds_waited_for_data": waited_seconds}
            for name, value in shown.items():
                self._tensorboard().add_scalar(f"training/{name}", value, pictures_seen)

    def show(self, pictures_seen: int, scalars: Mapping[str, float], sheet: Picture) -> None:
        """Add scores and a picture, `[H, W, 3]` uint8 RGB, for TensorBoard."""
        board = self._tensorboard()
        for name, value in scalars.items():
            board.add_scalar(f"held_out/{name}", value, pictures_seen)
        board.add_image("held_out/asked_drawn_real", sheet, pictures_seen, dataformats="HWC")
        board.flush()

    def rewind(self, pictures_seen: int) -> None:
        """Drop rows after this many pictures: the training was put back to there."""
        self.close()
        self._purge_from = pictures_seen + 1
        self._drop_after(pictures_seen)

    def close(self) -> None:
        """Write out pending rows and close the files."""
        file, writer = self._file, self._writer
        self._file = self._writer = None
        if writer is not None:
            writer.close()
        if file is not None:
            file.close()  # raises on a full disk, like writing a row

    def _drop_after(self, pictures: int) -> None:
        if not self._path.is_file():
            return
        lines = self._path.read_text().split("\n")
        whole = lines[:-1]  # the part after the last newline is empty or incomplete
        kept = whole[:1] + [line for line in whole[1:] if int(line.split(",", 1)[0]) <= pictures]
        if len(kept) < 2:  # another training may have losses of other names
            self._path.unlink()
        elif kept != whole or lines[-1]:
            with written_whole(self._path) as partial:
                partial.write_text("".join(f"{line}\n" for line in kept))

    def _opened(self, losses: Mapping[str, float]) -> IO[str]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+")
        file.seek(0)
        header = file.readline().rstrip("\n")
        file.seek(0, os.SEEK_END)
        self._names = header.split(",") if header else [*_COUNTED, *(self._losses or losses)]
        if not header:
            file.write(",".join(self._names) + "\n")
        return file

    def _tensorboard(self) -> SummaryWriter:
        if self._writer is None:
            self._writer = SummaryWriter(f"{_FORGIVING}:{self._board}", purge_step=self._purge_from, write_to_disk=True)
        return self._writer


class _ForgivingFile:
    """A file for TensorBoard that ignores a full disk.

    A thread writes it: the error would end that thread and block the training. At the end of the process the error
    would also come after the training's own message about the disk.
    """

    def __init__(self, path: str) -> None:
        self._file = Path(path.removeprefix(f"{_FORGIVING}:")).open("wb")  # noqa: SIM115  `close` closes it

    def write(self, data: bytes) -> None:
        """Append data."""
        with suppress(OSError):
            self._file.write(data)

    def flush(self) -> None:
        """Write out buffered data."""
        with suppress(OSError):
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()


class _ForgivingFiles:
    """Opens such files for tensorboardX, which selects this class by the prefix of a path."""

    def open(self, path: str) -> _ForgivingFile:
        """Open the file. Raises OSError."""
        return _ForgivingFile(path)

    def directory_check(self, path: str) -> None:
        """Make the folder. Raises OSError."""
        Path(path.removeprefix(f"{_FORGIVING}:")).mkdir(parents=True, exist_ok=True)


register_writer_factory(_FORGIVING, _ForgivingFiles())
