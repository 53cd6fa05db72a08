"""The face stage: refines the face of the generated picture, in parallel with the generator's next frame."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import ClassVar

from dance.v1 import face_pb2, face_pb2_grpc

from motion.face_region import cut_face
from motion.frame import Picture, PictureEncoding
from orchestrator.pipeline.in_flight_frame import InFlightFrame
from orchestrator.pipeline.ordered_work import OrderedStage
from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.failures import StageRetries, stage_errors
from serving.actors.store import Actor
from serving.errors import StageBroken, StageError
from serving.pictures.codec import decode_picture, encode_picture
from serving.rpc import converters


class FaceStage(OrderedStage):
    """Adds `refined_face` to each frame whose pose has a face; the encode stage pastes it.

    The service is stateless: a failed call is retried on any replica.
    """

    name: ClassVar[str] = "face"

    def __init__(self, stub: face_pb2_grpc.FaceServiceStub, actor: Actor, settings: OrchestratorSettings) -> None:
        self._stub = stub
        self._actor = actor
        self._seconds = settings.face_seconds
        self._retries = StageRetries(settings.away_seconds)

    def _begin(self, frame: InFlightFrame) -> Awaitable[None] | None:
        return None if frame.face_label is None else self._refine(frame)

    async def _refine(self, frame: InFlightFrame) -> None:
        assert frame.generated is not None
        assert frame.face_region is not None
        assert frame.face_label is not None
        crop_px = self._actor.face_rule.crop_px
        # The crop is small: handing it to a thread would cost more than cutting it here.
        face = cut_face(frame.generated, frame.face_region, crop_px)
        request = face_pb2.RefineRequest(actor=self._actor.id, actor_version=self._actor.version)
        converters.fill_picture(request.face, encode_picture(face, PictureEncoding.RAW))
        converters.fill_picture(request.label, encode_picture(frame.face_label, PictureEncoding.RAW))
        while True:
            try:
                with stage_errors(self.name, frame.sequence, self._seconds):
                    answer = await self._stub.Refine(request, timeout=self._seconds)
                    frame.refined_face = self._refined(frame, answer, face.shape)
                break
            except StageError as error:
                await self._retries.again(error)
                frame.retried()
        self._retries.over()
        frame.leave(self.name, answer.compute_seconds)

    def _refined(self, frame: InFlightFrame, answer: face_pb2.RefineResponse, shape: tuple[int, ...]) -> Picture:
        refined = decode_picture(converters.picture_from_proto(answer.face, field="face"), field="face")
        if refined.shape != shape:
            raise StageBroken(self.name, frame.sequence, f"expected {shape}, got {refined.shape}")
        return refined
