"""What the gateway answers to whom: origins, headers, tokens, and the words of its refusals."""

from __future__ import annotations

import hashlib
from contextlib import AsyncExitStack
from dataclasses import replace

import aiohttp
import pytest

from orchestrator.servicer import TransferService
from serving.rpc.server import running
from tests.pipeline.chain import Stack, publish_actor, stack_of
from tests.pipeline.web.gateway import Refusal, Visitor, gateway_of

HOSTILE = "https://elsewhere.example"


async def test_another_sites_page_can_change_nothing(stack: Stack):
    """Requests that change something, and WebSockets, are refused with 403 for another origin or none."""
    async with gateway_of(stack.address) as address:
        for origin in (HOSTILE, "null", "", address.replace("http", "https"), address + "0"):
            async with Visitor(address, origin) as hostile:
                for path in ("/api/visit", "/api/ticket", "/api/dances"):
                    with pytest.raises(Refusal) as refused:
                        await hostile.ask("POST", path)
                    assert (refused.value.status, refused.value.code) == (403, "origin")
                with pytest.raises(aiohttp.WSServerHandshakeError) as shut:
                    await hostile.live(accepted=False).__aenter__()
                assert shut.value.status == 403


async def test_a_further_origin_can_be_allowed(stack: Stack):
    """The setting `origins` lists other origins that may use the interface."""
    async with (
        gateway_of(stack.address, origins=f"https://other.example, {HOSTILE}/") as address,
        Visitor(address, HOSTILE) as visitor,
    ):
        await visitor.arrive()
        assert await visitor.ticket()


async def test_every_answer_has_the_security_headers(stack: Stack):
    """The page, its interface and refusals forbid frames, foreign scripts, sniffing and referrers."""
    async with gateway_of(stack.address) as address, aiohttp.ClientSession() as session:
        for path in ("/", "/app.js", "/api/config", "/api/actors", "/nowhere"):
            async with session.get(address + path) as answer:
                headers = answer.headers
                policy = headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "unsafe-inline" not in policy
                assert "frame-ancestors 'none'" in policy
                assert headers["x-content-type-options"] == "nosniff"
                assert headers["referrer-policy"] == "no-referrer"
                assert headers["permissions-policy"].startswith("camera=(self), microphone=(self)")
                assert ("no-store" in headers["cache-control"]) == path.startswith("/api/")


async def test_nothing_below_the_page_is_served(stack: Stack):
    """Paths cannot leave the page's folder."""
    async with gateway_of(stack.address) as address, aiohttp.ClientSession() as session:
        for path in ("/../settings.py", "/%2e%2e/settings.py", "/..%2fgateway.py", "//etc/passwd"):
            async with session.get(address + path) as answer:
                assert answer.status == 404


async def test_a_visitors_token_is_checked_and_passed_on(tmp_path):
    """With sign-in, only tokens that the orchestrator knows open the page's interface; they never come back."""
    publish_actor(tmp_path / "actors", "anna", face=False)
    tokens = tmp_path / "tokens"
    tokens.write_text(f"studio:{hashlib.sha256(b'right').hexdigest()}\n")
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(stack_of(tmp_path / "actors"))
        settings = replace(stack.settings, tokens_file=tokens)
        guarded = await opened.enter_async_context(running(TransferService(settings), settings))
        address = await opened.enter_async_context(gateway_of(f"127.0.0.1:{guarded.port}", sign_in=True))
        visitor = await opened.enter_async_context(Visitor(address))
        await visitor.arrive()
        with pytest.raises(Refusal) as unknown:
            await visitor.ask("GET", "/api/actors")
        assert (unknown.value.status, unknown.value.code) == (401, "sign_in")
        with pytest.raises(Refusal) as wrong:
            await visitor.arrive("wrong")
        assert wrong.value.code == "sign_in"
        await visitor.arrive("right")
        listed = await visitor.ask("GET", "/api/actors")
        assert [actor["actor"] for actor in listed["actors"]] == ["anna"]
        async with visitor.live() as live:
            assert live.accepted
        await visitor.ask("POST", "/api/leave")
        with pytest.raises(Refusal):
            await visitor.ticket()


async def test_without_sign_in_a_token_makes_no_other_user(stack: Stack):
    """An orchestrator without tokens accepts any: a visitor with a new one each time still counts as the same user."""
    async with gateway_of(stack.address, max_live_sessions_per_user=1) as address, Visitor(address) as visitor:
        assert (await visitor.arrive("one"))["signed_in"] is False
        async with visitor.live():
            await visitor.arrive("another")
            async with visitor.live(accepted=False, ticket=await visitor.ticket()) as second:
                assert (await second.said())["refused"]["code"] == "too_many_yours"


async def test_an_orchestrator_that_is_away_is_told_in_words(stack: Stack):
    """Without an orchestrator the page still loads, /healthz says 503, and requests say what to do."""
    assert stack.server is not None
    await stack.server.stop(0)
    async with gateway_of(stack.address) as address, Visitor(address) as visitor:
        assert await visitor.ask("GET", "/")
        await visitor.arrive()
        with pytest.raises(Refusal) as away:
            await visitor.ask("GET", "/api/actors")
        assert (away.value.status, away.value.code) == (503, "server_unreachable")
        assert stack.address not in away.value.text
        with pytest.raises(Refusal) as unhealthy:
            await visitor.ask("GET", "/healthz")
        assert unhealthy.value.status == 503
