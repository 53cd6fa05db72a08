"""The folders of a gateway, which no other gateway may use meanwhile, and the records in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from serving.errors import BadSettings
from serving.process.atomic_files import locked_folder


@contextmanager
def gateway_folder(folder: Path, setting: str) -> Iterator[None]:
    """Make `folder`, for its owner alone, and hold it while the context lasts.

    setting: its name, for errors. Raises BadSettings if the folder cannot be used, or another gateway uses it.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            held.enter_context(locked_folder(folder))
        except BlockingIOError as error:
            raise BadSettings(setting, f"{folder} is used by another gateway; name another one") from error
        except OSError as error:
            raise BadSettings(setting, f"{folder} cannot be used: {error.strerror}") from error
        yield


def stays_unreadable(error: Exception) -> bool:
    """Whether a record that could not be read is missing or damaged, and not only out of reach for a while."""
    return isinstance(error, FileNotFoundError | ValueError | KeyError | TypeError)
