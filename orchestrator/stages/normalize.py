"""The normalize stage: moves the pose into the actor's body and place."""

from __future__ import annotations

from typing import ClassVar, Final

from dance.v1 import normalize_pb2, normalize_pb2_grpc

from motion.frame import NoPictureReason
from motion.retarget import Transform
from orchestrator.pipeline.in_flight_frame import InFlightFrame, NoPicture, Remark
from orchestrator.session_config import SessionConfig
from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.bidi_stage import StreamStage
from serving.actors.store import Actor
from serving.errors import StageBroken
from serving.rpc import converters

SURE: Final = 0.8
"""Below this certainty a running calibration is reported as CALIBRATING."""


class NormalizeStage(StreamStage[normalize_pb2.NormalizeRequest, normalize_pb2.NormalizeResponse]):
    """Adds `normalized_pose`, or the reason why there is none. Frames without a pose are sent too: joints may be held.

    A new stream continues from the last `state_after`; the first stream from `state`.
    """

    name: ClassVar[str] = "normalize"

    def __init__(
        self,
        stub: normalize_pb2_grpc.NormalizeServiceStub,
        config: SessionConfig,
        actor: Actor,
        settings: OrchestratorSettings,
        state: bytes,
    ) -> None:
        super().__init__(
            stub.Normalize,
            settings,
            in_flight=2,
            look_ahead=config.look_ahead_frames,
            answer_seconds=settings.normalize_seconds,
        )
        self._config = config
        self._actor = actor
        self._state = state

    def _opening(self) -> normalize_pb2.NormalizeRequest:
        source = self._config.source_body
        config = normalize_pb2.NormalizeConfig(
            target_body=converters.body_stats_to_proto(self._actor.body),
            target_frame=converters.frame_size_to_proto(self._actor.frame_size),
            source_body=None if source is None else converters.body_stats_to_proto(source),
            look_ahead_frames=self._config.look_ahead_frames,
            frame_rate_hz=self._config.frame_rate_hz,
            state=self._state,
        )
        return normalize_pb2.NormalizeRequest(config=config)

    def _accept(self, response: normalize_pb2.NormalizeResponse) -> None:
        if response.accepted.look_ahead_frames != self._config.look_ahead_frames:
            raise StageBroken(self.name, None, f"it did not accept {self._config.look_ahead_frames} look-ahead frames")

    def _request(self, frame: InFlightFrame) -> normalize_pb2.NormalizeRequest | None:
        if frame.dropped or frame.size is None:
            return None
        request = normalize_pb2.NormalizeRequest()
        message = request.pose_frame
        message.sequence = frame.sequence
        if frame.captured_at_s is not None:
            converters.fill_seconds(message.captured_at, frame.captured_at_s)
        message.size.width_px, message.size.height_px = frame.size.width_px, frame.size.height_px
        if frame.source_pose is not None:
            converters.fill_pose(message.pose, frame.source_pose)
        return request

    def _take_answer(self, frame: InFlightFrame, response: normalize_pb2.NormalizeResponse) -> None:
        answer = response.normalized
        if answer.sequence != frame.sequence or not response.HasField("normalized"):
            raise StageBroken(self.name, frame.sequence, "it answered another frame")
        self._state = answer.state_after
        if frame.no_picture is None and answer.HasField("pose"):
            frame.normalized_pose = converters.pose_from_proto(answer.pose)
            frame.transform = Transform(answer.transform.scale, answer.transform.foot_y, answer.transform.hip_x)
            frame.remarks.extend(_remarks(answer))
        elif frame.no_picture is None:
            frame.no_picture = _reason(frame, answer)
        frame.leave(self.name, answer.compute_seconds)

    def _leaves(self, frame: InFlightFrame) -> None:
        frame.normalize_state = self._state


def _reason(frame: InFlightFrame, answer: normalize_pb2.NormalizedPose) -> NoPicture:
    if frame.source_pose is not None and not answer.HasField("transform"):
        return NoPicture(NoPictureReason.NOT_PLACED, "head, hips and both ankles have not been seen together yet")
    lost = Remark.DANCER_LOST in frame.remarks
    return NoPicture(NoPictureReason.NO_PERSON, "the dancer is lost" if lost else "")


def _remarks(answer: normalize_pb2.NormalizedPose) -> list[Remark]:
    running = answer.calibration == normalize_pb2.CALIBRATION_RUNNING
    applies = {
        Remark.CALIBRATING: running and answer.certainty < SURE,
        Remark.EXTRAPOLATED: answer.extrapolated,
        Remark.LIMITED: answer.limited,
        Remark.ON_THE_SPOT: answer.on_the_spot,
        Remark.TRANSFORM_KEPT: answer.transform_kept,
        Remark.JOINTS_HELD: answer.held_joints > 0,
        Remark.AIRBORNE: answer.airborne,
    }
    return [remark for remark, holds in applies.items() if holds]
