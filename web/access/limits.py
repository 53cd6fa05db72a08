"""How many at once: all together, and for each user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from web.access.refusals import Refused
from web.access.visitors import Visitor

_RETRY_SECONDS = 10.0


class Limits:
    """Counts what is under way. what: its name in the refusal, such as "live sessions"."""

    def __init__(self, what: str, *, most: int, most_per_user: int) -> None:
        self._what = what
        self._most = most
        self._most_per_user = most_per_user
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def admitted(self, visitor: Visitor) -> Iterator[None]:
        """Count one more while the context lasts. Raises Refused 429 for this user, 503 for the whole gateway."""
        key = visitor.limits_key
        if self._under_way[key] >= self._most_per_user:
            raise Refused(
                429,
                "too_many_yours",
                f"You have {self._under_way[key]} {self._what} already, which is the limit: end one first.",
                retry_after_seconds=_RETRY_SECONDS,
            )
        if self._under_way.total() >= self._most:
            raise Refused(
                503,
                "full",
                f"All {self._most} places for {self._what} are taken: try again in a moment.",
                retry_after_seconds=_RETRY_SECONDS,
            )
        self._under_way[key] += 1
        try:
            yield
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    @property
    def under_way(self) -> int:
        """How many are under way."""
        return self._under_way.total()
