"""Admission: how many streams a server accepts, in total and per client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from serving.errors import AtCapacity
from serving.rpc.authentication import ANONYMOUS


class Places:
    """The places for streams, in total and per client.

    Anonymous callers cannot be distinguished, so only the total limit applies to them.
    """

    def __init__(self, *, most: int, most_per_client: int) -> None:
        self._most: Final = most
        self._most_per_client: Final = most_per_client
        self._taken: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """The number of places that are taken."""
        return self._taken.total()

    def refusal(self, client: str) -> AtCapacity | None:
        """Return why `client` cannot open another stream now; None if it can."""
        if client != ANONYMOUS and self._taken[client] >= self._most_per_client:
            return AtCapacity(f"{client} has all {self._most_per_client} sessions that one client may have")
        if self.taken >= self._most:
            return AtCapacity(f"all {self._most} sessions are taken")
        return None

    @contextmanager
    def hold(self, client: str) -> Iterator[None]:
        """Hold a place while the context lasts. Raises AtCapacity."""
        refusal = self.refusal(client)
        if refusal is not None:
            raise refusal
        self._taken[client] += 1
        try:
            yield
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]  # or the counter would grow with every new client
