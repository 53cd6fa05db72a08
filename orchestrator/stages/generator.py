"""The generator stage: label map and previous picture in, picture out, on a Triton server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final

import grpc.aio
import numpy as np
from dance.v1 import agent_pb2, agent_pb2_grpc
from grpc import StatusCode
from tritonclient.grpc import service_pb2

from motion.frame import Picture
from orchestrator.link import Link, LinkEnded
from orchestrator.passage import Passage, Remark
from orchestrator.pipeline import Inbox
from orchestrator.recurrence import Recurrence
from orchestrator.settings import OrchestratorSettings
from orchestrator.stages.failures import stage_errors
from serving.actors import Actor
from serving.errors import ActorNotFound, ActorUnusable, StageRefused, StageUnavailable

_NOT_READY: Final = "not at ready state"
"""What Triton says of a version that was unloaded, under UNAVAILABLE."""


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
    return str(answer.precision)


class GeneratorStage:
    """Adds `generated`. One frame at a time: the next one needs this one's picture, before the face stage.

    The service keeps nothing between two calls, so a frame can be asked for again, of any replica. That is done once
    where the actor is not loaded any more.

    infer: Triton's ModelInfer; it takes a request's bytes. ensure: has the actor loaded, see `ensure_actor`.
    """

    name: ClassVar[str] = "generator"

    def __init__(
        self, infer: Any, ensure: Callable[[], Awaitable[str]], actor: Actor, settings: OrchestratorSettings
    ) -> None:
        self._infer = infer
        self._ensure = ensure
        self._shape = (actor.stage.out_height_px, actor.stage.out_width_px, 3)
        self._head = _head(actor.id, str(actor.version), self._shape)
        self._recurrence = Recurrence(actor.stage.out_width_px, actor.stage.out_height_px)
        self._seconds = settings.generator_seconds

    async def run(self, inbox: Inbox, outbox: Link[Passage]) -> None:
        """See `orchestrator.pipeline.Stage`."""
        while True:
            try:
                passage, waited_seconds = await inbox.take()
            except LinkEnded:
                return
            if passage.no_picture is None:
                passage.enter(waited_seconds)
                await self._draw(passage)
            await outbox.put(passage)

    async def _draw(self, passage: Passage) -> None:
        assert passage.label_map is not None
        previous, restarted = self._recurrence.previous(passage.time_s)
        if restarted:
            passage.remarks.append(Remark.RESTARTED)
        with stage_errors(self.name, passage.sequence, self._seconds):
            response = await self._answer(passage, _request(self._head, passage.label_map, previous))
            passage.generated, compute_seconds = self._picture(passage, response)
        self._recurrence.drawn(passage.generated, passage.time_s)
        passage.leave(self.name, compute_seconds)

    async def _answer(self, passage: Passage, request: bytes) -> Any:
        try:
            return await self._infer(request, timeout=self._seconds)
        except grpc.aio.AioRpcError as error:
            code, details = error.code(), error.details() or ""
            if code is not StatusCode.NOT_FOUND and not (code is StatusCode.UNAVAILABLE and _NOT_READY in details):
                raise
        try:
            await self._ensure()
        except (ActorNotFound, ActorUnusable) as error:
            raise StageUnavailable(self.name, passage.sequence, str(error)) from error
        return await self._infer(request, timeout=self._seconds)

    def _picture(self, passage: Passage, response: Any) -> tuple[Picture, float]:
        """The picture, and for how long the service worked on it. Raises StageUnavailable for nonsense."""
        contents = response.raw_output_contents
        said = {output.name: (n, tuple(output.shape), output.datatype) for n, output in enumerate(response.outputs)}
        frame_at, *frame_is = said.get("FRAME", (0, None, None))
        seconds_at, *seconds_are = said.get("COMPUTE_SECONDS", (0, None, None))
        if frame_is != [(1, *self._shape), "UINT8"]:
            raise StageUnavailable(
                self.name, passage.sequence, f"expected a FRAME of {self._shape} UINT8, got {frame_is}"
            )
        if seconds_are != [(1, 1), "FP64"]:
            raise StageUnavailable(self.name, passage.sequence, f"expected one COMPUTE_SECONDS, got {seconds_are}")
        if max(frame_at, seconds_at) >= len(contents):
            raise StageUnavailable(self.name, passage.sequence, f"it sent {len(contents)} outputs of {len(said)}")
        frame = np.frombuffer(contents[frame_at], np.uint8)
        seconds = np.frombuffer(contents[seconds_at], np.float64)
        if frame.size != np.prod(self._shape) or seconds.size != 1:
            raise StageUnavailable(self.name, passage.sequence, "its outputs have other sizes than their shapes say")
        return frame.reshape(self._shape), float(seconds[0])


def _head(model: str, version: str, shape: tuple[int, int, int]) -> bytes:
    """The serialised request without its pictures."""
    request = service_pb2.ModelInferRequest(model_name=model, model_version=version)
    for name in ("LABEL_MAP", "PREVIOUS_FRAME"):
        request.inputs.add(name=name, datatype="UINT8", shape=[1, *shape])
    for name in ("FRAME", "COMPUTE_SECONDS"):
        request.outputs.add(name=name)
    return bytes(request.SerializeToString())


def _key(size_bytes: int) -> bytes:
    """What stands before one of `raw_input_contents`: field 7 with its length, as the protobuf encoding says."""
    key = bytearray((7 << 3 | 2,))
    while size_bytes > 0x7F:
        key.append(size_bytes & 0x7F | 0x80)
        size_bytes >>= 7
    key.append(size_bytes)
    return bytes(key)


def _request(head: bytes, label_map: Picture, previous: Picture) -> bytes:
    """The serialised request: protobuf's parts of a message may be laid end to end, so each picture is copied once."""
    key = _key(label_map.nbytes)
    return b"".join((head, key, np.ascontiguousarray(label_map).data, key, np.ascontiguousarray(previous).data))
