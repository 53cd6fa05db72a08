"""How many bytes each hop moves per frame: the serialised messages of a real session, averaged over its frames."""

from __future__ import annotations

from collections.abc import AsyncIterator
from statistics import fmean

import grpc.aio
from dance.v1 import face_pb2, frame_pb2, normalize_pb2, pose_pb2, transfer_pb2, transfer_pb2_grpc

from benchmarks.cases import Clip
from motion.body import BodyStats
from serving import wire
from serving.actors import Actor
from serving.server import CHANNEL_OPTIONS

FRAMES = 20


async def per_frame(address: str, actor: Actor, clip: Clip, body: BodyStats) -> dict[str, int]:
    """Bytes by hop, for `FRAMES` frames of the clip with everything optional left out, as a client asks by default.

    The hops behind the orchestrator carry what the answers show (poses, pictures), put into those hops' own messages;
    HTTP/2 framing (some 1 %) is not counted.
    """
    config = transfer_pb2.TransferConfig(
        actor=actor.id,
        source_body=wire.body_stats_to_proto(body),
        frame_rate_hz=clip.frame_rate_hz,
        output=transfer_pb2.OutputFormat(jpeg_quality=95),
        return_options=transfer_pb2.ReturnOptions(source_pose=True, normalized_pose=True, stage_times=True),
    )
    frames = [
        transfer_pb2.TransferFrame(sequence=frame.sequence, picture=wire.picture_to_proto(frame.picture))
        for frame in clip.frames[:FRAMES]
    ]

    async def requests() -> AsyncIterator[transfer_pb2.TransferRequest]:
        yield transfer_pb2.TransferRequest(config=config)
        for frame in frames:
            yield transfer_pb2.TransferRequest(frame=frame)

    async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        stub = transfer_pb2_grpc.TransferServiceStub(channel)  # type: ignore[no-untyped-call]
        responses = [response async for response in stub.Transfer(requests())]
    answers = [response.answer for response in responses if response.WhichOneof("response") == "answer"]
    return _sizes(actor, frames, answers)


def _sizes(
    actor: Actor, frames: list[transfer_pb2.TransferFrame], answers: list[transfer_pb2.TransferAnswer]
) -> dict[str, int]:
    side = actor.stage.out_width_px * actor.stage.out_height_px * 3
    crop_px = actor.face_rule.crop_px
    crop = frame_pb2.Picture(
        encoding=frame_pb2.PICTURE_ENCODING_RAW, width_px=crop_px, height_px=crop_px, data=bytes(crop_px * crop_px * 3)
    )
    refine = face_pb2.RefineRequest(actor=actor.id, actor_version=actor.version, face=crop, label=crop)
    size = normalize_pb2.FrameSize(width_px=frames[0].picture.width_px, height_px=frames[0].picture.height_px)
    people = [pose_pb2.Estimate(people=[pose_pb2.Person(pose=one.source_pose)]).ByteSize() for one in answers]
    poses = [normalize_pb2.PoseFrame(size=size, pose=one.source_pose).ByteSize() for one in answers]
    normalized = [normalize_pb2.NormalizedPose(pose=one.normalized_pose).ByteSize() for one in answers]
    for answer in answers:
        for optional in ("source_pose", "normalized_pose"):
            answer.ClearField(optional)
    return {
        "client -> orchestrator (JPEG)": round(fmean(frame.ByteSize() for frame in frames)),
        "orchestrator -> pose (the same JPEG)": round(fmean(frame.ByteSize() for frame in frames)),
        "pose -> orchestrator": round(fmean(people)),
        "orchestrator -> normalize": round(fmean(poses)),
        "normalize -> orchestrator, without its state": round(fmean(normalized)),
        "orchestrator -> generator (two pictures)": 2 * side,
        "generator -> orchestrator": side,
        "orchestrator -> face (two crops)": refine.ByteSize(),
        "face -> orchestrator": face_pb2.RefineResponse(face=crop).ByteSize(),
        "orchestrator -> client (JPEG)": round(fmean(answer.ByteSize() for answer in answers)),
    }
