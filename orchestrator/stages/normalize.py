"""The normalize stage: the pose in the actor's body and place."""

from __future__ import annotations

from typing import ClassVar, Final

from dance.v1 import normalize_pb2, normalize_pb2_grpc

from motion.frame import NoPictureReason
from motion.retarget import Transform
from orchestrator.config import SessionConfig
from orchestrator.pipeline.in_flight_frame import NoPicture, Passage, Remark
from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.bidi_stage import StreamStage
from serving.actors.store import Actor
from serving.errors import BadInput, StageBroken
from serving.rpc import converters

SURE: Final = 0.8
"""Below this certainty the running calibration is said to be calibrating."""


class NormalizeStage(StreamStage[normalize_pb2.NormalizeRequest, normalize_pb2.NormalizeResponse]):
    """Adds `normalized_pose`, or the reason why there is none. Frames without a pose go there too: joints may be held.

    A new stream goes on from the last `state_after`, the first one from `state`.
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
            in_flight=2,
            look_ahead=config.look_ahead_frames,
            open_seconds=settings.open_seconds,
            answer_seconds=settings.normalize_seconds,
            away_seconds=settings.away_seconds,
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

    def _request(self, passage: Passage) -> normalize_pb2.NormalizeRequest | None:
        if passage.dropped or passage.size is None:
            return None
        request = normalize_pb2.NormalizeRequest()
        frame = request.pose_frame
        frame.sequence = passage.sequence
        if passage.captured_at_s is not None:
            converters.fill_seconds(frame.captured_at, passage.captured_at_s)
        frame.size.width_px, frame.size.height_px = passage.size.width_px, passage.size.height_px
        if passage.source_pose is not None:
            converters.fill_pose(frame.pose, passage.source_pose)
        return request

    def _take_answer(self, passage: Passage, response: normalize_pb2.NormalizeResponse) -> None:
        answer = response.normalized
        if answer.sequence != passage.sequence or not response.HasField("normalized"):
            raise StageBroken(self.name, passage.sequence, "it answered another frame")
        self._state = answer.state_after
        if passage.no_picture is None and answer.HasField("pose"):
            try:
                passage.normalized_pose = converters.pose_from_proto(answer.pose)
            except BadInput as error:  # the stage's doing, not the client's
                raise StageBroken(self.name, passage.sequence, str(error)) from error
            passage.transform = Transform(answer.transform.scale, answer.transform.foot_y, answer.transform.hip_x)
            passage.remarks.extend(_remarks(answer))
        elif passage.no_picture is None:
            passage.no_picture = _reason(passage, answer)
        passage.leave(self.name, answer.compute_seconds)

    def _leaves(self, passage: Passage) -> None:
        passage.normalize_state = self._state


def _reason(passage: Passage, answer: normalize_pb2.NormalizedPose) -> NoPicture:
    if passage.source_pose is not None and not answer.HasField("transform"):
        return NoPicture(NoPictureReason.NOT_PLACED, "head, hips and both ankles have not been seen together yet")
    lost = Remark.DANCER_LOST in passage.remarks
    return NoPicture(NoPictureReason.NO_PERSON, "the dancer is lost" if lost else "")


def _remarks(answer: normalize_pb2.NormalizedPose) -> list[Remark]:
    running = answer.calibration == normalize_pb2.CALIBRATION_RUNNING
    said = {
        Remark.CALIBRATING: running and answer.certainty < SURE,
        Remark.EXTRAPOLATED: answer.extrapolated,
        Remark.LIMITED: answer.limited,
        Remark.ON_THE_SPOT: answer.on_the_spot,
        Remark.TRANSFORM_KEPT: answer.transform_kept,
        Remark.JOINTS_HELD: answer.held_joints > 0,
        Remark.AIRBORNE: answer.airborne,
    }
    return [remark for remark, holds in said.items() if holds]
