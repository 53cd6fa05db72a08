from training.reporting.progress import PhaseClock


def test_time_left_follows_what_is_done():
    """A quarter done in ten seconds leaves thirty; another phase begins anew."""
    now = [100.0]
    clock = PhaseClock(lambda: now[0])
    assert clock.progress("poses", 0, 40).seconds_left is None
    now[0] = 110.0
    quarter = clock.progress("poses", 10, 40)
    assert (quarter.part, quarter.done, quarter.total, quarter.seconds_left) == (0.25, 10, 40, 30.0)
    assert clock.progress("plate", 1, 2).seconds_left is None


def test_what_was_done_before_does_not_count_as_speed():
    """A phase that starts in the middle is timed from there."""
    now = [0.0]
    clock = PhaseClock(lambda: now[0])
    clock.progress("poses", 30, 40)
    now[0] = 10.0
    assert clock.progress("poses", 35, 40).seconds_left == 10.0


def test_unknown_totals_have_no_part():
    """Without a total only the count is told; more than was promised is still the whole."""
    clock = PhaseClock(lambda: 0.0)
    unknown = clock.progress("poses", 5, None)
    assert (unknown.done, unknown.part, unknown.seconds_left) == (5, None, None)
    assert clock.progress("poses", 50, 40).part == 1
