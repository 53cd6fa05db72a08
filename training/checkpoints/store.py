"""Checkpoints on disk: written atomically, the last few kept, and a damaged one never loaded.

`body.pt` is the newest, `body.1.pt` the one before it, and so on. torch writes a checksum for each part of the file;
they are verified before anything is loaded.
"""

from __future__ import annotations

import errno
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final
from zlib import error as zlib_error

import torch

from serving.process.atomic_files import written_whole

KEPT: Final = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The contents of a checkpoint file.

    identity: of the training. seconds: of training so far. suspect: see `Watch`. learner: the state of the networks.
    """

    identity: dict[str, str]
    seconds: float
    suspect: int
    learner: dict[str, Any]

    @property
    def pictures_seen(self) -> int:
        """The number of pictures drawn in training so far."""
        return int(self.learner["pictures_seen"])


class Checkpoints:
    """The checkpoints of one training: `path`, and older ones beside it.

    on_damaged: called about each damaged file, with the reason. `clean` removes files that a killed process left half
    written.

    skipped: whether a damaged file was found so far. A read error is raised as OSError; it does not mean damage.
    """

    def __init__(self, path: Path, on_damaged: Callable[[str], None] = lambda note: None) -> None:
        self.path = path
        self.skipped = False
        self._on_damaged = on_damaged
        self._newest_is_suspect = False

    def paths(self) -> list[Path]:
        """The existing files, newest first."""
        return [path for path in self._slots() if path.is_file()]

    def read(self) -> Iterator[Checkpoint]:
        """Every usable checkpoint, newest first. Raises OSError."""
        for path in self.paths():
            try:
                found = _read(path)
            except Exception as error:
                if not _is_damage(error):
                    raise
                self.skipped = True
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                self._on_damaged(f"{path} is damaged ({reason}), so it is skipped")
                continue
            yield found

    def identity(self) -> dict[str, str] | None:
        """The identity in the newest checkpoint that can be opened, None without one. Its weights are not verified.

        Raises OSError.
        """
        for path in self.paths():
            try:
                with zipfile.ZipFile(path) as archive:
                    for name in archive.namelist():
                        if name.endswith("/data.pkl"):  # everything except the weights
                            archive.read(name)  # verifies its checksum
                stored: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
                return dict(stored["identity"])
            except Exception as error:
                if not _is_damage(error):
                    raise
        return None

    def newest(self) -> Checkpoint | None:
        """The newest usable checkpoint, None without one."""
        found = next(self.read(), None)
        self._newest_is_suspect = found is not None and found.suspect > 0
        return found

    def write(self, checkpoint: Checkpoint) -> None:
        """Add a checkpoint as the newest and drop the oldest. A crash while writing leaves all others unchanged.

        A checkpoint whose losses looked wrong is replaced by the next one, so that those before it are not lost.
        """
        stored = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)}
        with written_whole(self.path) as partial:
            with partial.open("wb") as file:
                torch.save(stored, file)
                file.flush()
                os.fsync(file.fileno())
            if not self._newest_is_suspect:
                slots = self._slots()
                for older, newer in zip(slots[:0:-1], slots[-2::-1], strict=True):
                    if newer.is_file():
                        newer.replace(older)
        self._newest_is_suspect = checkpoint.suspect > 0

    def clean(self) -> None:
        """Remove what a killed process left half written. Call it only while no other process writes here."""
        for partial in self.path.parent.glob(f".{self.path.stem}.*.partial{self.path.suffix}"):
            partial.unlink(missing_ok=True)

    def _slots(self) -> list[Path]:
        older = [self.path.with_suffix(f".{age}{self.path.suffix}") for age in range(1, KEPT)]
        return [self.path, *older]


_DAMAGE: Final = (RuntimeError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib_error)


def _is_damage(error: Exception) -> bool:
    # A damaged file may contain an offset that no file can have; the system reports that as an invalid argument.
    return isinstance(error, _DAMAGE) or (isinstance(error, OSError) and error.errno == errno.EINVAL)


def _read(path: Path) -> Checkpoint:
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise ValueError(f"the checksum of its part {broken} is wrong")
    stored: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    learner = dict(stored["learner"])
    int(learner["pictures_seen"])
    return Checkpoint(dict(stored["identity"]), float(stored["seconds"]), int(stored["suspect"]), learner)
