"""A store of tiny actors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from serving.actors.store import Actor, ActorStore
from tests.tiny_actors import publish_tiny

Publish = Callable[..., Actor]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActorStore:
    """An empty store of actors."""
    return ActorStore(tmp_path_factory.mktemp("actors"))


@pytest.fixture(scope="module")
def publish(store: ActorStore, tmp_path_factory: pytest.TempPathFactory) -> Publish:
    """Return `publish_tiny` for `store`: it takes the actor's id and the options."""

    def published(actor_id: str, **options: Any) -> Actor:
        return publish_tiny(store, tmp_path_factory.mktemp("parts"), actor_id, **options)

    return published
