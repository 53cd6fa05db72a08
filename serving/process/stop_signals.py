"""Stop trainings and `dance` commands in good order, by a signal. Servers drain instead: `serving.rpc.server`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class StopRequest:
    """Returns, when called, whether a signal has requested a stop.

    number: the first signal; None before.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self) -> bool:
        return self.number is not None

    @property
    def by_system(self) -> bool:
        """Whether the system that runs the job requested it, by SIGTERM, and not a person, by Ctrl-C."""
        return self.number == signal.SIGTERM


def checked(items: Iterable[T], check: Callable[[], None]) -> Iterator[T]:
    """Yield the items. check: called before each item; it raises to stop the work."""
    for item in items:
        check()
        yield item


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Make SIGINT and SIGTERM set the request while the context lasts; a second one raises KeyboardInterrupt.

    Signals can only be caught in the main thread; in other threads the request always returns False.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if request():
            raise KeyboardInterrupt
        request.number = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
