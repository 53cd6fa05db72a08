"""Places for streams, in total and per client."""

from __future__ import annotations

import pytest

from orchestrator.edge.admission import Places
from serving.errors import AtCapacity
from serving.rpc.authentication import ANONYMOUS


def test_a_client_has_its_own_limit_and_all_have_another():
    """The refusal names the limit that was reached."""
    places = Places(most=3, most_per_client=2)
    with places.hold("token:a"), places.hold("token:a"):
        with pytest.raises(AtCapacity, match="token:a has all 2"), places.hold("token:a"):
            raise AssertionError("must not get here")
        with places.hold("token:b"), pytest.raises(AtCapacity, match="all 3"), places.hold("token:c"):
            raise AssertionError("must not get here")
    assert places.taken == 0


def test_a_place_comes_back_however_its_session_ends():
    """An error returns the place, and nothing is kept of a client that has gone."""
    places = Places(most=1, most_per_client=1)
    with pytest.raises(RuntimeError, match="died"), places.hold("token:a"):
        raise RuntimeError("died")
    assert places.refusal("token:a") is None
    assert not places._taken


def test_anonymous_callers_have_only_the_common_limit():
    """Anonymous callers do not share one client's limit."""
    places = Places(most=2, most_per_client=1)
    with places.hold(ANONYMOUS), places.hold(ANONYMOUS):
        assert str(places.refusal(ANONYMOUS)) == "all 2 sessions are taken"
