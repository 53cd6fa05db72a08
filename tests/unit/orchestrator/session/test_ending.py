"""How a stream ends: the phases of a drain, and the reason that is counted."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.session.ending import Ending, EndReason, Phase
from serving.errors import AtCapacity, BadInput, Draining, StageTimeout, StageUnavailable


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (None, EndReason.FINISHED),
        (asyncio.CancelledError(), EndReason.CANCELLED),
        (StageTimeout("client", None, "silent"), EndReason.CLIENT_SILENT),
        (StageTimeout("session", None, "long"), EndReason.TOO_LONG),
        (StageTimeout("pose", 3, "slow"), EndReason.STAGE_TIMEOUT),
        (StageUnavailable("pose", 3, "gone"), EndReason.STAGE_FAILED),
        (AtCapacity("full"), EndReason.FULL),
        (Draining("later"), EndReason.DRAINING),
        (BadInput("config", "bad"), EndReason.REFUSED),
        (RuntimeError("bug"), EndReason.BROKEN),
    ],
)
def test_every_failure_has_a_reason(failure: BaseException | None, reason: EndReason) -> None:
    """The reason follows from the failure; a drain that has begun does not change it."""
    ending = Ending()
    ending.drain()
    assert ending.reason(failure) is reason


def test_a_client_asked_to_resume_counts_as_drained() -> None:
    """Once the client is told where to resume, its end and its cancellation count as drained; failures do not."""
    ending = Ending()
    ending.enter(Phase.DRAINED)
    assert ending.reason(None) is EndReason.DRAINED
    assert ending.reason(asyncio.CancelledError()) is EndReason.DRAINED
    assert ending.reason(StageTimeout("client", None, "silent")) is EndReason.CLIENT_SILENT


async def test_waiting_for_a_phase_ends_at_a_later_one() -> None:
    """A task that waits for a phase is woken by that phase or any later one, and a finished stream is not drained."""
    ending = Ending()
    waiting = asyncio.create_task(ending.at_least(Phase.ANSWERED))
    for phase in (Phase.DRAINING, Phase.INPUT_STOPPED):
        ending.enter(phase)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    ending.enter(Phase.FINISHED)
    assert await waiting is Phase.FINISHED
    ending.drain()
    assert ending.phase is Phase.FINISHED
