"""Sequences that read their items when they are indexed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock

import numpy as np
import pytest

from training.data.lazy import Lazy, mapped_arrays


def test_items_are_read_when_they_are_indexed():
    read: list[int] = []

    def item(index: int) -> int:
        read.append(index)
        return 10 * index

    items = Lazy(4, item)
    assert len(items) == 4
    assert read == []
    assert items[2] == 20
    assert items[-2:] == [20, 30]
    assert read == [2, 2, 3]


def test_two_threads_never_parse_headers_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Python 3.11 may raise a SystemError then: the first read waits for a second one, which must not come."""
    paths = [tmp_path / f"{number}.npy" for number in range(2)]
    for number, path in enumerate(paths):
        np.save(path, np.full((2, 3), number, np.uint8))
    load, busy, second = np.load, Lock(), Event()

    def watched(*arguments, **options):
        if busy.acquire(blocking=False):
            second.wait(timeout=0.3)
            busy.release()
        else:
            second.set()
        return load(*arguments, **options)

    monkeypatch.setattr(np, "load", watched)
    arrays = mapped_arrays(paths)
    with ThreadPoolExecutor(2) as pool:
        read = list(pool.map(arrays.__getitem__, range(2)))
    assert [int(array[1, 2]) for array in read] == [0, 1]
    assert not second.is_set()
