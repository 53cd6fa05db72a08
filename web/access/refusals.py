"""The gateway's refusals: an HTTP status, a stable word for the page, and a sentence for people."""

from __future__ import annotations

from serving.errors import DanceError


class Refused(DanceError):
    """A request is refused.

    status: of HTTP. word: stable, in snake_case; the page finds its own sentence with it. The message is for people:
    what was wrong, what was expected, what to do. retry_after_seconds: when a retry may help; None if it will not.
    """

    def __init__(self, status: int, word: str, text: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.word = word
        self.retryable = retry_after_seconds is not None
        self.retry_after_seconds = retry_after_seconds
