"""The folders of a gateway, which no other gateway may use meanwhile, and the records in them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from serving.errors import BadSettings
from serving.observability import logs
from serving.process.atomic_files import locked_folder

_log = logging.getLogger(__name__)


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


def leave_out(folder: Path, what: str, error: Exception) -> None:
    """Deal with a folder whose record could not be read, and log it.

    If the record is missing or damaged, or of another release, the folder is deleted. Otherwise it may be readable at
    the next start, and stays. what: what the folder holds, in one word. error: of the reading.
    """
    facts = logs.facts(**{what: folder.name}, because=error)
    if isinstance(error, FileNotFoundError | ValueError | KeyError | TypeError):
        _log.warning(f"a {what} was deleted: its record cannot be read", extra=facts)
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _log.error(f"a {what} is left out until the next start: its record cannot be read", extra=facts)
