"""The previews of the cards are kept for a moment."""

from __future__ import annotations

import pytest

from client.connection.server_access import ServerAccess
from web.access.orchestrator import Orchestrator
from web.access.refusals import Refused
from web.access.visitors import Visitor
from web.actors.previews import Preview, Previews


async def test_a_withdrawn_preview_is_shown_for_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then the orchestrator is asked once; afterwards again, and refuses."""
    now_s, asked = 0.0, 0

    async def answer(self: Previews, visitor: Visitor, actor: str, version: int) -> Preview:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise Refused(404, "no_preview", "This actor has no preview.")
        return Preview("image/webp", b"anna")

    monkeypatch.setattr(Previews, "_asked", answer)
    previews, visitor = Previews(Orchestrator(ServerAccess("127.0.0.1:1")), lambda: now_s), Visitor("a" * 32, "address")
    assert (await previews.of(visitor, "anna", 1, still=False)).data == b"anna"
    now_s = 59.0
    assert (await previews.of(visitor, "anna", 1, still=False)).data == b"anna"
    assert asked == 1
    now_s = 61.0
    with pytest.raises(Refused, match="no preview"):
        await previews.of(visitor, "anna", 1, still=False)
