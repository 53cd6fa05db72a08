"""The folder of actors, as people leave it."""

from __future__ import annotations

from pathlib import Path

from serving.actors import ActorStore
from tests.tiny_actors import publish_tiny


def test_what_is_no_actor_is_passed_by(tmp_path: Path):
    """Folders with other names, plain files and empty folders beside the actors do not keep them from being listed."""
    store = ActorStore(tmp_path / "actors")
    parts = tmp_path / "parts"
    parts.mkdir()
    publish_tiny(store, parts, "kind")
    for name in ("Old Kind", ".cache", "lost+found", "a" * 64):
        (store.root / name / "1").mkdir(parents=True)
    (store.root / "empty").mkdir()
    (store.root / "notes").write_text("1")
    assert store.ids() == ["kind"]
