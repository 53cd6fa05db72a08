"""Sessions with an actor whose consent ends, is revoked, or is not stated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
from dance.v1 import transfer_pb2

from client.commands import consent
from client.connection.session import DanceClient
from client.connection.types import TransferOptions
from client.errors import ServerError
from serving.actors.consent import ConsentRecord
from serving.errors import ActorNotFound, BadInput
from serving.observability import metrics
from tests.pipeline.chain import Dancing, Stack, configured, dance, pose_frame, publish_actor, stack_of
from tests.pipeline.fake_stages import person
from web.access.refusals import refused_by_server


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """An orchestrator that others reach, with anna, who agreed, and ben, of whom nothing is stated."""
    agreed = ConsentRecord(who="Anna", given_on=date(2026, 1, 1), until=date(2999, 3, 1), words="to dancing")
    publish_actor(tmp_path, "anna", consent=agreed)
    publish_actor(tmp_path, "ben", consent=ConsentRecord())
    async with stack_of(tmp_path, host="0.0.0.0", insecure=True) as running:
        clock = Clock()
        running.service._shared.actors.consents.now = clock
        running.clock = clock  # type: ignore[attr-defined]
        yield running


class Clock:
    """The time of the server: noon on the last day of anna's consent."""

    now = datetime(2999, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


async def _refusal(stack: Stack, actor: str, **fields) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await dance(stack.stub, configured(actor, **fields))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    return refused.value


def _refused(reason: str) -> float:
    return metrics.CONSENT_REFUSED.labels(reason)._value.get()


async def _ends_at_the_next_frame(dancing: Dancing) -> grpc.aio.AioRpcError:
    """Send one more frame to a session that answered two; return the status in place of its answer."""
    await dancing.send(pose_frame(2, person()))
    answers, failure = await dancing.failure()
    assert answers == []
    assert failure.code() is grpc.StatusCode.FAILED_PRECONDITION
    return failure


async def _two_frames(stack: Stack, **fields) -> tuple[Dancing, transfer_pb2.TransferAnswer]:
    dancing = Dancing(stack.stub)
    await dancing.send(configured("anna", **fields), pose_frame(0, person()), pose_frame(1, person()))
    await dancing.accepted()
    answers = await dancing.answers(2)
    assert [answer.WhichOneof("result") for answer in answers] == ["picture", "picture"]
    return dancing, answers[1]


async def test_a_revocation_ends_a_running_session_at_its_next_frame(stack: Stack, capsys: pytest.CaptureFixture[str]):
    """Earlier frames are answered; the status says when, by whom and why. Neither a new session nor a resumed follows.

    The command runs here as it does on any machine that has the folder.
    """
    before = _refused("revoked"), metrics.SESSION_ENDS.labels("consent_ended")._value.get()
    dancing, last = await _two_frames(stack, checkpoint_every_frames=1)
    consent.revoke("anna", reason="she asked for it", by="jo", actors=stack.actors_root)
    assert "revoked" in capsys.readouterr().out
    failure = await _ends_at_the_next_frame(dancing)
    said = str(failure.details())
    assert said.startswith("the consent to actor 'anna' version 1 was revoked on ")
    assert said.endswith(" UTC by jo: she asked for it")
    assert (await _refusal(stack, "anna", checkpoint=last.checkpoint)).details() == said
    assert (await _refusal(stack, "anna")).details() == said
    after = _refused("revoked"), metrics.SESSION_ENDS.labels("consent_ended")._value.get()
    assert [now - then for now, then in zip(after, before, strict=True)] == [3, 3]


async def test_a_client_says_why_and_does_not_try_again(stack: Stack, capsys: pytest.CaptureFixture[str]):
    """Its error has the server's words, and the word for programs; a gateway has sentences of its own for it."""
    consent.revoke("anna", reason="she asked for it", by="jo", actors=stack.actors_root)
    client = DanceClient(stack.address)
    async with client:
        with pytest.raises(ServerError, match=r"jo: she asked for it$") as refused:
            async with client.transfer(TransferOptions(actor="anna", frame_rate_hz=25.0)):
                raise AssertionError("the session was accepted")
    assert (refused.value.consent, refused.value.retryable) == ("revoked", False)
    assert refused_by_server(refused.value).word == "consent_ended"
    assert refused_by_server(ServerError("", refused.value.status, consent="not_stated")).word == "consent_not_stated"


async def test_frames_that_were_taken_before_the_revocation_are_answered(stack: Stack):
    """They may still be in the pipeline when the frame that comes too late arrives."""
    dancing = Dancing(stack.stub)
    stack.triton.gates.hold(1)
    await dancing.send(configured("anna"), pose_frame(0, person()), pose_frame(1, person()))
    await dancing.accepted()
    await stack.triton.gates.begun(1)
    consent.revoke("anna", reason="enough", by="", actors=stack.actors_root)
    await dancing.send(pose_frame(2, person()))
    stack.triton.gates.release()
    answers, failure = await dancing.failure()
    assert [answer.sequence for answer in answers] == [0, 1]
    assert "enough" in str(failure.details())


async def test_the_agent_may_notice_a_revocation_first(stack: Stack):
    """The client gets the orchestrator's status then too, also for a session that was just beginning."""
    stack.agent.gates.hold(0)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("anna"))
    await stack.agent.gates.begun(0)
    consent.revoke("anna", reason="enough", by="jo", actors=stack.actors_root)
    stack.agent.refusal = grpc.StatusCode.FAILED_PRECONDITION, "the agent's own words"
    stack.agent.gates.release()
    answers, failure = await dancing.failure()
    assert answers == []
    assert str(failure.details()).startswith("the consent to actor 'anna' version 1 was revoked on ")


async def test_a_consent_ends_while_a_session_runs(stack: Stack):
    """The last frame of its last day is drawn, the first one of the next day is not."""
    before = _refused("expired")
    dancing, last = await _two_frames(stack, checkpoint_every_frames=1)
    stack.clock.now += timedelta(hours=12)  # type: ignore[attr-defined]
    failure = await _ends_at_the_next_frame(dancing)
    said = "the consent to actor 'anna' version 1 ended on 2999-03-01; a new version needs a new consent"
    assert failure.details() == said
    assert (await _refusal(stack, "anna", checkpoint=last.checkpoint)).details() == said
    assert _refused("expired") - before == 2


async def test_an_unstated_consent_is_refused_beyond_this_machine(stack: Stack, tmp_path: Path):
    """A setting allows single actors, and a server that only this machine reaches serves all."""
    before = _refused("not_stated")
    assert "ORCHESTRATOR_ALLOWED_WITHOUT_CONSENT" in str((await _refusal(stack, "ben")).details())
    assert _refused("not_stated") - before == 1
    async with stack_of(tmp_path, host="0.0.0.0", insecure=True, allowed_without_consent="x, ben") as other:
        await dance(other.stub, configured("ben"), pose_frame(0, person()))
    async with stack_of(tmp_path) as here:
        await dance(here.stub, configured("ben"), pose_frame(0, person()))


async def test_lists_say_whose_consent_does_not_hold(stack: Stack):
    """What is known of the consent is listed all the same."""
    stack.clock.now += timedelta(days=1)  # type: ignore[attr-defined]
    anna, ben = (await stack.stub.ListActors(transfer_pb2.ListActorsRequest())).actors
    assert "ended on 2999-03-01" in anna.unavailable
    shown = anna.consent_summary
    assert (shown.who, shown.given_on, shown.until) == ("Anna", "2026-01-01", "2999-03-01")
    assert shown.ended_because == anna.unavailable
    assert len(shown.sha256) == 64
    assert "is not stated" in ben.unavailable
    assert not ben.HasField("consent_summary")


async def test_revoking_what_does_not_exist_is_an_error(stack: Stack):
    """And a reason is needed."""
    with pytest.raises(BadInput, match="--reason: cannot be blank"):
        consent.revoke("anna", reason=" ", actors=stack.actors_root)
    with pytest.raises(ActorNotFound, match="there is no actor 'cara'"):
        consent.revoke("cara", reason="she asked", actors=stack.actors_root)
