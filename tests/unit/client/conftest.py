"""Small videos, and a transfer service on a real port that behaves as configured."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import grpc
import numpy as np
import pytest
from dance.v1 import actor_pb2, normalize_pb2, pose_pb2, transfer_pb2, transfer_pb2_grpc

from motion.crop import resized
from motion.frame import EncodedPicture, Picture, PictureEncoding
from motion.pose import Pose
from serving.pictures.codec import decode_picture, encode_picture
from serving.rpc import converters

SIZE_PX = 64
BODY = normalize_pb2.BodyStats(near_ankle_y=0.9, far_ankle_y=0.6, near_height=0.7, far_height=0.4, hip_x=0.5, frames=12)


_RUNGS = ((pose_pb2.POSE_DETAIL_HOLISTIC, SIZE_PX), (pose_pb2.POSE_DETAIL_BODY, SIZE_PX // 2))


@dataclass
class Behaviour:
    """The behaviour of the fake service; `seen` fields record its requests."""

    no_person: frozenset[int] = frozenset()
    bad_frames: frozenset[int] = frozenset()
    dropped: frozenset[int] = frozenset()
    fail_at: int | None = None
    interrupt_at: int | None = None
    answers_after_interrupt: bool = False
    label_map_mismatch: bool = False
    nobody_at_all: bool = False
    nobody_placed: bool = False
    has_wardrobe: bool = False
    reduced: range = range(0)
    """These frames are drawn at the lower of two rungs, at half the size, if the session is adaptive."""
    max_frames_in_flight: int = 4
    owes_answers: bool = False
    leaves_after: int | None = None
    never_ends: bool = False
    fit_takes_nothing: bool = False
    fit_never_answers: bool = False
    seen_configs: list[transfer_pb2.TransferConfig] = field(default_factory=list)
    seen_sizes: list[tuple[int, int]] = field(default_factory=list)
    seen_poses: list[Pose | None] = field(default_factory=list)
    seen_fits: list[transfer_pb2.FitBodyConfig] = field(default_factory=list)
    fitted_frames: int = 0
    go_on: threading.Event = field(default_factory=threading.Event)


class FakeTransferService(transfer_pb2_grpc.TransferServiceServicer):
    """Answers frame n with a picture of grey level 20 + 10 n, with a square on top."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    def ListActors(self, request, context):  # noqa: N802
        size = normalize_pb2.FrameSize(width_px=SIZE_PX, height_px=SIZE_PX)
        footage = normalize_pb2.FrameSize(width_px=160, height_px=90)
        why = (
            "actor 'juggler' version 2 was trained on label maps of version 9"
            if self._behaviour.label_map_mismatch
            else ""
        )
        summary = actor_pb2.ActorSummary(
            actor="juggler", actor_version=2, stage_size=size, full_frame_size=footage, preset="slim-256",
            label_map_version=1, unavailable=why, body=BODY,
        )  # fmt: skip
        if self._behaviour.has_wardrobe:
            summary.wardrobe.key_frames = 64
            summary.smaller_sizes.add(width_px=SIZE_PX // 2, height_px=SIZE_PX // 2)
        return transfer_pb2.ListActorsResponse(actors=[summary])

    def FitBody(self, request_iterator, context):  # noqa: N802
        if self._behaviour.fit_takes_nothing:
            self._behaviour.go_on.wait(10)
        requests = list(request_iterator)
        self._behaviour.seen_fits += [request.config for request in requests if request.HasField("config")]
        frames = [request for request in requests if request.WhichOneof("request") == "frame"]
        if self._behaviour.fit_never_answers:
            self._behaviour.go_on.wait(10)
        self._behaviour.fitted_frames = len(frames)
        if self._behaviour.nobody_at_all:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"no whole body was seen in {len(frames)} frames")
        return transfer_pb2.FitBodyResponse(body=BODY, frames=len(frames), frames_with_person=len(frames))

    def Transfer(self, request_iterator, context):  # noqa: N802
        behaviour = self._behaviour
        config = next(request_iterator).config
        behaviour.seen_configs.append(config)
        size = normalize_pb2.FrameSize(width_px=SIZE_PX, height_px=SIZE_PX)
        confirmed = transfer_pb2.TransferConfig()
        confirmed.CopyFrom(config)
        confirmed.return_options.reference &= behaviour.has_wardrobe
        yield transfer_pb2.TransferResponse(
            accepted=transfer_pb2.TransferAccepted(
                config=confirmed,
                limits=transfer_pb2.SessionLimits(max_frames_in_flight=behaviour.max_frames_in_flight),
                stage_size=size,
                full_frame_size=size,
                generator_precision="bf16",
                rungs=[
                    transfer_pb2.Rung(
                        pose_detail=detail, picture_size=normalize_pb2.FrameSize(width_px=px, height_px=px)
                    )
                    for detail, px in _RUNGS[: 1 + bool(behaviour.reduced)]
                ],
            )
        )
        for request in request_iterator:
            if request.frame.sequence == behaviour.fail_at:
                context.abort(grpc.StatusCode.UNAVAILABLE, f"stage pose failed at frame {behaviour.fail_at}: it died")
            if request.frame.sequence == behaviour.interrupt_at:
                os.kill(os.getpid(), signal.SIGINT)
                if not behaviour.answers_after_interrupt:
                    behaviour.go_on.wait(10)
                    return
            if behaviour.owes_answers and request.frame.sequence == 3:
                return
            yield transfer_pb2.TransferResponse(answer=self._answer(request.frame, config))
            if request.frame.sequence == behaviour.leaves_after:
                return
        if behaviour.never_ends:
            behaviour.go_on.wait(10)

    def _answer(self, frame, config):
        answer = transfer_pb2.TransferAnswer(sequence=frame.sequence, frame_seconds=0.01)
        if config.adaptive and frame.sequence in self._behaviour.reduced:
            answer.rung = 1
        if frame.WhichOneof("content") == "client_pose":
            given = frame.client_pose
            self._behaviour.seen_sizes.append((given.size.width_px, given.size.height_px))
            self._behaviour.seen_poses.append(
                converters.pose_from_proto(given.pose) if given.HasField("pose") else None
            )
            if config.return_options.source_pose and given.HasField("pose"):
                answer.source_pose.CopyFrom(given.pose)
            if not given.HasField("pose"):
                answer.no_picture.reason = transfer_pb2.NO_PICTURE_REASON_NO_PERSON
                return answer
        else:
            assert decode_picture(converters.picture_from_proto(frame.picture)).shape[2] == 3
            self._behaviour.seen_sizes.append((frame.picture.width_px, frame.picture.height_px))
        if frame.sequence in self._behaviour.no_person or self._behaviour.nobody_at_all:
            answer.no_picture.reason = transfer_pb2.NO_PICTURE_REASON_NO_PERSON
            return answer
        if self._behaviour.nobody_placed:
            answer.no_picture.reason = transfer_pb2.NO_PICTURE_REASON_NOT_PLACED
            return answer
        if frame.sequence in self._behaviour.dropped:
            answer.no_picture.reason = transfer_pb2.NO_PICTURE_REASON_DROPPED
            return answer
        if frame.sequence in self._behaviour.bad_frames:
            answer.no_picture.reason = transfer_pb2.NO_PICTURE_REASON_BAD_FRAME
            answer.no_picture.detail = "does not decode"
            return answer
        drawn, encoding = _drawn(frame.sequence), PictureEncoding.JPEG
        if answer.rung:
            drawn = resized(drawn, SIZE_PX // 2, SIZE_PX // 2)
        if config.background.transparent:
            alpha = np.zeros((SIZE_PX, SIZE_PX, 1), np.uint8)
            alpha[:, : SIZE_PX // 2] = 255  # the person is in the left half
            drawn, encoding = np.concatenate([drawn * (alpha > 0), alpha], axis=2), PictureEncoding.PNG
        answer.picture.CopyFrom(converters.picture_to_proto(_encoded(drawn, encoding)))
        if config.return_options.label_map:
            label_map = np.full((SIZE_PX, SIZE_PX, 3), 255, np.uint8)
            cv2.line(label_map, (32, 8), (32, 56), (200, 30, 30), 3)
            answer.label_map.CopyFrom(converters.picture_to_proto(_encoded(label_map, PictureEncoding.PNG)))
        if config.return_options.reference and self._behaviour.has_wardrobe:
            reference = np.zeros((SIZE_PX, SIZE_PX, 4), np.uint8)
            reference[16:48, 24:40] = (20, 30, 200, 255)
            answer.reference.CopyFrom(converters.picture_to_proto(_encoded(reference, PictureEncoding.PNG)))
        if config.checkpoint_every_frames and (frame.sequence + 1) % config.checkpoint_every_frames == 0:
            answer.checkpoint = b"behind frame %d" % frame.sequence
        answer.remarks.append(transfer_pb2.FRAME_REMARK_NO_FACE)
        for stage, milliseconds in (("generator", 16.0), ("pose", 40.0)):
            answer.stage_times.add(
                stage=stage, compute_seconds=milliseconds / 1000, queue_seconds=0.001, total_seconds=0.05
            )
        return answer


def grey_level(sequence: int) -> int:
    """Return the grey level of the answer to frame `sequence`, which begins again after 23 frames."""
    return 20 + 10 * (sequence % 23)


def _drawn(sequence: int) -> Picture:
    picture = np.full((SIZE_PX, SIZE_PX, 3), grey_level(sequence), np.uint8)
    picture[8:16, 8:16] = (250, 160, 20)
    return picture


def _encoded(pixels: Picture, encoding: PictureEncoding) -> EncodedPicture:
    return encode_picture(pixels, encoding, 95)


@dataclass
class RunningFake:
    address: str
    behaviour: Behaviour


@pytest.fixture
def serve() -> Iterator[Callable[..., RunningFake]]:
    """Start fake services, and stop them after the test. credentials: for TLS. interceptors: for the gRPC server."""
    servers = []

    def start(*, credentials=None, interceptors=(), **wanted) -> RunningFake:
        behaviour = Behaviour(**wanted)
        server = grpc.server(ThreadPoolExecutor(4), interceptors=interceptors)
        transfer_pb2_grpc.add_TransferServiceServicer_to_server(FakeTransferService(behaviour), server)
        if credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        servers.append((server, behaviour))
        return RunningFake(f"127.0.0.1:{port}", behaviour)

    yield start
    for server, behaviour in servers:
        behaviour.go_on.set()
        server.stop(None).wait()


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Write a video: red in the upper left corner, blue in the lower right one, and a moving square."""

    def make(
        name="clip.mp4", *, frames=12, rate=10, width=96, height=64, sound=None, turned_degrees=None, mirrored=False,
        times_ms=None, codec="libx264", options=None,
    ) -> Path:  # fmt: skip
        path = Path(tmp_path, name)
        with av.open(str(path), "w", options=options or {}) as container:
            stream = container.add_stream(codec, rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            if times_ms is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
                stream.options = {"bf": "0"}
            if turned_degrees is not None or mirrored:
                stream.set_display_rotation(turned_degrees or 0, mirrored)
            voice = container.add_stream(sound, rate=48_000) if sound else None
            if voice is not None:
                voice.layout = "mono"
            for i in range(frames):
                frame = av.VideoFrame.from_ndarray(source_picture(i, width, height), format="rgb24")
                frame.pts = i if times_ms is None else times_ms[i]
                frame.time_base = Fraction(1, rate) if times_ms is None else Fraction(1, 1000)
                container.mux(stream.encode(frame))
                if voice is not None:
                    container.mux(voice.encode(_tone(i, 48_000 // rate)))
            container.mux(stream.encode(None))
            if voice is not None:
                container.mux(voice.encode(None))
        return path

    return make


def source_picture(index: int, width: int, height: int) -> Picture:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 4, : width // 4] = (255, 0, 0)
    picture[-(height // 4) :, -(width // 4) :] = (0, 0, 255)
    x = width // 3 + index % (width // 3)
    picture[height // 3 : height // 2, x : x + 8] = 200
    return picture


def _tone(index: int, samples: int) -> av.AudioFrame:
    wave = (np.sin(np.arange(index * samples, (index + 1) * samples) * 0.06) * 8000).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, index * samples, Fraction(1, 48_000)
    return frame
