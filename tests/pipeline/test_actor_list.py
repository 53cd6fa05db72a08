"""The list of actors, as a page shows it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np

from client.connection.session import DanceClient
from client.connection.types import ActorPreview
from serving.actors.consent import ConsentRecord
from serving.actors.preview import write_preview
from serving.actors.shown_records import ListedConsent
from tests.pipeline.chain import Stack, publish_actor


async def test_a_list_shows_what_a_card_needs_and_only_the_actors_asked_for(stack: Stack) -> None:
    """Consent, time, scores and the moving preview come with the version; an unknown one is an empty list."""
    known = publish_actor(stack.actors_root, "anna", consent=ConsentRecord.of_text("Ja, Anna"))
    moving = [np.full((48, 64, 3), level, np.uint8) for level in (0, 255)]
    write_preview(known.preview_path, moving, 12)
    document = json.loads((known.folder / "actor.json").read_text())
    document |= {"trained": {"trained_at": "2026-03-01T12:00:00+00:00"}}
    document |= {"scores": {"held_out": {"sharpness": 0.9}}}
    (known.folder / "actor.json").write_text(json.dumps(document))
    async with DanceClient(stack.address) as client:
        (shown,) = await client.actors("anna", known.version, previews=True)
        assert (shown.consent, shown.scores, shown.has_preview) == ("Ja, Anna", {"sharpness": 0.9}, True)
        assert shown.consent_record == ListedConsent(sha256=known.consent.sha256())
        assert shown.trained_at_s == datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
        assert shown.preview == ActorPreview("image/webp", known.preview_path.read_bytes())
        assert [one.version for one in await client.actors("anna")] == [2, 1]
        assert [(one.actor, one.preview) for one in await client.actors(version=1)] == [("anna", None), ("ben", None)]
        assert await client.actors("../anna") == await client.actors("anna", 9) == []
