"""The answer of ListActors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.edge import actor_list
from orchestrator.edge.actor_list import list_to_proto
from serving.actors.preview import MOST_PREVIEW_BYTES, PREVIEW_MEDIA_TYPE, write_preview
from serving.actors.store import ActorStore
from serving.rpc.server import MESSAGE_LIMIT_BYTES
from tests.tiny_actors import publish_tiny


@pytest.fixture
def store(tmp_path: Path) -> ActorStore:
    """The actor `kind` in three versions, the newest not served, and the actor `wise`; all have a preview."""
    store = ActorStore(tmp_path / "actors")
    moving = [np.full((48, 64, 3), level, np.uint8) for level in (0, 255)]
    for actor, serve in (("kind", True), ("kind", True), ("kind", False), ("wise", True)):
        write_preview(publish_tiny(store, tmp_path, actor, serve=serve).preview_path, moving, 12)
    return store


def shown(store: ActorStore, *, previews: bool = True) -> list[tuple[str, int, bool, bool]]:
    """Actor and version, whether it has a preview, and whether the answer contains it."""
    response = list_to_proto(store.listed(), [], previews=previews)
    return [(one.actor, one.actor_version, one.has_preview, one.HasField("preview")) for one in response.actors]


def test_previews_come_only_when_they_are_asked_for(store: ActorStore):
    """Each is the file's own bytes, with its kind."""
    assert {(has, sent) for *_, has, sent in shown(store, previews=False)} == {(True, False)}
    (wise,) = list_to_proto(store.listed("wise"), [], previews=True).actors
    assert wise.preview.media_type == PREVIEW_MEDIA_TYPE
    assert wise.preview.data == store.load("wise").preview_path.read_bytes()


def test_previews_without_room_in_the_answer_are_left_out_served_ones_last(
    store: ActorStore, monkeypatch: pytest.MonkeyPatch
):
    """A list says that they exist, so that each can be asked for alone."""
    one_bytes = store.load("wise").preview_path.stat().st_size
    monkeypatch.setattr(actor_list, "MOST_PREVIEWS_BYTES", 2 * one_bytes)
    assert shown(store) == [
        ("kind", 3, True, False),
        ("kind", 2, True, True),
        ("kind", 1, True, False),
        ("wise", 1, True, True),
    ]


def test_an_answer_full_of_previews_is_no_larger_than_a_message():
    """Beside the previews there is room for as much again."""
    assert MOST_PREVIEW_BYTES <= actor_list.MOST_PREVIEWS_BYTES <= MESSAGE_LIMIT_BYTES // 2


def test_a_version_that_cannot_be_served_has_no_preview(store: ActorStore):
    """Its reason is all that a list shows."""
    (store.root / "wise" / "1" / "generator.onnx").unlink()
    assert shown(store)[-1] == ("wise", 1, False, False)
