"""The pose stage: finds the dancer in the frame. The client's encoded picture is sent unchanged."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from dance.v1 import pose_pb2, pose_pb2_grpc
from grpc import StatusCode

from motion.frame import Frame, NoPictureReason
from orchestrator.pipeline.in_flight_frame import InFlightFrame, NoPicture, Remark
from orchestrator.session_config import PoseConfig
from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.bidi_stage import StreamStage
from serving.errors import NotServed, StageBroken, StageRefused
from serving.rpc import converters


class PoseStage(StreamStage[pose_pb2.EstimateRequest, pose_pb2.EstimateResponse]):
    """Adds `source_pose` to each frame that has a picture with a person in it.

    The stream opens at the first picture: a client that sends poses takes no place in the pose service. A new stream
    continues from the last `state_after`; the first stream from `state`.

    config: the requested config; once the stream is open, what the service honours.
    """

    name: ClassVar[str] = "pose"

    def __init__(
        self,
        stub: pose_pb2_grpc.PoseServiceStub,
        config: PoseConfig,
        settings: OrchestratorSettings,
        *,
        live: bool,
        state: bytes = b"",
    ) -> None:
        super().__init__(
            stub.Estimate,
            settings,
            in_flight=1 if live else 2,
            look_ahead=0,
            answer_seconds=settings.pose_seconds,
        )
        self.config = config
        self._asked = (config.detail, config.face_and_hands_every_n)
        self._state = state

    async def open(self) -> None:
        """See `StreamStage.open`. Raises NotServed if the service lacks the backend or the dancer rule."""
        try:
            await super().open()
        except StageRefused as error:
            if error.stage_code is StatusCode.UNIMPLEMENTED:
                reason = error.reason.removeprefix("UNIMPLEMENTED: ")
                # The field has another name in the client's config than in the pose service's.
                raise NotServed(reason.replace("config.backend:", "config.pose_backend:")) from error
            raise

    def _begins_anew(self, frame: InFlightFrame) -> bool:
        """See `StreamStage`. A stream has one detail, so a frame at a rung with another one begins a new stream."""
        if frame.rung is None or (frame.rung.detail, frame.rung.face_and_hands_every_n) == self._asked:
            return False
        detail, every_n = self._asked = frame.rung.detail, frame.rung.face_and_hands_every_n
        self.config = replace(self.config, detail=detail, face_and_hands_every_n=every_n)
        return True

    def _opening(self) -> pose_pb2.EstimateRequest:
        config = pose_pb2.EstimateConfig(
            backend=converters.BACKEND_TO_PROTO[self.config.backend],
            detail=converters.DETAIL_TO_PROTO[self.config.detail],
            dancer=converters.dancer_choice_to_proto(self.config.dancer),
            face_and_hands_every_n=self.config.face_and_hands_every_n,
            state=self._state,
        )
        return pose_pb2.EstimateRequest(config=config)

    def _accept(self, response: pose_pb2.EstimateResponse) -> None:
        accepted = response.accepted
        if accepted.detail not in converters.DETAIL_FROM_PROTO:
            raise StageBroken(self.name, None, "its first answer has no valid detail")
        self.config = replace(
            self.config,
            detail=converters.DETAIL_FROM_PROTO[accepted.detail],
            face_and_hands_every_n=accepted.face_and_hands_every_n,
        )

    def _request(self, frame: InFlightFrame) -> pose_pb2.EstimateRequest | None:
        if frame.picture is None:
            return None
        request = pose_pb2.EstimateRequest()
        converters.fill_frame(request.frame, Frame(frame.sequence, frame.picture, frame.captured_at_s))
        return request

    def _take_answer(self, frame: InFlightFrame, response: pose_pb2.EstimateResponse) -> None:
        estimate = response.estimate
        if estimate.sequence != frame.sequence or not -1 <= estimate.dancer_index < len(estimate.people):
            raise StageBroken(
                self.name, frame.sequence, "it answered another frame, or its dancer_index is out of range"
            )
        if len(estimate.state_after) > converters.MAX_POSE_STATE_BYTES:
            raise StageBroken(self.name, frame.sequence, f"its state has {len(estimate.state_after)} bytes")
        self._state = estimate.state_after
        if estimate.bad_picture:
            frame.no_picture = NoPicture(NoPictureReason.BAD_FRAME, estimate.bad_picture)
        elif estimate.dancer_index >= 0:
            frame.source_pose = converters.pose_from_proto(estimate.people[estimate.dancer_index].pose)
        if estimate.dancer_lost:
            frame.remarks.append(Remark.DANCER_LOST)
        if estimate.dancer_changed:
            frame.remarks.append(Remark.DANCER_CHANGED)
        if estimate.face_and_hands_carried:
            frame.remarks.append(Remark.FACE_AND_HANDS_CARRIED)
        frame.picture = None
        frame.leave(self.name, estimate.compute_seconds)

    def _leaves(self, frame: InFlightFrame) -> None:
        frame.pose_state = self._state
