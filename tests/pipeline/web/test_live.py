"""A live session through the gateway: what a page sends, and what it is told."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest

from tests.pipeline.chain import Stack, publish_actor, stack_of
from tests.pipeline.fake_stages import PATIENCE_SECONDS, person
from tests.pipeline.web.gateway import Answered, Visitor, gateway_of, pose_message


async def test_every_pose_is_answered_once_and_in_order(stack: Stack):
    """A page that sends poses gets a JPEG for each, in order, with the stages' times, and a clean end."""
    async with gateway_of(stack.address) as address, Visitor(address) as visitor:
        await visitor.arrive()
        async with visitor.live() as live:
            assert live.accepted["width"] == live.accepted["height"] == 64
            for sequence in (0, 2, 3):
                await live.send(sequence)
                answer = await live.said()
                assert isinstance(answer, Answered)
                assert answer.head["seq"] == sequence
                assert answer.picture.startswith(b"\xff\xd8")
                assert {"normalize", "label_map", "generator"} <= {stage[0] for stage in answer.head["stages"]}
            await live.socket.send_str("end")
            assert await live.ends() == [{"ended": "finished"}, 1000]


async def test_a_frame_without_a_person_is_answered_with_the_reason(stack: Stack):
    """A page is told why there is no picture."""
    async with gateway_of(stack.address) as address, Visitor(address) as visitor:
        await visitor.arrive()
        async with visitor.live() as live:
            await live.send(0, message=pose_message(0, None))
            answer = await live.said()
            assert (answer.head["no"], answer.picture) == ("no_person", b"")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"short", "a head takes 24"),
        (pose_message(0, person())[:-1], "a pose has 1644 bytes"),
        (pose_message(0, None, side_px=0), "its size is 0x0"),
        (b"\x07" + pose_message(0, None)[1:], "its kind must be 1, 2 or 3, got 7"),
        (b"\x01" + pose_message(0, None)[1:] + np.full(411, 2, "<f4").tobytes(), "confidence"),
    ],
)
async def test_a_broken_frame_ends_its_session_only_and_says_why(stack: Stack, message: bytes, words: str):
    """A frame that breaks the format is refused in words; another visitor's session goes on."""
    async with gateway_of(stack.address) as address, Visitor(address) as broken, Visitor(address) as other:
        await broken.arrive()
        await other.arrive()
        async with other.live() as good, broken.live() as bad:
            await bad.send(0, message=message)
            *_, refused, code = await bad.ends()
            assert refused["refused"]["code"] == "bad_frame"
            assert words in refused["refused"]["text"]
            assert code == 1008
            await good.send(0)
            assert (await good.said()).head["seq"] == 0


@pytest.mark.parametrize("text", ["[" * 4000, '{"record": 7}', "hello", "x" * 5000])
async def test_a_text_that_nobody_knows_ends_its_session(stack: Stack, text: str):
    """It is refused in words, and the session gives its place back, so that the next one begins."""
    async with gateway_of(stack.address, max_live_sessions=1) as address, Visitor(address) as visitor:
        await visitor.arrive()
        async with visitor.live() as live:
            await live.socket.send_str(text)
            *_, refused, code = await live.ends()
            assert refused["refused"]["code"] == "bad_message"
            assert code == 1008
        async with visitor.live() as next_one:
            assert next_one.accepted


async def test_an_oversized_message_is_not_read(stack: Stack):
    """A message above the limit closes its WebSocket with code 1009."""
    async with gateway_of(stack.address, max_message_bytes=4096) as address, Visitor(address) as visitor:
        await visitor.arrive()
        async with visitor.live() as live:
            await live.send(0, message=bytes(5000))
            assert (await live.ends())[-1] == 1009


async def test_unknown_actors_and_sizes_are_named(stack: Stack):
    """A session that cannot begin says why, with a word for the page."""
    async with gateway_of(stack.address) as address, Visitor(address) as visitor:
        await visitor.arrive()
        for config, code in (
            ({"actor": "nemo"}, "actor_not_found"),
            ({"size_px": 7}, "no_such_size"),
            ({"sends": "smoke"}, "bad_message"),
            ({"background": {"colour": [0, 0, 300]}}, "bad_message"),
        ):
            given: dict[str, Any] = {"ticket": await visitor.ticket(), "accepted": False, **config}
            async with visitor.live(**given) as live:
                assert (await live.ends())[0]["refused"]["code"] == code


async def test_a_draining_gateway_tells_its_pages_to_come_back(stack: Stack):
    """At SIGTERM, pages get the answers to their frames, the word "draining", and close code 1012."""
    async with Visitor("") as visitor, AsyncExitStack() as sockets:
        async with gateway_of(stack.address) as address:
            visitor.address, visitor.headers = address, {"Origin": address}
            await visitor.arrive()
            live = await sockets.enter_async_context(visitor.live())
            await live.send(0)
            assert isinstance(await live.said(), Answered)
            ending = asyncio.create_task(live.ends())
        assert await ending == [{"ended": "draining"}, 1012]


async def test_a_user_has_a_limited_number_of_sessions(stack: Stack):
    """Visitors of one address share its limit; the refusal names it, and an ended session frees a place."""
    async with gateway_of(stack.address, max_live_sessions_per_user=1) as address, Visitor(address) as visitor:
        await visitor.arrive()
        async with visitor.live() as first:
            async with visitor.live(ticket=await visitor.ticket(), accepted=False) as second:
                assert (await second.ends())[0]["refused"]["code"] == "too_many_yours"
            await first.socket.send_str("end")
            await first.ends()
        async with visitor.live() as again:
            assert again.accepted


async def test_a_page_is_told_that_the_orchestrator_is_lost(tmp_path):
    """While the orchestrator is away, the page is told so, and its session stays."""
    publish_actor(tmp_path, "anna", face=False)
    async with stack_of(tmp_path) as first, gateway_of(first.address) as address, Visitor(address) as visitor:
        await visitor.arrive()
        async with visitor.live() as live:
            await live.send(0)
            assert isinstance(await live.said(), Answered)
            assert first.server is not None
            await first.server.stop(0)
            assert await live.said() == {"reconnecting": "server_unreachable"}


async def test_a_draining_gateway_does_not_wait_for_a_lost_orchestrator(tmp_path):
    """Pages are sent to the next gateway at once, although this one would look for its orchestrator for longer.

    One of them has danced already, and the session of the other one was not open yet.
    """
    publish_actor(tmp_path, "anna", face=False)
    lost = {"reconnecting": "server_unreachable"}
    async with Visitor("") as visitor, stack_of(tmp_path) as first, AsyncExitStack() as sockets:
        async with gateway_of(first.address, drain_seconds=PATIENCE_SECONDS) as address:
            visitor.address, visitor.headers = address, {"Origin": address}
            await visitor.arrive()
            dancing = await sockets.enter_async_context(visitor.live())
            await dancing.send(0)
            assert isinstance(await dancing.said(), Answered)
            assert first.server is not None
            await first.server.stop(0)
            assert await dancing.said() == lost
            opening = await sockets.enter_async_context(visitor.live(ticket=await visitor.ticket(), accepted=False))
            assert await opening.said() == lost
            endings = asyncio.gather(dancing.ends(), opening.ends())
        for ending in await endings:
            assert ending == [{"ended": "draining"}, 1012]


async def test_pictures_are_added_to_a_recording_while_it_lasts(stack: Stack):
    """Every picture that is shown between the page's two messages is in the recording; the dance goes on after it."""
    async with gateway_of(stack.address) as address, Visitor(address) as visitor:
        await visitor.arrive()
        recording = await visitor.ask("POST", "/api/recordings", json={"actor": "anna"})
        async with visitor.live() as live:
            for sequence, wish in enumerate([None, {"record": recording["id"]}, None, {"record": None}, None]):
                if wish is not None:
                    await live.socket.send_json(wish)
                await live.send(sequence)
                await live.said()
        await visitor.ask("POST", f"/api/recordings/{recording['id']}/stop", json={"sound_bytes": 0})
        async with asyncio.timeout(60):
            made: dict[str, Any] = {"state": ""}
            while made["state"] != "done":
                made = await visitor.ask("GET", f"/api/dances/{recording['id']}")
        assert made["result"]["frames"] == 2


async def test_a_strangers_recording_cannot_be_added_to(stack: Stack):
    """A page that names another visitor's recording is told that there is none, and dances on."""
    async with gateway_of(stack.address) as address, Visitor(address) as owner, Visitor(address) as stranger:
        await owner.arrive()
        await stranger.arrive()
        recording = await owner.ask("POST", "/api/recordings", json={"actor": "anna"})
        async with stranger.live() as live:
            await live.socket.send_json({"record": recording["id"]})
            assert await live.said() == {"recording": "no_such_dance"}
            await live.send(0)
            assert isinstance(await live.said(), Answered)
