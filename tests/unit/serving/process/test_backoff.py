"""Exponential back-off."""

from __future__ import annotations

import random

from serving.process.backoff import Backoff


def test_pauses_double_up_to_the_longest():
    """Each pause is twice the one before; the failures and the pauses are counted."""
    backoff = Backoff(1, 30)
    assert [backoff.next_seconds() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert (backoff.failures, backoff.paused_seconds) == (7, 91)


def test_first_retry_may_come_at_once():
    """With `at_once`, the first pause is zero and the second is the shortest real one."""
    backoff = Backoff(0.05, 0.2, at_once=True)
    assert [backoff.next_seconds() for _ in range(5)] == [0, 0.05, 0.1, 0.2, 0.2]


def test_reset_starts_over():
    """After a success the next failure gets the first pause again."""
    backoff = Backoff(1, 30)
    backoff.next_seconds()
    backoff.next_seconds()
    backoff.reset()
    assert (backoff.failures, backoff.paused_seconds, backoff.next_seconds()) == (0, 0, 1)


def test_jitter_draws_from_the_upper_half():
    """Two clients draw different pauses, each between half and all of the exact one."""
    first, second = (Backoff(0.25, 8, jitter=random.Random(seed)) for seed in (1, 2))
    for exact_seconds in (0.25, 0.5, 1, 2, 4, 8, 8):
        pauses = first.next_seconds(), second.next_seconds()
        assert pauses[0] != pauses[1]
        assert all(exact_seconds / 2 <= pause <= exact_seconds for pause in pauses)
