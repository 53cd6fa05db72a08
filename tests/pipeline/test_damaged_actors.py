"""A damaged actor affects only the sessions that request it."""

from __future__ import annotations

import shutil
from pathlib import Path

import grpc
import pytest
from dance.v1 import transfer_pb2

from tests.damaged_actors import DAMAGES
from tests.pipeline.chain import Dancing, Stack, configured, dance, raw_frame


@pytest.fixture
def damaged(stack: Stack) -> Stack:
    """Next to anna and ben, one actor for each kind of damage, named after it."""
    for name, (damage, _) in DAMAGES.items():
        shutil.copytree(stack.actors_root / "anna", stack.actors_root / name)
        damage(stack.actors_root / name)
    return stack


async def test_every_actor_is_listed_and_a_damaged_one_says_why(damaged: Stack) -> None:
    """ListActors lists all: sound actors can be danced, and each damaged one has a readable reason without a path."""
    listed = (await damaged.stub.ListActors(transfer_pb2.ListActorsRequest())).actors
    assert [actor.actor for actor in listed] == sorted([*DAMAGES, "anna", "ben"])
    reasons = {actor.actor: actor.unavailable for actor in listed}
    assert reasons.pop("anna") == reasons.pop("ben") == ""
    for name, reason in reasons.items():
        assert DAMAGES[name][1] in reason, name
        assert reason.startswith(f"actor {name!r}"), name
        assert str(damaged.actors_root) not in reason
        assert "Error" not in reason, "our words, and no exception's name"
        assert len(reason) < 250
        assert reason.isascii()
        assert reason.isprintable()


async def test_only_sessions_on_a_damaged_actor_fail(damaged: Stack) -> None:
    """FAILED_PRECONDITION with the same message as in the list; sound actors work."""
    for name, (_, said) in DAMAGES.items():
        dancing = Dancing(damaged.stub)
        await dancing.send(configured(actor=name))
        responses, error = await dancing.failure()
        assert responses == [], name
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION, name
        assert said in (error.details() or ""), name
    _, answers = await dance(damaged.stub, configured(), raw_frame(0))
    assert len(answers) == 1


async def test_a_file_that_grew_is_not_read(damaged: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """No reader of an actor loads a whole file at once, by Path.read_text or Path.read_bytes."""

    def whole(path: Path, *_: object, **__: object) -> None:
        raise AssertionError(f"{path} is read whole")

    monkeypatch.setattr(Path, "read_text", whole)
    monkeypatch.setattr(Path, "read_bytes", whole)
    assert (await damaged.stub.ListActors(transfer_pb2.ListActorsRequest())).actors
