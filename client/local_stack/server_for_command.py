"""A server for one command: the given one, or a local stack that ends with the command."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from client.connection.server_access import ServerAccess
from client.errors import ServerError, StackFailed
from client.local_stack.stack import LocalStack, local_stack
from client.terminal.display import Display
from client.terminal.output_files import check_writable
from provenance.user_folder import own_server_key

Result = TypeVar("Result")
_WATERMARK_KEY_FILE: Final = "ORCHESTRATOR_WATERMARK_KEY_FILE"


@asynccontextmanager
async def hosted(
    actors_root: Path,
    logs: Path | None,
    display: Display,
    *,
    port: int = 0,
    settings: Mapping[str, str] = MappingProxyType({}),
    load_at_start: str = "none",
    page_port: int | None = None,
) -> AsyncIterator[LocalStack]:
    """A running local stack, with a spinner while it starts.

    settings, load_at_start, page_port: see `local_stack`.
    logs: None for a temporary folder, which is kept only if the stack failed.
    """

    marking = _marking(display)

    def stack(folder: Path, told: Callable[[str], None]) -> LocalStack:
        return local_stack(
            actors_root,
            folder,
            port=port,
            told=told,
            settings={**marking, **settings},
            load_at_start=load_at_start,
            page_port=page_port,
        )

    async with started_with_logs(stack, logs, display) as running:
        yield running


def _marking(display: Display) -> dict[str, str]:
    """Return the settings by which watermarks name the servers of this machine; none if the user names another key."""
    if _WATERMARK_KEY_FILE in os.environ:
        return {}
    try:
        return {_WATERMARK_KEY_FILE: str(own_server_key())}
    except OSError as error:
        display.warn(f"watermarks will not name this machine: {error.filename} cannot be written ({error.strerror})")
        return {}


@asynccontextmanager
async def started_with_logs(
    make: Callable[[Path, Callable[[str], None]], LocalStack], logs: Path | None, display: Display
) -> AsyncIterator[LocalStack]:
    """Run the stack that `make` returns for a folder of logs and a teller, with a spinner while it starts."""
    if logs is not None:
        check_writable(logs, is_folder=True)
    folder = Path(tempfile.mkdtemp(prefix="dance-logs-")) if logs is None else logs
    failed = False
    try:
        async with AsyncExitStack() as closing:
            with display.starting() as told:
                stack = await closing.enter_async_context(make(folder, told))
            yield stack
    except (StackFailed, ServerError):
        failed = True
        raise
    finally:
        if logs is None and not failed:
            shutil.rmtree(folder, ignore_errors=True)
        elif logs is None:
            display.note(f"the logs are in {folder}")


async def with_server(
    server: ServerAccess | None,
    actors_root: Path,
    logs: Path | None,
    display: Display,
    work: Callable[[ServerAccess], Coroutine[Any, Any, Result]],
    settings: Mapping[str, str] = MappingProxyType({}),
    load_at_start: str = "none",
) -> Result:
    """Run `work` with `server`, or with a local stack if that is None. The other arguments are `local_stack`'s."""
    if server is not None:
        return await work(server)
    async with hosted(actors_root, logs, display, settings=settings, load_at_start=load_at_start) as stack:
        return await stack.run(work(ServerAccess(stack.address)))
