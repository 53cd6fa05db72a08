"""The ladder of a LIVE session, on a made clock: a camera, and a machine that takes a given time for each rung."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.session.ladder import Change, Ladder, LadderRules, Seen

WORK = (2.0, 1.65, 1.45, 1.21, 0.9, 0.7)
PERIOD_S = 0.04


class Machine:
    """A session at a camera's rate. busy: seconds of a frame at a rung, at a time since the session's start."""

    def __init__(self, ladder: Ladder, busy: Callable[[int, float], float], period_s: float = PERIOD_S) -> None:
        self.ladder = ladder
        self.changes: list[tuple[float, Change]] = []
        self.now_s = 0.0
        self._busy = busy
        self._period_s = period_s
        self._sequence = 0

    def run(self, seconds: float) -> None:
        """Show frames for a while: each takes its time, and the camera's frames until then are dropped."""
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            rung = self.ladder.rung
            busy_s = self._busy(rung, self.now_s)
            self.now_s = max(self.now_s + busy_s, (self._sequence + 1) * self._period_s)
            self._see(Seen(rung, self._sequence, self._sequence * self._period_s, busy_s, False))
            newest = int(self.now_s / self._period_s)
            for sequence in range(self._sequence + 1, newest):
                self._see(Seen(rung, sequence, sequence * self._period_s, None, True))
            self._sequence = max(newest, self._sequence + 1)

    def _see(self, seen: Seen) -> None:
        change = self.ladder.see(seen, self.now_s)
        if change is not None:
            self.changes.append((self.now_s, change))

    @property
    def rungs(self) -> list[int]:
        """The rungs that were stepped to."""
        return [change.after for _, change in self.changes]


def constant(load: float, work: Sequence[float] = WORK) -> Callable[[int, float], float]:
    """A machine whose load at the best rung is `load`, and in proportion at the others."""
    return lambda rung, now_s: load * PERIOD_S * work[rung] / work[0]


def test_a_machine_that_holds_the_rate_stays_at_the_best_rung() -> None:
    """Without a reason there is no step."""
    machine = Machine(Ladder(WORK), constant(0.9))
    machine.run(60)
    assert machine.changes == []


def test_a_machine_that_is_far_too_slow_steps_down_at_once() -> None:
    """One window decides, and one step leads to a rung that can hold the rate."""
    machine = Machine(Ladder(WORK), constant(1.8))
    machine.run(4)
    assert machine.rungs == [4]
    assert machine.changes[0][0] < 2.5
    assert machine.changes[0][1].load == pytest.approx(1.8, abs=0.01)


def test_drops_that_the_pipeline_did_not_cause_change_nothing() -> None:
    """A slow network between client and server loses frames, but no smaller picture would bring them back."""
    ladder = Ladder(WORK)
    for sequence in range(0, 3000, 3):
        assert ladder.see(Seen(0, sequence, sequence * PERIOD_S, 0.02, False), sequence * PERIOD_S) is None


def test_a_single_slow_frame_changes_nothing() -> None:
    """A frame a second that is half a second late does not make the session step down."""
    ladder = Ladder(WORK)
    for sequence in range(1000):
        busy_s = 0.5 if sequence % 25 == 10 else 0.02
        assert ladder.see(Seen(0, sequence, sequence * PERIOD_S, busy_s, False), sequence * PERIOD_S) is None


def test_a_load_that_goes_lets_the_session_step_up_again() -> None:
    """While the machine is busy with something else for ten seconds, frames are drawn at a lower rung."""
    machine = Machine(Ladder(WORK), lambda rung, now_s: constant(1.8 if 10 < now_s < 20 else 0.5)(rung, now_s))
    machine.run(20)
    assert machine.ladder.rung >= 3
    machine.run(60)
    assert machine.ladder.rung == 0
    ups = machine.rungs[1:]
    assert all(later == earlier - 1 for earlier, later in pairwise([machine.rungs[0], *ups]))


def test_each_failed_step_up_doubles_the_wait() -> None:
    """The better rung costs far more than expected, so every attempt fails; attempts become rare."""
    ladder = Ladder((1.0, 0.9))
    machine = Machine(ladder, lambda rung, now_s: (1.6, 0.5)[rung] * PERIOD_S)
    machine.run(200)
    ups = [at_s for at_s, change in machine.changes if change.after == 0]
    waits = [later - earlier for earlier, later in pairwise(ups)]
    assert len(ups) >= 4
    assert all(later > 1.5 * earlier for earlier, later in pairwise(waits))


def test_a_step_up_that_holds_is_forgiven() -> None:
    """After a step up has held, the next one needs no longer wait than at the start."""
    rules = LadderRules()
    machine = Machine(Ladder((1.0, 0.9)), lambda rung, now_s: (1.6 if now_s < 60 else 0.5, 0.5)[rung] * PERIOD_S)
    machine.run(60 + 64 + rules.probation_seconds)
    assert machine.ladder.rung == 0
    held = machine.now_s
    machine._busy = lambda rung, now_s: (1.6 if now_s < held + 3 else 0.5, 0.5)[rung] * PERIOD_S
    machine.run(3 + 3 * rules.calm_seconds)
    assert machine.ladder.rung == 0


def test_a_rung_that_is_not_allowed_is_passed_over() -> None:
    """A size whose network is not ready yet is not stepped to, from above or from below."""
    ladder = Ladder(WORK)
    ladder.forbid(3, 4, 5)
    machine = Machine(ladder, constant(1.9))
    machine.run(10)
    assert machine.rungs == [2]
    for rung in (3, 4, 5):
        ladder.allow(rung)
    machine.run(10)
    assert machine.ladder.rung > 2


def test_answers_of_another_rung_do_not_count() -> None:
    """After a step, frames in flight were still drawn at the old rung."""
    ladder = Ladder(WORK)
    for sequence in range(500):
        assert ladder.see(Seen(1, sequence, sequence * PERIOD_S, 0.2, False), sequence * PERIOD_S) is None


def test_without_a_person_nothing_is_known() -> None:
    """An empty stage costs little: a session must not step up for it, and down when the dancer comes back."""
    machine = Machine(Ladder(WORK), constant(1.9))
    machine.run(5)
    rung, start = machine.ladder.rung, int(machine.now_s / PERIOD_S) + 1
    for sequence in range(start, start + 2500):
        assert machine.ladder.see(Seen(rung, sequence, sequence * PERIOD_S, None, False), sequence * PERIOD_S) is None


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=6), st.data())
def test_it_never_leaves_the_ladder(parts: list[float], data: st.DataObject) -> None:
    """Whatever the machine does, and whichever rungs are ready, a rung is one that exists and is allowed."""
    work = sorted(parts, reverse=True)
    ladder = Ladder(work)
    forbidden = data.draw(st.sets(st.integers(1, len(work) - 1))) if len(work) > 1 else set()
    ladder.forbid(*forbidden)
    loads = data.draw(st.lists(st.floats(0.01, 20), min_size=1, max_size=8))
    machine = Machine(ladder, lambda rung, now_s: loads[int(now_s / 10) % len(loads)] * PERIOD_S * work[rung])
    machine.run(60)
    assert set(machine.rungs) <= set(range(len(work))) - forbidden
    for (_, earlier), (_, later) in pairwise(machine.changes):
        assert later.before == earlier.after
        assert later.before != later.after


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 6.0), st.lists(st.floats(0.5, 1.5), min_size=6, max_size=6))
def test_it_settles_under_a_constant_load(load: float, surprises: list[float]) -> None:
    """However far the real work is from the expected one, the session finds its rung and hardly leaves it."""
    period_s = 0.15
    machine = Machine(
        Ladder(WORK), lambda rung, now_s: load * period_s * WORK[rung] / WORK[0] * surprises[rung], period_s
    )
    machine.run(250)
    settled = len(machine.changes)
    machine.run(250)
    attempts = 1 + 250 // 64
    assert len(machine.changes) - settled <= 2 * attempts


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 0.99))
def test_a_constant_load_below_the_limit_never_swings(load: float) -> None:
    """Where work is as expected, no step is taken back."""
    machine = Machine(Ladder(WORK), constant(3 * load))
    machine.run(60)
    downs = [change for _, change in machine.changes if change.after > change.before]
    ups = [change for _, change in machine.changes if change.after < change.before]
    assert len(downs) <= 1 or not ups


def test_work_must_not_rise() -> None:
    """A rung below another costs less."""
    with pytest.raises(ValueError, match="descending"):
        Ladder((1.0, 1.1))
    with pytest.raises(ValueError, match="at least one"):
        Ladder(())
