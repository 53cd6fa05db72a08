"""What a log record contains, and what it never contains."""

from __future__ import annotations

import contextvars
import json
import logging
import subprocess
import sys

import numpy as np
import pytest
from dance.v1 import frame_pb2
from grpc._cython import cygrpc

from serving.observability import logs
from serving.rpc.server import ServerSettings

JSON, TEXT = logs.JsonFormatter(), logs.TextFormatter()


def record(message: str, *args: object, **facts: object) -> logging.LogRecord:
    made = logging.LogRecord("orchestrator.edge.session_log", logging.INFO, "journal.py", 1, message, args, None)
    made.facts = logs.facts(**facts)["facts"]
    return made


def in_session(formatter: logging.Formatter, made: logging.LogRecord, sequence: int | None = None) -> str:
    """Format a record for a session and a frame."""

    def formatted() -> str:
        logs.SESSION.set("3f2a9c")
        logs.SEQUENCE.set(sequence)
        return formatter.format(made)

    return contextvars.copy_context().run(formatted)


def test_a_json_record_is_one_object_on_one_line():
    """Time, level, logger, message, session, sequence and the facts have fields of their own."""
    line = in_session(JSON, record("session\nended", reason="finished", frames=65, stage=None), sequence=7)
    assert "\n" not in line
    said = json.loads(line)
    assert said.pop("time").endswith("Z")
    assert said == {
        "level": "INFO", "logger": "orchestrator.edge.session_log", "message": "session\nended", "session": "3f2a9c",
        "sequence": 7, "reason": "finished", "frames": 65,
    }  # fmt: skip


def test_outside_of_a_session_nothing_is_said_of_one():
    """A record outside a session has neither a session nor a sequence."""
    assert not {"session", "sequence"} & json.loads(JSON.format(record("draining"))).keys()


def test_a_text_record_says_the_same_in_a_line():
    """Words with spaces or line breaks are quoted, so no name can look like another record."""
    line = in_session(TEXT, record("session opened", actor="anna", client="a b\nINFO x: done"))
    assert line.endswith(
        'INFO orchestrator.edge.session_log: session opened session=3f2a9c actor=anna client="a b\\nINFO x: done"'
    )


@pytest.mark.parametrize("formatter", [JSON, TEXT])
def test_pictures_are_named_by_their_size(formatter: logging.Formatter):
    """Bytes, arrays and messages never reach a log, neither as facts nor within a message."""
    pixels = b"\x17\x18" * 600
    array = np.full((64, 48, 3), 231, np.uint8)
    message = frame_pb2.Picture(data=pixels, width_px=20)
    made = record("got %s and %s and %s", pixels, array, message, picture=pixels, label=array, many=[pixels], m=message)
    line = formatter.format(made)
    assert line.count("<1200 bytes>") == 3
    assert line.count("<64x48x3 uint8>") == 2
    assert line.count("<Picture>") == 2
    assert "x17" not in line
    assert "231 231" not in line  # the time of the record may contain one 231


@pytest.mark.parametrize("formatter", [JSON, TEXT])
def test_tokens_are_struck_out(formatter: logging.Formatter):
    """A bearer token or a JWT that a library quotes is removed, even from a traceback."""
    made = record("refused: authorization: Bearer s3cret.abc, %s", "eyJhbGci.eyJzdWI.c2ln", header="bearer other")
    try:
        raise ValueError("Bearer third-one")
    except ValueError:
        made.exc_info = sys.exc_info()
    line = formatter.format(made)
    assert not [secret for secret in ("s3cret", "eyJ", "other", "third") if secret in line]
    assert "ValueError" in line


def test_an_exception_stays_in_its_json_record():
    """A multi-line traceback is one field of one line."""
    made = record("failed")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        made.exc_info = sys.exc_info()
    line = JSON.format(made)
    assert "\n" not in line
    assert "RuntimeError: broken" in json.loads(line)["exception"]


def test_a_caller_that_has_gone_is_not_an_error(capsys: pytest.CaptureFixture[str]):
    """grpcio's traceback for a status whose caller has gone becomes INFO; its other failures are unchanged."""

    def failed(*operations: str) -> None:
        try:
            raise cygrpc.ExecuteBatchError(f'Failed "execute_batch": {operations}')
        except cygrpc.ExecuteBatchError:
            logging.getLogger("grpc._cython.cygrpc").exception("raised in core by %s", "Transfer")

    root, handlers, level = logging.getLogger(), logging.getLogger().handlers[:], logging.getLogger().level
    try:
        logs.configure("INFO", "json")
        failed("SendStatusFromServerOperation")
        logs.configure("WARNING", "json")
        failed("SendStatusFromServerOperation")
        failed("SendMessageOperation", "SendStatusFromServerOperation")
    finally:
        root.handlers = handlers
        root.setLevel(level)
    gone, unsent = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (gone["level"], gone["message"]) == ("INFO", "the caller had gone before its status was sent")
    assert gone["grpc"] == "raised in core by Transfer"
    assert "exception" not in gone
    assert (unsent["level"], unsent["message"]) == ("ERROR", "raised in core by Transfer")
    assert "SendMessageOperation" in unsent["exception"]


def test_session_ids_are_random_and_harmless():
    """Ids differ, and anything else that a caller sends as an id is rejected."""
    first, second = logs.new_session_id(), logs.new_session_id()
    assert first != second
    assert logs.is_session_id(first)
    assert not [text for text in ("", "a b", "a\n", "x" * 65, "ä") if logs.is_session_id(text)]


def test_an_unknown_format_is_refused():
    """Any format except json and text is refused, and the error names the setting."""
    with pytest.raises(ValueError, match="log_format must be json or text, got 'xml'"):
        ServerSettings(log_format="xml")  # type: ignore[arg-type]


PROCESS = """
import asyncio, os, signal
from serving.rpc.server import ServerSettings, Service, run_service

class Example(Service):
    name, full_names = "example", ()
    def register(self, server): pass
    def ready_facts(self):
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        return {}

os.environ["X_LOG_FORMAT"] = "json"
run_service(lambda settings: Example(), ServerSettings, "X_")
"""


def test_a_process_logs_objects_from_its_start_to_its_end():
    """Every line on stderr is an object: serving with its ports, draining, ended; stdout has only the ready line."""
    ended = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, timeout=60, check=True)
    said = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [one["message"] for one in said] == ["serving", "draining", "ended"]
    assert said[0]["service"] == "example"
    assert said[0]["port"] > 0
    assert ended.stdout.startswith("ready name=example port=")
