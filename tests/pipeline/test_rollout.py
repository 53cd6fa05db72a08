"""Sessions during a rollout from one version of an actor to another."""

from __future__ import annotations

from pathlib import Path

import pytest
from dance.v1 import transfer_pb2

from serving.actors.rollout import Canary, Served
from serving.observability import metrics
from tests.pipeline.chain import Dancing, Stack, configured, dance, pose_frame, publish_actor, stack_of
from tests.pipeline.fake_stages import person


@pytest.fixture
async def stack(tmp_path: Path):
    """An orchestrator that serves two versions of the actor ben."""
    publish_actor(tmp_path, "ben", face=False)
    publish_actor(tmp_path, "ben", face=False)
    async with stack_of(tmp_path) as running:
        yield running


async def version_of(stack: Stack, **fields) -> int:
    """The version that a new session is accepted with."""
    accepted, _ = await dance(stack.stub, configured("ben", **fields))
    return int(accepted.config.actor_version)


async def test_sessions_are_shared_between_a_canary_and_the_version_beside_it(stack: Stack):
    """Both versions are danced, `accepted` names the session's version, and a requested version is honoured."""
    store = stack.service._shared.actors
    assert await version_of(stack) == 2
    store.serve("ben", Served(1, Canary(2, 50)))
    assert {await version_of(stack) for _ in range(24)} == {1, 2}
    assert {await version_of(stack, actor_version=1) for _ in range(4)} == {1}
    store.serve("ben", Served(1))
    assert {await version_of(stack) for _ in range(4)} == {1}


async def test_a_session_keeps_its_version(stack: Stack):
    """A session keeps the version it began with, even when it resumes from its checkpoint after a rollback."""
    store = stack.service._shared.actors
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben", checkpoint_every_frames=1), pose_frame(0, person()))
    assert (await dancing.accepted()).config.actor_version == 2
    (first,) = await dancing.answers(1)
    store.serve("ben", Served(1))
    await dancing.send(pose_frame(1, person()))
    assert [answer.WhichOneof("result") for answer in await dancing.rest()] == ["picture"]
    assert await version_of(stack, checkpoint=first.checkpoint) == 2
    assert await version_of(stack) == 1


async def test_the_list_says_what_new_sessions_get(stack: Stack):
    """The canary gets its share of sessions; the ends of sessions are counted by version."""
    store = stack.service._shared.actors
    store.serve("ben", Served(1, Canary(2, 20)))
    listed = (await stack.stub.ListActors(transfer_pb2.ListActorsRequest())).actors
    assert {actor.actor_version: actor.served_percent for actor in listed} == {1: 80, 2: 20}
    counted = metrics.ACTOR_SESSION_ENDS.labels("ben", "2", "finished")._value
    before = counted.get()
    await version_of(stack, actor_version=2)
    assert counted.get() == before + 1
