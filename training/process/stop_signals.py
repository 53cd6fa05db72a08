"""Stopping a long job by a signal: it is asked to stop, and comes to a good end by itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class StopRequest:
    """Answers, when called, whether a signal has asked to stop.

    number: which one asked first, None before.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self) -> bool:
        return self.number is not None

    @property
    def by_system(self) -> bool:
        """Whether the system that runs the job asked, by SIGTERM, and not a person by Ctrl-C."""
        return self.number == signal.SIGTERM


def checked(items: Iterable[T], check: Callable[[], None]) -> Iterator[T]:
    """The items, one by one. check: called ahead of each; it raises where the work on them is to stop."""
    for item in items:
        check()
        yield item


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """While inside, SIGINT and SIGTERM make the given request answer True; a second signal raises KeyboardInterrupt.

    Outside of the main thread signals cannot be caught: there it always answers False.
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
