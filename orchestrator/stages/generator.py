"""The generator stage: label map, previous picture and perhaps a reference in, picture out, on Triton."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final

import grpc.aio
import numpy as np
from dance.v1 import agent_pb2, agent_pb2_grpc
from grpc import StatusCode
from numpy.typing import NDArray

from motion.frame import ZERO_LEVEL, FrameSize, Picture, RgbaPicture
from orchestrator.pipeline.in_flight_frame import InFlightFrame, Recalled, Remark
from orchestrator.pipeline.link import Link, LinkEnded
from orchestrator.pipeline.play import Inbox
from orchestrator.session_config import ReturnOptions
from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.failures import StageRetries, stage_error, stage_errors
from orchestrator.stage_calls.inference import InferenceRequests, InferenceStub, outputs_by_name
from orchestrator.stages.previous_picture import Recurrence
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

_OUTPUTS: Final = ("FRAME", "COMPUTE_SECONDS")
_COMPILING_SECONDS: Final = 0.1
"""The pause between two questions whether a network has been compiled, which takes about a second."""

_log = logging.getLogger(__name__)


async def ensure_actor(stub: agent_pb2_grpc.GeneratorAgentServiceStub, actor: Actor, seconds: float) -> str:
    """Make the generator's agent load the actor, and return the precision of its inference.

    Raises ActorNotFound or ActorUnusable if the agent answers so, otherwise StageError.
    """
    request = agent_pb2.EnsureActorRequest(actor=actor.id, actor_version=actor.version)
    try:
        with stage_errors(GeneratorStage.name, None, seconds):
            answer = await stub.EnsureActor(request, timeout=seconds)
    except StageRefused as refusal:
        if refusal.stage_code is StatusCode.NOT_FOUND:
            raise ActorNotFound(refusal.reason) from refusal
        if refusal.stage_code is StatusCode.FAILED_PRECONDITION:
            raise ActorUnusable(refusal.reason) from refusal
        raise
    except StageUnavailable as error:
        if error.stage_code is StatusCode.RESOURCE_EXHAUSTED:
            reason = error.reason.removeprefix("RESOURCE_EXHAUSTED: ")
            raise AtCapacity(f"stage {error.stage}: {reason}") from error
        raise
    return str(answer.precision)


async def warm_up(
    triton: InferenceStub, actor: Actor, size: FrameSize, *, call_seconds: float, within_seconds: float
) -> None:
    """Make Triton draw a blank picture of another size than the actor's own; wait while it compiles the network.

    It refuses pictures of a size with UNAVAILABLE until its network for them is compiled, which the first one begins.
    Raises StageError.
    """
    shape = (size.height_px, size.width_px)
    inputs = {
        "LABEL_MAP": np.full((*shape, 3), 255, np.uint8),
        "PREVIOUS_FRAME": np.full((*shape, 3), ZERO_LEVEL, np.uint8),
        "REFERENCE": np.zeros((*shape, 4), np.uint8),
    }
    request = InferenceRequests(actor.id, str(actor.version), _OUTPUTS).request(inputs)
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + within_seconds
    while True:
        try:
            await triton.infer(request, timeout=call_seconds)
            return
        except grpc.aio.AioRpcError as error:
            code = error.code()
            if code is not StatusCode.UNAVAILABLE or loop.time() > deadline_s:
                raise stage_error(GeneratorStage.name, None, code, error.details() or "") from error
        await asyncio.sleep(_COMPILING_SECONDS)


class GeneratorStage:
    """Adds `generated`, one frame at a time: the next frame needs this picture, before the face stage.

    The service is stateless, so a failed call is retried on any replica, after the agent has checked the actor.

    ensure: loads the actor, see `ensure_actor`. recalled: the picture to resume from. returns: which of its inputs
    later stages need. draws_person: whether to request the person alone as well, for `person`.
    """

    name: ClassVar[str] = "generator"

    def __init__(
        self,
        triton: InferenceStub,
        ensure: Callable[[], Awaitable[str]],
        actor: Actor,
        settings: OrchestratorSettings,
        recalled: Recalled,
        *,
        returns: ReturnOptions,
        draws_person: bool,
    ) -> None:
        self._triton = triton
        self._ensure = ensure
        self._model = actor.id
        self._returns = returns
        outputs = (*_OUTPUTS, "PERSON") if draws_person else _OUTPUTS
        self._requests = InferenceRequests(actor.id, str(actor.version), outputs)
        self._draws_person = draws_person
        self._recurrence = Recurrence(recalled)
        self._seconds = settings.generator_seconds
        self._retries = StageRetries(settings.away_seconds)

    async def run(self, inbox: Inbox, outbox: Link[InFlightFrame]) -> None:
        """See `orchestrator.pipeline.play.Stage`."""
        while True:
            try:
                frame, waited_seconds = await inbox.take()
            except LinkEnded:
                return
            if frame.no_picture is None:
                frame.enter(waited_seconds)
                await self._draw(frame)
            frame.recalled = self._recurrence.recalled
            await outbox.put(frame)

    async def _draw(self, frame: InFlightFrame) -> None:
        assert frame.label_map is not None
        assert frame.rung is not None
        previous, restarted = self._recurrence.previous(frame.time_s, frame.rung.size)
        if restarted:
            frame.remarks.append(Remark.RESTARTED)
        inputs = {"LABEL_MAP": frame.label_map, "PREVIOUS_FRAME": previous}
        if frame.reference is not None:
            inputs["REFERENCE"] = frame.reference
        request = self._requests.request(inputs)
        # `request` has copies; pictures dominate a session's memory.
        inputs.clear()
        if not self._returns.label_map:
            frame.label_map = None
        if not self._returns.reference:
            frame.reference = None
        while True:
            try:
                with stage_errors(self.name, frame.sequence, self._seconds):
                    frame.generated, frame.person, compute_seconds = await self._infer(frame, request)
                break
            except StageError as error:
                await self._retries.again(_retryable_if_unloaded(error))
                frame.retried()
                await self._revive(frame)
        self._retries.over()
        self._recurrence.drawn(frame.generated, frame.time_s)
        frame.leave(self.name, compute_seconds)

    async def _revive(self, frame: InFlightFrame) -> None:
        """Make the agent check the actor, and reload it if it does not draw."""
        try:
            await self._ensure()
        except (ActorNotFound, ActorUnusable) as error:
            raise StageRefused(self.name, frame.sequence, str(error), error.code) from error
        except DanceError as error:  # the next attempt raises the error that matters
            _log.info("the agent cannot check the actor %s: %s", self._model, error)

    async def _infer(self, frame: InFlightFrame, request: bytes) -> tuple[Picture, RgbaPicture | None, float]:
        """Return the picture, the person if requested, and the compute time in seconds.

        Raises StageBroken for invalid outputs.
        """
        response = await self._triton.infer(request, timeout=self._seconds)
        try:
            drawn = outputs_by_name(response)
        except ValueError as error:
            raise StageBroken(self.name, frame.sequence, f"its outputs do not match their shapes: {error}") from error
        picture = self._one_picture(frame, "FRAME", drawn.get("FRAME"), 3)
        person = self._one_picture(frame, "PERSON", drawn.get("PERSON"), 4) if self._draws_person else None
        seconds = drawn.get("COMPUTE_SECONDS")
        if seconds is None or seconds.size != 1:
            raise StageBroken(self.name, frame.sequence, "it did not return its COMPUTE_SECONDS")
        return picture, person, float(seconds.reshape(-1)[0])

    def _one_picture(
        self, frame: InFlightFrame, name: str, drawn: NDArray[Any] | None, channels: int
    ) -> NDArray[np.uint8]:
        assert frame.rung is not None
        shape = (frame.rung.size.height_px, frame.rung.size.width_px, channels)
        if drawn is None or drawn.shape != (1, *shape) or drawn.dtype != np.uint8:
            got = None if drawn is None else (drawn.shape, drawn.dtype.name)
            raise StageBroken(self.name, frame.sequence, f"expected a {name} of {shape} uint8, got {got}")
        picture: NDArray[np.uint8] = drawn[0]
        return picture


def _retryable_if_unloaded(error: StageError) -> StageError:
    """Make NOT_FOUND retryable: an actor that Triton has unloaded can be loaded again."""
    if isinstance(error, StageRefused) and error.stage_code is StatusCode.NOT_FOUND:
        return StageUnavailable(error.stage, error.sequence, error.reason)
    return error
