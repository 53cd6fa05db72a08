"""A minimal client that follows the contract: it resumes from its last checkpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
from dance.v1 import frame_pb2, normalize_pb2, transfer_pb2, transfer_pb2_grpc

from motion.frame import PictureEncoding
from motion.pose import Pose
from serving.pictures.codec import encode_picture
from serving.rpc import converters
from serving.rpc.channels import open_channel
from tests.pipeline.fake_stages import SIDE_PX, person
from tests.tiny_wardrobes import with_arms_turned
from video.reader import VideoReader

PATIENCE_SECONDS = 300.0
"""For a whole dance, in which a busy machine may have to start five processes."""
_IN_FLIGHT = 4
_AGAIN_SECONDS = 0.1
_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
"""grpcio reports INTERNAL if a server dies while a frame is being written to it."""

Answers = list[transfer_pb2.TransferAnswer]
Answered = Callable[[int], Awaitable[None]]
"""Called after the answer to a frame, with its number."""


def moving_poses(count: int) -> list[transfer_pb2.TransferFrame]:
    """Frames with the joints of a person who steps from side to side and swings the arms."""
    dancing = (with_arms_turned(person(), 1 - np.cos(t / 9)) for t in range(count))
    return [_posed(t, _shifted(pose, 6 * np.sin(t / 5))) for t, pose in enumerate(dancing)]


def pictures_of(path: Path, count: int) -> list[transfer_pb2.TransferFrame]:
    """The first frames of a video."""
    frames = []
    with VideoReader(str(path)) as reader:
        for frame, _ in zip(reader.frames(), range(count), strict=False):
            encoded = encode_picture(frame.pixels, PictureEncoding.JPEG, 90)
            size = {"width_px": encoded.width_px, "height_px": encoded.height_px}
            picture = frame_pb2.Picture(encoding=frame_pb2.PICTURE_ENCODING_JPEG, data=encoded.data, **size)
            frames.append(transfer_pb2.TransferFrame(sequence=frame.index, picture=picture))
    return frames


def _shifted(pose: Pose, x_px: float) -> Pose:
    return Pose(pose.joints_px + np.array([x_px, 0], np.float32), pose.confidence)


def _posed(sequence: int, pose: Pose) -> transfer_pb2.TransferFrame:
    size = normalize_pb2.FrameSize(width_px=SIDE_PX, height_px=SIDE_PX)
    given = transfer_pb2.ClientPose(pose=converters.pose_to_proto(pose), size=size)
    return transfer_pb2.TransferFrame(sequence=sequence, client_pose=given)


async def dance(
    address: str,
    frames: Sequence[transfer_pb2.TransferFrame],
    answered: Answered | None = None,
    *,
    look_ahead: int = 0,
    every: int = 7,
    actor: str = "tiny",
    adaptive: bool = False,
) -> tuple[Answers, float, int]:
    """Return all answers, the longest wait between two of them in seconds, and the number of sessions.

    adaptive: the session is LIVE, and the server chooses its rung.

    Raises AssertionError for an answer out of order; TimeoutError after PATIENCE_SECONDS.
    """
    told: dict[int, transfer_pb2.TransferAnswer] = {}
    checkpoint, behind, sessions, longest_seconds = b"", -1, 0, 0.0
    last_s = time.perf_counter()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(told) < len(frames):
            sessions += 1
            config = transfer_pb2.TransferConfig(
                actor=actor,
                mode=transfer_pb2.TRANSFER_MODE_LIVE if adaptive else transfer_pb2.TRANSFER_MODE_LOSSLESS,
                adaptive=adaptive,
                frame_rate_hz=25.0,
                look_ahead_frames=look_ahead,
                output=transfer_pb2.OutputFormat(encoding=frame_pb2.PICTURE_ENCODING_RAW),
                checkpoint_every_frames=every,
                checkpoint=checkpoint,
            )
            room, parting = asyncio.Semaphore(_IN_FLIGHT + look_ahead), asyncio.Event()
            async with open_channel(address) as channel:
                call = transfer_pb2_grpc.TransferServiceStub(channel).Transfer()
                sending = asyncio.create_task(_send(call, config, frames[behind + 1 :], room, parting))
                expected = behind + 1
                try:
                    while (response := await call.read()) is not grpc.aio.EOF:
                        kind = response.WhichOneof("response")
                        if kind == "draining":
                            behind = response.draining.next_sequence - 1
                            checkpoint = response.draining.checkpoint
                            parting.set()
                            room.release()
                        if kind != "answer":
                            continue
                        answer = response.answer
                        assert answer.sequence == expected, f"frame {answer.sequence} out of turn, not {expected}"
                        expected += 1
                        room.release()
                        if answer.checkpoint:
                            checkpoint, behind = answer.checkpoint, answer.sequence
                        if answer.sequence in told:
                            continue
                        told[answer.sequence] = answer
                        now_s = time.perf_counter()
                        longest_seconds, last_s = max(longest_seconds, now_s - last_s), now_s
                        if answered is not None:
                            await answered(answer.sequence)
                except grpc.aio.AioRpcError as error:
                    if error.code() not in _GONE:
                        raise
                    await asyncio.sleep(_AGAIN_SECONDS)
                finally:
                    sending.cancel()
                    await asyncio.wait({sending})
    return [told[t] for t in range(len(frames))], longest_seconds, sessions


async def _send(
    call: grpc.aio.StreamStreamCall,
    config: transfer_pb2.TransferConfig,
    frames: Sequence[transfer_pb2.TransferFrame],
    room: asyncio.Semaphore,
    parting: asyncio.Event,
) -> None:
    try:
        await call.write(transfer_pb2.TransferRequest(config=config))
        for frame in frames:
            await room.acquire()
            if parting.is_set():
                break
            await call.write(transfer_pb2.TransferRequest(frame=frame))
        await call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass  # the reader gets the status of the call
