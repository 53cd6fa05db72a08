"""The face stage: a better face on the generated picture. It is off the generator's path: frames overlap."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import ClassVar

from dance.v1 import face_pb2, face_pb2_grpc

from motion.face_region import cut_face
from motion.frame import Picture, PictureEncoding
from orchestrator.pipeline.in_flight_frame import Passage
from orchestrator.pipeline.link import Link
from orchestrator.pipeline.ordered_work import in_order
from orchestrator.pipeline.play import Inbox
from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.failures import stage_errors
from orchestrator.stage_calls.patience import Patience
from serving.actors.store import Actor
from serving.errors import BadInput, StageBroken, StageError
from serving.pictures.codec import decode_picture, encode_picture
from serving.rpc import converters


class FaceStage:
    """Adds `refined_face` to each frame whose pose has a face; the encode stage pastes it.

    The service keeps nothing between two calls: a call that failed is made again, of any replica.
    """

    name: ClassVar[str] = "face"

    def __init__(
        self, stub: face_pb2_grpc.FaceServiceStub, actor: Actor, settings: OrchestratorSettings, *, at_once: int
    ) -> None:
        self._stub = stub
        self._actor = actor
        self._seconds = settings.face_seconds
        self._at_once = at_once
        self._patience = Patience(settings.away_seconds)

    async def run(self, inbox: Inbox, outbox: Link[Passage]) -> None:
        """See `orchestrator.pipeline.play.Stage`."""
        await in_order(inbox, outbox, self._begin, at_once=self._at_once)

    def _begin(self, passage: Passage) -> Awaitable[None] | None:
        return None if passage.face_label is None else self._refine(passage)

    async def _refine(self, passage: Passage) -> None:
        assert passage.generated is not None
        assert passage.face_region is not None
        assert passage.face_label is not None
        crop_px = self._actor.face_rule.crop_px
        # A crop is so small that handing it to a thread would cost more than cutting it here.
        face = cut_face(passage.generated, passage.face_region, crop_px)
        request = face_pb2.RefineRequest(actor=self._actor.id, actor_version=self._actor.version)
        converters.fill_picture(request.face, encode_picture(face, PictureEncoding.RAW))
        converters.fill_picture(request.label, encode_picture(passage.face_label, PictureEncoding.RAW))
        while True:
            try:
                with stage_errors(self.name, passage.sequence, self._seconds):
                    answer = await self._stub.Refine(request, timeout=self._seconds)
                    passage.refined_face = self._refined(passage, answer, face.shape)
                break
            except StageError as error:
                await self._patience.again(error)
                passage.retried()
        self._patience.over()
        passage.leave(self.name, answer.compute_seconds)

    def _refined(self, passage: Passage, answer: face_pb2.RefineResponse, shape: tuple[int, ...]) -> Picture:
        try:
            refined = decode_picture(converters.picture_from_proto(answer.face, field="face"), field="face")
        except BadInput as error:
            raise StageBroken(self.name, passage.sequence, str(error)) from error
        if refined.shape != shape:
            raise StageBroken(self.name, passage.sequence, f"expected {shape}, got {refined.shape}")
        return refined
