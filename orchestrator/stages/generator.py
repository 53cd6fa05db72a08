"""The generator stage: label map and previous picture in, picture out, on a Triton server."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

import numpy as np
from dance.v1 import agent_pb2, agent_pb2_grpc
from grpc import StatusCode
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult
from tritonclient.grpc.aio import InferenceServerClient

from motion.frame import Picture
from orchestrator.pipeline.in_flight_frame import Passage, Remark
from orchestrator.pipeline.link import Link, LinkEnded
from orchestrator.pipeline.play import Inbox
from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.failures import stage_errors
from orchestrator.stage_calls.patience import Patience
from orchestrator.stages.previous_picture import Recalled, Recurrence
from serving.actors.store import Actor
from serving.errors import (
    ActorNotFound,
    ActorUnusable,
    AtCapacity,
    DanceError,
    StageBroken,
    StageError,
    StageRefused,
    StageUnavailable,
)

_OUTPUTS: Final = (InferRequestedOutput("FRAME"), InferRequestedOutput("COMPUTE_SECONDS"))

_log = logging.getLogger(__name__)


async def ensure_actor(stub: agent_pb2_grpc.GeneratorAgentServiceStub, actor: Actor, seconds: float) -> str:
    """Has the generator's agent load the actor, and returns the precision of its inference.

    Raises ActorNotFound and ActorUnusable as the agent says them, else StageError.
    """
    request = agent_pb2.EnsureActorRequest(actor=actor.id, actor_version=actor.version)
    try:
        with stage_errors(GeneratorStage.name, None, seconds):
            answer = await stub.EnsureActor(request, timeout=seconds)
    except StageRefused as refusal:
        if refusal.refused_with is StatusCode.NOT_FOUND:
            raise ActorNotFound(refusal.reason) from refusal
        if refusal.refused_with is StatusCode.FAILED_PRECONDITION:
            raise ActorUnusable(refusal.reason) from refusal
        raise
    except StageUnavailable as error:
        if error.code_of_stage is StatusCode.RESOURCE_EXHAUSTED:
            said = error.reason.removeprefix("RESOURCE_EXHAUSTED: ")
            raise AtCapacity(f"stage {error.stage}: {said}") from error
        raise
    return str(answer.precision)


class GeneratorStage:
    """Adds `generated`. One frame at a time: the next one needs this one's picture, before the face stage.

    The service keeps nothing between two calls, so a frame whose call failed is asked for again, of any replica, once
    the agent has looked after the actor.

    ensure: has the actor loaded, see `ensure_actor`. recalled: the picture to go on from.
    keeps_label_maps: they are needed once more, behind this stage.
    """

    name: ClassVar[str] = "generator"

    def __init__(
        self,
        triton: InferenceServerClient,
        ensure: Callable[[], Awaitable[str]],
        actor: Actor,
        settings: OrchestratorSettings,
        recalled: Recalled,
        *,
        keeps_label_maps: bool,
    ) -> None:
        self._triton = triton
        self._ensure = ensure
        self._model, self._version = actor.id, str(actor.version)
        self._shape = (actor.crop.out_height_px, actor.crop.out_width_px, 3)
        self._keeps_label_maps = keeps_label_maps
        self._recurrence = Recurrence(actor.crop.out_width_px, actor.crop.out_height_px, recalled)
        self._seconds = settings.generator_seconds
        self._patience = Patience(settings.away_seconds)

    async def run(self, inbox: Inbox, outbox: Link[Passage]) -> None:
        """See `orchestrator.pipeline.play.Stage`."""
        while True:
            try:
                passage, waited_seconds = await inbox.take()
            except LinkEnded:
                return
            if passage.no_picture is None:
                passage.enter(waited_seconds)
                await self._draw(passage)
            passage.recalled = self._recurrence.recalled
            await outbox.put(passage)

    async def _draw(self, passage: Passage) -> None:
        assert passage.label_map is not None
        previous, restarted = self._recurrence.previous(passage.time_s)
        if restarted:
            passage.remarks.append(Remark.RESTARTED)
        inputs = [_input("LABEL_MAP", passage.label_map), _input("PREVIOUS_FRAME", previous)]
        if not self._keeps_label_maps:
            passage.label_map = None  # `inputs` has a copy, and a session's memory is its pictures
        while True:
            try:
                with stage_errors(self.name, passage.sequence, self._seconds):
                    passage.generated, compute_seconds = self._picture(passage, await self._infer(inputs))
                break
            except StageError as error:
                await self._patience.again(_forgotten(error))
                passage.retried()
                await self._revive(passage)
        self._patience.over()
        self._recurrence.drawn(passage.generated, passage.time_s)
        passage.leave(self.name, compute_seconds)

    async def _revive(self, passage: Passage) -> None:
        """Has the agent look after the actor, which it loads again where it does not draw."""
        try:
            await self._ensure()
        except (ActorNotFound, ActorUnusable) as error:
            raise StageRefused(self.name, passage.sequence, str(error), error.code) from error
        except DanceError as error:  # how the next attempt fails counts
            _log.info("the agent cannot help the actor %s: %s", self._model, error)

    async def _infer(self, inputs: list[InferInput]) -> InferResult:
        return await self._triton.infer(
            self._model, inputs, model_version=self._version, outputs=_OUTPUTS, client_timeout=self._seconds
        )

    def _picture(self, passage: Passage, result: InferResult) -> tuple[Picture, float]:
        """The picture, and for how long the service worked on it. Raises StageBroken for nonsense."""
        try:
            frame, seconds = result.as_numpy("FRAME"), result.as_numpy("COMPUTE_SECONDS")
        except ValueError as error:
            raise StageBroken(self.name, passage.sequence, f"its outputs contradict their shapes: {error}") from error
        if frame is None or frame.shape != (1, *self._shape) or frame.dtype != np.uint8:
            said = None if frame is None else (frame.shape, frame.dtype.name)
            raise StageBroken(self.name, passage.sequence, f"expected a FRAME of {self._shape} uint8, got {said}")
        if seconds is None or seconds.size != 1:
            raise StageBroken(self.name, passage.sequence, "it did not say its COMPUTE_SECONDS")
        picture: Picture = frame[0]
        return picture, float(seconds.reshape(-1)[0])


def _forgotten(error: StageError) -> StageError:
    """An actor that Triton does not know any more can be loaded again: then the failure is worth another attempt."""
    if isinstance(error, StageRefused) and error.refused_with is StatusCode.NOT_FOUND:
        return StageUnavailable(error.stage, error.sequence, error.reason)
    return error


def _input(name: str, picture: Picture) -> InferInput:
    tensor = InferInput(name, [1, *picture.shape], "UINT8")
    tensor.set_data_from_numpy(picture[np.newaxis])
    return tensor
