"""When the client retries a server, and when it gives up."""

from __future__ import annotations

import random

import pytest
from grpc import StatusCode

from client.connection.retry import ServerPatience
from client.errors import ServerDraining, ServerError

GONE = ServerError("it is gone", retryable=True)


class Clock:
    def __init__(self) -> None:
        self.now_seconds = 100.0

    def __call__(self) -> float:
        return self.now_seconds


def patience_of(limit_seconds: float, clock: Clock, *, reached: bool = True, seed: int = 1) -> ServerPatience:
    return ServerPatience(limit_seconds, reached=reached, clock=clock, chance=random.Random(seed))


def waits_until_the_end(patience: ServerPatience, clock: Clock, failure: ServerError = GONE) -> list[float]:
    waits: list[float] = []
    while patience.left_seconds > 1e-6:
        waits.append(patience.wait_after(failure))
        clock.now_seconds += waits[-1]
    with pytest.raises(ServerError, match="it is gone; tried again for 60 s"):
        patience.wait_after(failure)
    return waits


def test_waits_double_up_to_eight_seconds_and_fill_the_limit():
    """Each wait is in the upper half of its range, and the last attempt is exactly at the limit."""
    clock = Clock()
    waits = waits_until_the_end(patience_of(60, clock), clock)
    for attempt, wait_seconds in enumerate(waits[:-1]):
        longest = min(8.0, 0.25 * 2**attempt)
        assert longest / 2 <= wait_seconds <= longest
    assert sum(waits) == pytest.approx(60)


def test_clients_of_one_server_do_not_come_back_together():
    """Two clients draw different waits."""
    first, second = (patience_of(60, Clock(), seed=seed).wait_after(GONE) for seed in (1, 2))
    assert first != second


def test_server_is_not_asked_before_it_wants_to_be():
    """RetryInfo is the minimum wait; one beyond the limit fails at once."""
    full = ServerError("it is full", retryable=True, retry_after_seconds=3)
    assert 3 <= patience_of(60, Clock()).wait_after(full) <= 3.75
    with pytest.raises(ServerError, match="it is full; tried again for 2 s"):
        patience_of(2, Clock()).wait_after(full)


def test_only_progress_ends_an_outage():
    """A server that returns and fails before any progress uses up the same patience; connected time does not count."""
    clock = Clock()
    patience = patience_of(60, clock)
    for _ in range(3):
        clock.now_seconds += patience.wait_after(GONE) + 15
        patience.connected()
        clock.now_seconds += 1000
    assert 10 < patience.left_seconds < 15
    patience.progress()
    assert patience.left_seconds == 60
    assert patience.wait_after(GONE) <= 0.25


def test_what_cannot_get_better_is_not_tried_again():
    """A refusal, a limit of zero, and a server that was never reached raise the failure itself."""
    refused = ServerError("there is no actor 'swan'")
    for patience, failure in (
        (patience_of(60, Clock()), refused),
        (patience_of(0, Clock()), GONE),
        (patience_of(60, Clock(), reached=False), GONE),
    ):
        with pytest.raises(ServerError) as told:
            patience.wait_after(failure)
        assert told.value is failure


def test_draining_server_is_left_at_once_but_only_once():
    """Another server should take over; if none does, the waits begin."""
    draining = ServerDraining("shutting down", b"state", 4)
    patience = patience_of(60, Clock())
    assert patience.wait_after(draining) == 0
    assert patience.wait_after(draining) > 0


def test_error_names_the_cause_that_was_told_best():
    """A connection cut during a write hides the server's message, so the error keeps that of an earlier attempt."""
    clock = Clock()
    patience = patience_of(60, clock)
    patience.wait_after(ServerError("stage pose failed", StatusCode.UNAVAILABLE, retryable=True))
    clock.now_seconds += 61
    with pytest.raises(ServerError, match="stage pose failed; tried again for 60 s"):
        patience.wait_after(ServerError("the connection was lost", StatusCode.INTERNAL, retryable=True))
