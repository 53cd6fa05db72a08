"""The log of every process, on stderr: a JSON record per line for machines, or readable lines for people.

Every record written for a session carries the session's id, and the frame's number if there is one, in every process;
`serving/rpc/call_context.py` passes both on. No record contains pixels, messages or tokens: bytes, arrays and protobuf
messages are logged as their size or kind.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, Literal

LogFormat = Literal["json", "text"]

SESSION: Final[ContextVar[str]] = ContextVar("session", default="")
"""Id of the current session; empty without one."""
SEQUENCE: Final[ContextVar[int | None]] = ContextVar("sequence", default=None)
"""Number of the current frame."""

_SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_GRPC_LOGGER: Final = "grpc._cython.cygrpc"
_STATUS: Final = "SendStatusFromServerOperation"
_MESSAGE: Final = "SendMessageOperation"
# A safety net: we never log a header, but a library's message may quote one.
_TOKEN: Final = re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*")


def new_session_id() -> str:
    """Return a random id, short enough to read aloud: 12 hexadecimal digits."""
    return secrets.token_hex(6)


def is_session_id(text: str) -> bool:
    """Whether this is a valid session id: 1 to 64 letters, digits, "-" and "_"."""
    return _SESSION_ID.fullmatch(text) is not None


def facts(**named: Any) -> dict[str, Any]:
    """Return `extra=` for a log call: named values for the record.

        log.info("session ended", extra=facts(reason="finished", frames=65))

    None is left out. No name may be one of the record's own fields: time, level, logger, message.
    """
    return {"facts": {name: value for name, value in named.items() if value is not None}}


def configure(level: str, log_format: str) -> None:
    """Make the whole process log to stderr. level: a name of `logging`. log_format: "json" or "text"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    handler.addFilter(_caller_gone)
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _caller_gone(record: logging.LogRecord) -> bool:
    """Log a status for a caller that has gone as INFO: grpcio logs it as an error. A filter of `logging`."""
    failure = str(record.exc_info[1]) if record.exc_info else ""
    if record.name == _GRPC_LOGGER and _STATUS in failure and _MESSAGE not in failure:
        record.facts = {"grpc": record.getMessage()}
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.msg, record.args, record.exc_info = "the caller had gone before its status was sent", None, None
    return logging.getLogger(record.name).isEnabledFor(record.levelno)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC, RFC 3339), level, logger, message, session, sequence, facts, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        seconds, milliseconds = time.gmtime(record.created), int(record.msecs)
        written: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', seconds)}.{milliseconds:03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **_where(record),
            **{name: _loggable(value) for name, value in _facts(record).items()},
        }
        if record.exc_info:
            written["exception"] = _without_tokens(self.formatException(record.exc_info))
        return json.dumps(written, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """A line for people: time, level, logger, message, then the other fields of `JsonFormatter` as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        named = {**_where(record), **_facts(record)}
        words = [_message(record), *(f"{name}={_word(_loggable(value))}" for name, value in named.items())]
        text = f"{self.formatTime(record)} {record.levelname} {record.name}: {' '.join(words)}"
        if record.exc_info:
            text += "\n" + _without_tokens(self.formatException(record.exc_info))
        return text


def _where(record: logging.LogRecord) -> dict[str, Any]:
    named: dict[str, Any] = {}
    if session := SESSION.get():
        named["session"] = session
    sequence = SEQUENCE.get()
    if sequence is not None and "sequence" not in _facts(record):
        named["sequence"] = sequence
    return named


def _facts(record: logging.LogRecord) -> Mapping[str, Any]:
    named: Mapping[str, Any] = getattr(record, "facts", {})
    return named


def _message(record: logging.LogRecord) -> str:
    arguments = record.args
    if isinstance(arguments, Mapping):
        arguments = {name: _loggable(value) for name, value in arguments.items()}
    elif arguments:
        arguments = tuple(_loggable(value) for value in arguments)
    message = str(_loggable(record.msg))
    return _without_tokens(message % arguments if arguments else message)


def _loggable(value: Any) -> Any:
    """Return the value, or a description if it may be a picture or a message."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"<{'x'.join(map(str, value.shape))} {value.dtype}>" if value.shape else str(value)
    if hasattr(value, "DESCRIPTOR"):
        return f"<{value.DESCRIPTOR.name}>"
    if isinstance(value, list | tuple | set):
        return [_loggable(item) for item in value]
    return _without_tokens(value) if isinstance(value, str) else value


def _without_tokens(text: str) -> str:
    return _TOKEN.sub(lambda found: f"{found[1]} ***" if found[1] else "***", text)


def _word(value: Any) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    # A client may choose a name with a line break, which must not look like another record.
    return json.dumps(text, ensure_ascii=False) if not text or re.search(r'[\s"=]', text) else text
