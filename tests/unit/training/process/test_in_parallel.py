"""Work in threads returns results in order, reads its items bounded ahead, and passes errors on."""

import threading

import pytest

from training.process.in_parallel import in_parallel


def test_results_come_in_order():
    """Every item is worked on once, and results keep the order of the items."""
    assert list(in_parallel(lambda item: item * item, range(50))) == [item * item for item in range(50)]
    assert list(in_parallel(str, [])) == []


def test_work_is_done_beside_the_caller():
    """The work runs in other threads than the caller's, which reads the items."""
    readers = []

    def items():
        for item in range(4):
            readers.append(threading.get_ident())
            yield item

    workers = list(in_parallel(lambda _: threading.get_ident(), items()))
    assert set(readers) == {threading.get_ident()}
    assert threading.get_ident() not in workers


def test_items_are_not_read_far_ahead():
    """A consumer that stops leaves most of a long footage unread."""
    read = []

    def items():
        for item in range(1000):
            read.append(item)
            yield item

    results = in_parallel(lambda item: item, items())
    assert next(results) == 0
    results.close()
    assert len(read) < 20


def test_an_error_reaches_the_caller():
    """An exception in the work is raised where its result is taken."""
    with pytest.raises(ZeroDivisionError):
        list(in_parallel(lambda item: 1 // item, [1, 0, 2]))
