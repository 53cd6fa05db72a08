"""The client's end of a session: its messages become frames, and answers become messages."""

from __future__ import annotations

import time

from dance.v1 import transfer_pb2

from motion.clock import FrameTimeError, SourceClock
from motion.frame import FrameSize, NoPictureReason
from orchestrator.edge.converters import accepted_to_proto, answer_to_proto
from orchestrator.edge.session_log import SessionLog
from orchestrator.pipeline.in_flight_frame import InFlightFrame, NoPicture, Remark
from orchestrator.session.checkpoint import SessionState
from orchestrator.session_config import ReturnOptions, SessionAccepted
from serving.errors import BadInput, BadPicture
from serving.observability import metrics, tracing
from serving.pictures.codec import PictureLimits, check_picture
from serving.rpc import converters
from serving.rpc.server_stream import RequestReader, ResponseWriter


class Intake:
    """Turns a session's messages into frames, and checks them against the contract.

    A picture that does not match its description becomes a BAD_FRAME. A sequence that does not increase, a frame
    without content or time and an invalid pose raise BadInput, which ends the session.

    resumed: the state of the earlier session that this one resumes.
    """

    def __init__(self, limits: PictureLimits, frame_rate_hz: float, resumed: SessionState | None = None) -> None:
        self._limits = limits
        self._clock = SourceClock(frame_rate_hz, resumed.time_s if resumed else None)
        self._last_sequence = resumed.sequence if resumed else -1
        self._size = resumed.size if resumed else None

    def frame(self, kind: str | None, message: transfer_pb2.TransferFrame) -> InFlightFrame:
        """Return the frame of one request. kind: which field of the request is set."""
        if kind != "frame":
            raise BadInput(kind or "request", "after the config, every request must be a frame")
        if message.sequence <= self._last_sequence:
            raise BadInput("frame.sequence", f"must increase, got {message.sequence} after {self._last_sequence}")
        self._last_sequence = message.sequence
        captured_at_s = None
        if message.HasField("captured_at"):
            captured_at_s = converters.seconds_from_proto(message.captured_at, field="frame.captured_at")
        frame = InFlightFrame(
            message.sequence, self._time_s(message.sequence, captured_at_s), self._size, captured_at_s
        )
        content = message.WhichOneof("content")
        try:
            if content == "picture":
                frame.picture = converters.picture_from_proto(message.picture, field="frame.picture")
                check_picture(frame.picture, self._limits, field="frame.picture")
                size = FrameSize(frame.picture.width_px, frame.picture.height_px)
            elif content == "client_pose":
                given = message.client_pose
                size = converters.frame_size_from_proto(given.size, field="frame.client_pose.size")
                if given.HasField("pose"):
                    frame.source_pose = converters.pose_from_proto(given.pose, field="frame.client_pose.pose")
                frame.remarks.extend(_remarks(given))
            else:
                raise BadInput("frame.content", f"frame {message.sequence} has neither a picture nor a pose")
            self._size = self._size or size
            if size != self._size:
                raise BadPicture("frame", f"is {size.width_px}x{size.height_px}, expected this session's "
                                 f"{self._size.width_px}x{self._size.height_px}")  # fmt: skip
            frame.size = size
        except BadPicture as error:
            frame.picture = frame.source_pose = None
            frame.no_picture = NoPicture(NoPictureReason.BAD_FRAME, str(error))
        return frame

    def _time_s(self, sequence: int, captured_at_s: float | None) -> float:
        try:
            return self._clock.time_s(sequence, captured_at_s)
        except FrameTimeError as error:
            raise BadInput(f"frame.{error.field}", str(error)) from error


def _remarks(given: transfer_pb2.ClientPose) -> list[Remark]:
    """Return what the pose stage would have noted, in its order."""
    noted = {
        Remark.DANCER_LOST: given.dancer_lost,
        Remark.DANCER_CHANGED: given.dancer_changed,
        Remark.FACE_AND_HANDS_CARRIED: given.face_and_hands_carried,
    }
    return [remark for remark, holds in noted.items() if holds]


class TransferClient:
    """The client of one Transfer stream; see `orchestrator.session.transfer_session.Client`."""

    def __init__(
        self,
        reader: RequestReader[transfer_pb2.TransferRequest],
        writer: ResponseWriter[transfer_pb2.TransferResponse],
        intake: Intake,
        returns: ReturnOptions,
        log: SessionLog,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._intake = intake
        self._returns = returns
        self._log = log
        self.name = log.client
        self.rollout_key = log.rollout_key

    async def accept(self, accepted: SessionAccepted) -> None:
        """Send the first response. Raises StageTimeout."""
        await self._writer.send(accepted_to_proto(accepted), None)

    async def next_frame(self, seconds: float) -> InFlightFrame | None:
        """See `orchestrator.session.transfer_session.Client`."""
        request = await self._reader.take(seconds)
        if request is None:
            return None
        frame = self._intake.frame(request.WhichOneof("request"), request.frame)
        frame.trace = tracing.begin_frame(frame.sequence)
        return frame

    def stop(self) -> None:
        """See `orchestrator.session.transfer_session.Client`."""
        self._reader.stop()

    async def drain(self, checkpoint: bytes, next_sequence: int) -> None:
        """See `orchestrator.session.transfer_session.Client`."""
        draining = transfer_pb2.Draining(checkpoint=checkpoint, next_sequence=next_sequence)
        await self._writer.send(transfer_pb2.TransferResponse(draining=draining), None)

    async def answer(self, frame: InFlightFrame) -> None:
        """See `orchestrator.session.transfer_session.Client`. Counts the frame as well."""
        await self._writer.send(answer_to_proto(frame, self._returns), frame.sequence)
        result = "picture" if frame.no_picture is None else frame.no_picture.reason.value
        if frame.trace is not None:
            frame.trace.end(result)
        self._log.answered += 1
        metrics.child(metrics.FRAMES, result).inc()
        metrics.FRAME_DURATION.observe(time.perf_counter() - frame.arrived_at_s)
        for remark in frame.remarks:
            metrics.child(metrics.REMARKS, remark.value).inc()
