"""The page over HTTPS: with a certificate of its own, as in overlays/tls, and behind a proxy that has one."""

from __future__ import annotations

import hashlib
import ssl
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.servicer import TransferService
from serving.rpc.server import running
from tests.certificates import Authority
from tests.pipeline.chain import Stack, publish_actor, stack_of
from tests.pipeline.web.gateway import Answered, Refusal, Visitor, gateway_of

PUBLIC = "https://dance.example"


async def test_every_hop_is_encrypted_and_visitors_sign_in(tmp_path: Path):
    """The gateway needs no token of its own: each visitor's token goes to an orchestrator with TLS."""
    publish_actor(tmp_path / "actors", "anna", face=False)
    tokens = tmp_path / "tokens"
    tokens.write_text(f"studio:{hashlib.sha256(b'right').hexdigest()}\n")
    authority = Authority(tmp_path)
    shown = {name: authority.sign(name) for name in ("orchestrator", "web")}
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(stack_of(tmp_path / "actors"))
        certificate, key = shown["orchestrator"].certificate, shown["orchestrator"].key
        settings = replace(stack.settings, tokens_file=tokens, tls_certificate=certificate, tls_key=key)
        guarded = await opened.enter_async_context(running(TransferService(settings), settings))
        own = {"tls_certificate": shown["web"].certificate, "tls_key": shown["web"].key, "server_ca": authority.ca}
        address = await opened.enter_async_context(gateway_of(f"127.0.0.1:{guarded.port}", sign_in=True, **own))
        trusts = ssl.create_default_context(cafile=str(authority.ca))
        visitor = await opened.enter_async_context(Visitor(address, tls=trusts))
        await visitor.arrive("right")
        assert visitor.cookie["secure"]
        assert visitor.cookie["httponly"]
        async with visitor.live() as live:
            await live.send(0)
            assert isinstance(await live.said(), Answered)


async def test_a_proxy_that_ends_tls_is_believed_only_if_it_is_trusted(stack: Stack):
    """With `trusted_proxies`, the public address is the page's own origin; without, the same request is refused."""
    headers = {"Host": "dance.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    for trusted in ("127.0.0.0/8", ""):
        async with gateway_of(stack.address, trusted_proxies=trusted) as address, Visitor(address, PUBLIC) as visitor:
            visitor.headers |= headers
            if trusted:
                await visitor.arrive()
                assert visitor.cookie["secure"]
            else:
                with pytest.raises(Refusal, match="origin"):
                    await visitor.arrive()
