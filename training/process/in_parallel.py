"""Work on many items in a few threads, with the results in order. OpenCV and NumPy run beside each other in threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_THREADS: Final = 8
"""More threads than this wait for the disk and for the thread that hands out the items."""


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    """Yield `work(item)` for every item, in order, working ahead on as many items as there are processors.

    `items` is read by the caller's thread. An exception in `work` or `items` ends the iteration.
    """
    threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)))
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="preparation") as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
