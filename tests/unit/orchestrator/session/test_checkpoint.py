"""Checkpoints: their keys come from a file, and they contain the choice of limbs."""

from __future__ import annotations

import json
import os
import secrets
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from motion.pose_choice import PoseBackend
from motion.wardrobe.choose import Choice
from motion.wardrobe.limbs import LAYER_COUNT
from orchestrator.pipeline.in_flight_frame import NOTHING_RECALLED
from orchestrator.session import checkpoint
from orchestrator.session.checkpoint import CheckpointSealer, SessionState
from orchestrator.session_config import PoseConfig, SessionConfig
from serving.errors import BadInput, BadSettings

SECRET = secrets.token_hex(32)


def endless(path: Path) -> None:
    """A file of a terabyte that takes no room on the disk."""
    path.touch()
    os.truncate(path, 2**40)


def test_keys_are_lines_of_digits(tmp_path: Path):
    """One key per line; a random key without a file."""
    path = tmp_path / "keys"
    path.write_text(f"{SECRET}\n{secrets.token_hex(40)}\n")
    CheckpointSealer.from_file(path, setting="KEYS")
    CheckpointSealer.from_file(None, setting="KEYS")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (os.mkfifo, "is not a regular file"),
        (Path.mkdir, "is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (endless, "has 1099511627776 bytes, at most 1048576 are read"),
        (lambda path: path.write_bytes(b"\xff"), "cannot be read: expected lines of hexadecimal digits"),
        (lambda path: path.write_text(f"{SECRET}x"), "cannot be read: expected lines of hexadecimal digits"),
        (lambda path: path.write_text(SECRET[:-2]), "expected keys of at least 32 bytes, one per line"),
        (Path.touch, "expected keys of at least 32 bytes, one per line"),
    ],
)
def test_a_file_without_keys_is_named(tmp_path: Path, make: Callable[[Path], object], said: str):
    """The error has the setting, the path and the reason; it never quotes a key."""
    path = tmp_path / "keys"
    make(path)
    with pytest.raises(BadSettings, match="KEYS") as caught:
        CheckpointSealer.from_file(path, setting="KEYS")
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert SECRET[:-2] not in str(caught.value)


CONFIG, KEY = SessionConfig(actor="anna"), bytes(32)
STATE = SessionState(3, 7, 0.28, None, b"pose", b"normalize", NOTHING_RECALLED, limbs=Choice(tuple(range(LAYER_COUNT))))


def with_facts(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a checkpoint whose facts are changed, sealed again."""
    begin, body = data.index(b"{"), data[:-32]
    end = data.index(b"}posenormalize") + 1
    facts = json.loads(body[begin:end])
    change(facts)
    text = json.dumps(facts).encode()
    lengths = struct.pack("<III", len(text), len(b"pose"), len(b"normalize"))
    body = body[: begin - len(lengths)] + lengths + text + body[end:]
    return body + checkpoint._seal(KEY, "", body)


def test_the_choice_of_limbs_is_kept():
    """A checkpoint contains the last choice, which keeps the next one steady."""
    sealer = CheckpointSealer([KEY])
    assert sealer.open(sealer.seal(STATE, CONFIG, ""), CONFIG, "") == STATE


def test_a_checkpoint_of_an_earlier_format_is_refused():
    """Its seal is valid, and it has no state of the pose stage: INVALID_ARGUMENT for its field."""
    sealer, body = CheckpointSealer([KEY]), b"dance-checkpoint-1\n" + bytes(8) + b"{}"
    with pytest.raises(BadInput, match=r"config.checkpoint: was made by another version of this service"):
        sealer.open(body + checkpoint._seal(KEY, "", body), CONFIG, "")


def test_the_state_of_another_pose_backend_is_left_out():
    """Backends do not understand each other's states, so the new one begins without one."""
    sealer = CheckpointSealer([KEY])
    other = replace(CONFIG, pose=PoseConfig(backend=PoseBackend.RTMPOSE))
    assert sealer.open(sealer.seal(STATE, CONFIG, ""), other, "") == replace(STATE, pose_state=b"")


def test_a_choice_of_other_limbs_is_refused():
    """A checkpoint of a release with other limbs is INVALID_ARGUMENT for its field, not a failure inside."""
    sealer = CheckpointSealer([KEY])
    other = with_facts(sealer.seal(STATE, CONFIG, ""), lambda facts: facts.update(limbs="0102"))
    with pytest.raises(BadInput, match=r"config.checkpoint: was made by another version of this service"):
        sealer.open(other, CONFIG, "")
