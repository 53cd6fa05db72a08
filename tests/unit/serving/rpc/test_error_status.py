"""Callers get the reason of an error, without the server's paths and code."""

from __future__ import annotations

import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode

from serving.errors import ActorUnusable, BadInput, NoConsent, StageUnavailable
from serving.rpc.error_status import status_of, without_paths

OF_TRITON = """load failed for model 'a': version 1 is at UNAVAILABLE state: Internal: TritonModelException: \
ActorUnusable: /srv/actors/a/1/generator.onnx is not a readable network: Unable to read the model: \
/srv/actors/a/1/generator.onnx Please check

At:
  /tmp/dance-generator-x/repository/a/1/model.py(42): initialize
;
"""
OF_PYTHON = """it broke: Traceback (most recent call last):
  File "/app/services/generator/model.py", line 40, in initialize
ValueError: no
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            OF_TRITON,
            "load failed for model 'a': version 1 is at UNAVAILABLE state: Internal: TritonModelException: "
            "ActorUnusable: generator.onnx is not a readable network: Unable to read the model: generator.onnx "
            "Please check",
        ),
        (OF_PYTHON, "it broke:"),
        ("it broke\n  /app/x/model.py(30): execute\n  /app/y.py(1): run", "it broke"),
        (
            "[Errno 13] Permission denied: '/home/a user/actors/a/1/plate.png'",
            "[Errno 13] Permission denied: 'plate.png'",
        ),
        ("connect to unix:/tmp/dance-socket-1-2-x/grpc:0 failed", "connect to unix:grpc:0 failed"),
        ("no space left on /var/lib/dance/", "no space left on …"),
        ("(/var/lib/x) and `/etc/y/z`", "(x) and `z`"),
        ("(/var/lib/x),/etc/y/z;/a/b:/c/d", "(x),z;b:d"),
        ("cannot open file:///srv/a/b", "cannot open file:b"),
        ("cannot open FILE://localhost/srv/a/b!", "cannot open file:b!"),
        ("cannot open 'file:///srv/a b/c d'", "cannot open 'file:c d'"),
        ("file:/srv/a/b and 'unix:/run/x y/z'", "file:b and 'unix:z'"),
        ("/srv/a(1)/b/c is gone", "c is gone"),
        ("/srv/a(1/b/c(2) is gone", "c(2) is gone"),
        ("/srv/a[1]{2}<3>/b/c: gone", "c: gone"),
        ("/srv/a:1,2;3/b/c: gone", "c: gone"),
        ("/srv/ann's/b/c: gone", "c: gone"),
        ("//srv/a//b///c: gone", "c: gone"),
    ],
)
def test_paths_and_tracebacks_stay_here(text: str, expected: str):
    """The remaining text still names the problem and the file."""
    assert without_paths(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "actor 'a' version 2 lacks face.onnx, plate.png",
        "expected image/png or image/jpeg, got text/html",
        "see https://github.com/example/project/issues for more, or http://127.0.0.1:9464/metrics",
        "25/1 frames per second and/or 1/2",
        "ask /metrics",
        "grpc://far.example/a/b, s3://bucket/a/b",
        "two\nlines, At: noon",
        "",
    ],
)
def test_all_other_text_stays_unchanged(text: str):
    """Words, fractions, media types and URLs stay unchanged."""
    assert without_paths(text) == text


def test_a_status_holds_no_path():
    """No status contains a path, except in the request's own words."""
    for error in (ActorUnusable(OF_TRITON), StageUnavailable("generator", 3, f"INTERNAL: {OF_TRITON}")):
        assert "/" not in status_of(error).message
        assert "model.py" not in status_of(error).message
    own = BadInput("config.actor", "'/etc/passwd/x' is no name of an actor")
    assert "'/etc/passwd/x'" in status_of(own).message


def test_a_status_says_what_is_wrong_with_a_consent():
    """A client finds the word without reading the text."""
    status = status_of(NoConsent("revoked", "the consent to actor 'anna' version 1 was revoked"))
    assert status.code == StatusCode.FAILED_PRECONDITION.value[0]
    failed = error_details_pb2.PreconditionFailure()
    assert status.details[0].Unpack(failed)
    assert [(found.type, found.subject) for found in failed.violations] == [("CONSENT", "revoked")]
