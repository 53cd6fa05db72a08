"""A gateway that other machines can reach, in front of an orchestrator that takes it for the person at the machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.actors.consent import ConsentRecord
from serving.actors.preview import write_preview
from tests.pipeline.chain import Stack, publish_actor, stack_of
from tests.pipeline.web.gateway import Refusal, Visitor, gateway_of

ELSEWHERE: dict[str, Any] = {"host": "0.0.0.0", "insecure": True}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """Anna's consent is stated, ben's is not; ben has a preview."""
    root = tmp_path / "actors"
    publish_actor(root, "anna")
    ben = publish_actor(root, "ben", consent=ConsentRecord.of_text("not stated"))
    moving = [np.full((32, 32, 3), shade, np.uint8) for shade in (0, 255)]
    write_preview(ben.preview_path, moving, 12)
    async with stack_of(root) as running:
        yield running


async def _refusals(visitor: Visitor, actor: str) -> list[str]:
    """Return the codes with which a live session, a dance and a preview of an actor are refused."""
    codes = []
    async with visitor.live(actor, accepted=False, ticket=await visitor.ticket()) as live:
        said = await live.said()
        codes.append(said["refused"]["code"] if "refused" in said else "")
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/api/dances", {"json": {"actor": actor, "source": {"bytes": 1000}}}),
        ("GET", f"/api/actors/{actor}/1/preview", {}),
    ]
    for method, path, options in asked:
        try:
            await visitor.ask(method, path, **options)
            codes.append("")
        except Refusal as refusal:
            codes.append(refusal.code)
    return codes


async def _unavailable(visitor: Visitor) -> dict[str, str]:
    cards = (await visitor.ask("GET", "/api/actors"))["actors"]
    return {card["actor"]: card["unavailable"] for card in cards}


async def test_others_do_not_see_an_actor_whose_consent_is_not_stated(stack: Stack):
    """It is refused live, in dances and in previews, with the word that the page explains."""
    async with gateway_of(stack.address, **ELSEWHERE) as address, Visitor(address) as visitor:
        await visitor.arrive()
        assert await _refusals(visitor, "ben") == ["consent_not_stated", "consent_not_stated", "no_preview"]
        assert (await _refusals(visitor, "anna"))[:2] == ["", ""]
        cards = await _unavailable(visitor)
    assert cards["anna"] == ""
    assert cards["ben"].endswith("train the actor with --consent, or name it in WEB_ALLOWED_WITHOUT_CONSENT")


@pytest.mark.parametrize("settings", [{}, {**ELSEWHERE, "allowed_without_consent": "x, ben"}])
async def test_this_machine_sees_it_and_others_if_a_setting_names_it(stack: Stack, settings: dict[str, Any]):
    """As with the orchestrator's own setting."""
    async with gateway_of(stack.address, **settings) as address, Visitor(address) as visitor:
        await visitor.arrive()
        assert await _refusals(visitor, "ben") == ["", "", ""]
        assert await _unavailable(visitor) == {"anna": "", "ben": ""}


async def test_a_proxy_in_front_brings_others(stack: Stack):
    """The gateway itself is on loopback then."""
    async with gateway_of(stack.address, trusted_proxies="127.0.0.1") as address, Visitor(address) as visitor:
        await visitor.arrive()
        assert (await _refusals(visitor, "ben"))[0] == "consent_not_stated"
