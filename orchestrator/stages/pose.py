"""The pose stage: who is in the frame. The client's bytes go there as they came."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from dance.v1 import pose_pb2, pose_pb2_grpc
from grpc import StatusCode

from motion.frame import Frame, NoPictureReason
from motion.people.dancer_choice import DancerChoice, DancerRule, place_of
from motion.pose_choice import PoseBackend
from orchestrator.config import PoseConfig
from orchestrator.pipeline.in_flight_frame import NoPicture, Passage, Remark
from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.bidi_stage import StreamStage
from serving.errors import BadInput, NotServed, StageBroken, StageRefused
from serving.rpc import converters


class PoseStage(StreamStage[pose_pb2.EstimateRequest, pose_pb2.EstimateResponse]):
    """Adds `source_pose` to each frame that has a picture; a frame without anybody in it gets none.

    The stream is opened at the first picture: a client that sends poses needs no place in the pose service. Where it
    is opened anew the tracker finds the dancer anew: with a backend that finds several people, whoever is nearest to
    where the dancer was.

    config: how to look; once the stream is open it is what the service honours. dancer_at: where the dancer of an
    earlier session was, as fractions of the frame.
    """

    name: ClassVar[str] = "pose"

    def __init__(
        self,
        stub: pose_pb2_grpc.PoseServiceStub,
        config: PoseConfig,
        settings: OrchestratorSettings,
        *,
        live: bool,
        dancer_at: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(
            stub.Estimate,
            in_flight=1 if live else 2,
            look_ahead=0,
            open_seconds=settings.open_seconds,
            answer_seconds=settings.pose_seconds,
            away_seconds=settings.away_seconds,
        )
        self.config = config
        self._dancer_at = dancer_at

    async def open(self) -> None:
        """See `StreamStage.open`. Raises NotServed where the service has no such backend or rule for the dancer."""
        try:
            await super().open()
        except StageRefused as error:
            if error.refused_with is StatusCode.UNIMPLEMENTED:
                reason = error.reason.removeprefix("UNIMPLEMENTED: ")
                # The pose service's word for it; our client's is another one.
                raise NotServed(reason.replace("config.backend:", "config.pose_backend:")) from error
            raise

    def _opening(self) -> pose_pb2.EstimateRequest:
        dancer = self.config.dancer
        if self._dancer_at is not None and self.config.backend is not PoseBackend.MEDIAPIPE:
            dancer = DancerChoice(DancerRule.NEAREST, *self._dancer_at)
        config = pose_pb2.EstimateConfig(
            backend=converters.BACKEND_TO_PROTO[self.config.backend],
            detail=converters.DETAIL_TO_PROTO[self.config.detail],
            dancer=converters.dancer_choice_to_proto(dancer),
            face_and_hands_every_n=self.config.face_and_hands_every_n,
        )
        return pose_pb2.EstimateRequest(config=config)

    def _accept(self, response: pose_pb2.EstimateResponse) -> None:
        accepted = response.accepted
        if accepted.detail not in converters.DETAIL_FROM_PROTO:
            raise StageBroken(self.name, None, "its first answer does not say which detail it honours")
        self.config = replace(
            self.config,
            detail=converters.DETAIL_FROM_PROTO[accepted.detail],
            face_and_hands_every_n=accepted.face_and_hands_every_n,
        )

    def _request(self, passage: Passage) -> pose_pb2.EstimateRequest | None:
        if passage.picture is None:
            return None
        request = pose_pb2.EstimateRequest()
        converters.fill_frame(request.frame, Frame(passage.sequence, passage.picture, passage.captured_at_s))
        return request

    def _take_answer(self, passage: Passage, response: pose_pb2.EstimateResponse) -> None:
        estimate = response.estimate
        if estimate.sequence != passage.sequence or not -1 <= estimate.dancer_index < len(estimate.people):
            raise StageBroken(self.name, passage.sequence, "it answered another frame, or points at nobody")
        if estimate.bad_picture:
            passage.no_picture = NoPicture(NoPictureReason.BAD_FRAME, estimate.bad_picture)
        elif estimate.dancer_index >= 0:
            try:
                passage.source_pose = converters.pose_from_proto(estimate.people[estimate.dancer_index].pose)
            except BadInput as error:  # the stage's doing, not the client's
                raise StageBroken(self.name, passage.sequence, str(error)) from error
            if passage.size is not None:
                self._dancer_at = place_of(passage.source_pose, passage.size)
        passage.dancer_at = self._dancer_at
        if estimate.dancer_lost:
            passage.remarks.append(Remark.DANCER_LOST)
        if estimate.dancer_changed:
            passage.remarks.append(Remark.DANCER_CHANGED)
        if estimate.face_and_hands_carried:
            passage.remarks.append(Remark.FACE_AND_HANDS_CARRIED)
        passage.picture = None
        passage.leave(self.name, estimate.compute_seconds)
