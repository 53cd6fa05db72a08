"""Does the actor take the requested poses? Compares them with the poses that a detector finds in a transfer's output.

The distance is the mean over BODY_25 joints 0 to 14 that both show with a confidence of at least 0.5, in torso lengths.
Its floor is the distance of the same detector on the actor's real held-out frames of the same size, from the poses
requested there; training stores it with the actor.

`python -m benchmarks.transfer_quality SOURCE --actor NAME --actors FOLDER`
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer
from dance.v1 import transfer_pb2, transfer_pb2_grpc

from benchmarks.cases import Clip, read_clip, stream
from client.connection.session import DanceClient
from client.local_stack.stack import local_stack
from client.transfer.run import look_ahead_for
from motion.body import BodyStats
from motion.frame import Picture
from motion.pose import Pose
from serving.actors.store import Actor, ActorStore
from serving.pictures.codec import decode_picture
from serving.rpc import converters
from serving.rpc.channels import open_channel
from training.evaluation.metrics import PoseScores, score_poses


def main(
    source: Annotated[Path, typer.Argument(help="The source's video.")],
    actor: Annotated[str, typer.Option(help="The actor that dances it.")],
    actors: Annotated[Path, typer.Option(help="Folder of the actors.")] = Path("actors"),
) -> None:
    """Print the share of poses found and their distance from the requested ones, beside the floor."""
    loaded = ActorStore(actors).load(actor)
    clip = read_clip(source)
    pictures, requested = asyncio.run(_transferred(loaded, clip, actors))
    scores = score_poses([pictures], [requested])
    floor = PoseScores(**loaded.scores["pose_distance_floor"])
    print(f"{source.name} -> {actor} version {loaded.version}: {len(clip.frames)} frames, {len(pictures)} pictures")
    print(f"poses found: {scores.frames_with_a_pose / max(scores.frames, 1):.1%}")
    if scores.distance is None or floor.distance is None:
        print("no distance: the poses share no confident joints")
        return
    print(
        f"distance from the requested pose: {scores.distance:.3f} torso lengths; floor {floor.distance:.3f} "
        f"({floor.frames} real frames); above the floor by {scores.distance - floor.distance:+.3f} (goal 0.06)"
    )


async def _transferred(actor: Actor, clip: Clip, actors_root: Path) -> tuple[list[Picture], list[Pose]]:
    """Return a session's pictures, with the options of `dance transfer`, and the poses requested, in their pixels."""
    with tempfile.TemporaryDirectory() as logs:
        async with local_stack(actors_root, Path(logs)) as stack:
            async with DanceClient(stack.address) as client:
                body = (await client.fit_body(stream(clip.frames))).body
            responses = await _session(stack.address, actor, clip, body)
    answers = [one.answer for one in responses if one.WhichOneof("response") == "answer"]
    drawn = [one for one in answers if one.WhichOneof("result") == "picture"]
    pictures = [decode_picture(converters.picture_from_proto(one.picture)) for one in drawn]
    return pictures, [actor.crop.to_crop(converters.pose_from_proto(one.normalized_pose)) for one in drawn]


async def _session(address: str, actor: Actor, clip: Clip, body: BodyStats) -> list[transfer_pb2.TransferResponse]:
    config = transfer_pb2.TransferConfig(
        actor=actor.id,
        actor_version=actor.version,
        source_body=converters.body_stats_to_proto(body),
        frame_rate_hz=clip.frame_rate_hz,
        look_ahead_frames=look_ahead_for(clip.frame_rate_hz),
        output=transfer_pb2.OutputFormat(jpeg_quality=95),
        return_options=transfer_pb2.ReturnOptions(normalized_pose=True),
    )

    async def requests() -> AsyncIterator[transfer_pb2.TransferRequest]:
        yield transfer_pb2.TransferRequest(config=config)
        for frame in clip.frames:
            picture = converters.picture_to_proto(frame.picture)
            yield transfer_pb2.TransferRequest(
                frame=transfer_pb2.TransferFrame(sequence=frame.sequence, picture=picture)
            )

    async with open_channel(address) as channel:
        stub = transfer_pb2_grpc.TransferServiceStub(channel)  # type: ignore[no-untyped-call]
        return [response async for response in stub.Transfer(requests())]


if __name__ == "__main__":
    typer.run(main)
