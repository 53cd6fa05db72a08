"""The gateway's refusals: an HTTP status, a stable word for the page, and a sentence for people."""

from __future__ import annotations

from typing import Final

from grpc import StatusCode
from prometheus_client import Counter
from starlette.responses import JSONResponse

from client.errors import ServerError
from serving.errors import DanceError

REFUSALS: Final = Counter("dance_web_refusals", "Refused requests of pages, by the word of the reason", ["reason"])


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


def refusal_response(refusal: Refused) -> JSONResponse:
    """Count the refusal, and return it as JSON: `{"error": {"code": "origin", "text": "…"}}`."""
    REFUSALS.labels(refusal.word).inc()
    headers = {}
    if refusal.retry_after_seconds is not None:
        headers["retry-after"] = str(max(1, round(refusal.retry_after_seconds)))
    return JSONResponse({"error": {"code": refusal.word, "text": str(refusal)}}, refusal.status, headers)


_WORDS: Final = {
    StatusCode.NOT_FOUND: (404, "actor_not_found"),
    StatusCode.FAILED_PRECONDITION: (409, "actor_unusable"),
    StatusCode.INVALID_ARGUMENT: (400, "refused_by_server"),
    StatusCode.UNAUTHENTICATED: (401, "sign_in"),
    StatusCode.PERMISSION_DENIED: (403, "not_allowed"),
    StatusCode.RESOURCE_EXHAUSTED: (503, "server_full"),
    StatusCode.DEADLINE_EXCEEDED: (504, "server_silent"),
    StatusCode.UNIMPLEMENTED: (501, "server_too_old"),
}


_ABOUT_CONSENTS: Final = {True: (409, "consent_not_stated"), False: (409, "consent_ended")}


def consent_word(error: ServerError) -> tuple[int, str] | None:
    """Return the HTTP status and the word if no consent allows the actor, or no longer; None for other errors."""
    return _ABOUT_CONSENTS[error.consent == "not_stated"] if error.consent else None


def refused_by_server(error: ServerError) -> Refused:
    """Return what a page is told of the orchestrator's error. Its text may name a host, which is only logged."""
    if error.status is None or error.status is StatusCode.UNAVAILABLE:
        text = "The server that dances cannot be reached: it may be starting. Try again in a moment."
        return Refused(503, "server_unreachable", text, retry_after_seconds=error.retry_after_seconds or 2.0)
    status, word = consent_word(error) or _WORDS.get(error.status, (502, "server_failed"))
    retry_after_seconds = error.retry_after_seconds or (2.0 if error.retryable else None)
    return Refused(status, word, f"The server answered: {error}", retry_after_seconds=retry_after_seconds)
