"""Does the actor take the requested poses, and how does it look? Measures the output of transfers.

For each source, over all frames of the transfer:

- pose distance: the mean over BODY_25 joints 0 to 14 that the requested pose and the pose that a detector finds both
  show with a confidence of at least 0.5, in torso lengths. Its floor is that of the same detector on the actor's real
  held-out frames; training stores it with the actor. "Missed" is the share of requested joints that are not found.
- second heads: frames with a place that resembles the drawn head more than any place of the real frames does.
- sharpness: the mean gradient well inside the person, over that of the actor's real held-out frames.
- flicker: the error along the drawn frames' own flow, in levels of 255, beside that of the real held-out frames. A
  source of more frames a second moves less between two frames, so it is thinned out to about the actor's rate.

`python -m benchmarks.transfer_quality SOURCE... --actor NAME --actors FOLDER --sheets FOLDER`
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from dance.v1 import transfer_pb2, transfer_pb2_grpc

from benchmarks.cases import Clip, read_clip, stream
from benchmarks.table import header, row
from client.connection.session import DanceClient
from client.local_stack.stack import local_stack
from client.transfer.look_ahead import look_ahead_for
from motion.body import BodyStats
from motion.frame import Picture
from motion.labelmap import draw_label_map
from motion.pose import Pose
from serving.actors.store import Actor, ActorStore
from serving.pictures.codec import decode_picture
from serving.process.atomic_files import write_picture
from serving.rpc import converters
from serving.rpc.channels import open_channel
from training.evaluation.flicker import own_flicker
from training.evaluation.held_out_frames import preview_sheet
from training.evaluation.metrics import score_poses
from training.evaluation.second_heads import second_heads
from training.evaluation.sharpness import inner_gradient

_SHOWN = 12
_COLUMNS = (
    "source", "pictures / frames", "poses found", "pose distance", "missed", "second heads", "sharpness", "flicker",
    "drawn / film",
)  # fmt: skip


def main(
    sources: Annotated[list[Path], typer.Argument(help="The sources' videos.")],
    actor: Annotated[str, typer.Option(help="The actor that dances them.")],
    actors: Annotated[Path, typer.Option(help="Folder of the actors.")] = Path("actors"),
    version: Annotated[int, typer.Option(help="The actor's version; 0: the served one.")] = 0,
    sheets: Annotated[Path | None, typer.Option(help="Folder for a contact sheet of twelve frames of each.")] = None,
) -> None:
    """Print a row for each source, and write contact sheets."""
    store = ActorStore(actors)
    loaded = store.load(actor, version)
    film = _film(store, loaded)
    clips = {source.stem: read_clip(source) for source in sources}
    drawn = asyncio.run(_all_transferred(loaded, clips, actors))
    print(f"{actor} version {loaded.version}; floor of the pose distance: {_shown(film['distance'], 3)}\n")
    print(header(*_COLUMNS))
    for name, (pictures, requested) in drawn.items():
        every = max(1, round(clips[name].frame_rate_hz / loaded.frame_rate_hz))
        print(
            row(
                name,
                f"{len(pictures)} / {len(clips[name].frames)}",
                *_measured(loaded, film, pictures, requested, every),
            )
        )
        if sheets is not None:
            sheets.mkdir(parents=True, exist_ok=True)
            write_picture(sheets / f"{actor}-{loaded.version}-{name}.png", _sheet(name, pictures, requested))


def _film(store: ActorStore, actor: Actor) -> dict[str, float | None]:
    """The numbers of the actor's real frames, from its scores or those of another version of the same footage."""
    for version in (actor.version, *reversed(store.versions(actor.id))):
        other = store.load(actor.id, version)
        same = other.trained.get("footage_fingerprint") == actor.trained.get("footage_fingerprint")
        if same and "film" in other.scores:
            film = other.scores["film"]
            break
    else:
        other, film = actor, {}
    return {
        "distance": other.scores.get("pose_distance_floor", {}).get("distance"),
        "inner_gradient": film.get("inner_gradient"),
        "head_elsewhere": film.get("head_elsewhere"),
        "flicker_levels": other.scores.get("flicker", {}).get("real_levels"),
    }


def _measured(
    actor: Actor, film: dict[str, float | None], pictures: Sequence[Picture], requested: Sequence[Pose], every: int
) -> list[str]:
    """The cells of a row after the counts. every: of so many frames, one counts for flicker."""
    place = actor.read_crop_plate()
    scores = score_poses([pictures], [requested])
    heads = second_heads(pictures, requested, place, film["head_elsewhere"])
    gradient = inner_gradient(pictures, requested)
    flicker = own_flicker([pictures[::every]], [requested[::every]])
    return [
        f"{scores.frames_with_a_pose / max(scores.frames, 1):.1%}",
        _shown(scores.distance, 3),
        f"{scores.missed:.1%}",
        f"{sum(heads)}",
        _shown(_over(gradient, film["inner_gradient"]), 2),
        _shown(flicker, 2),
        _shown(_over(flicker, film["flicker_levels"]), 2),
    ]


def _over(value: float | None, film: float | None) -> float | None:
    return value / film if value is not None and film else None


def _shown(value: float | None, digits: int) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


def _sheet(name: str, pictures: Sequence[Picture], requested: Sequence[Pose]) -> Picture:
    """Twelve frames, spread over the clip: the requested pose above the picture, six frames side by side."""
    chosen = np.linspace(0, len(pictures) - 1, min(_SHOWN, len(pictures))).round().astype(int)
    height_px, width_px = pictures[0].shape[:2]
    columns = [[draw_label_map(requested[i], width_px, height_px), pictures[i]] for i in chosen]
    half = (len(columns) + 1) // 2
    columns += [[np.zeros_like(pictures[0])] * 2] * (2 * half - len(columns))
    sheets = [preview_sheet(name, columns[:half]), preview_sheet("", columns[half:])]
    return np.concatenate(sheets)


async def _all_transferred(
    actor: Actor, clips: dict[str, Clip], actors_root: Path
) -> dict[str, tuple[list[Picture], list[Pose]]]:
    """Each session's pictures, with the options of `dance transfer`, and the poses requested, in their pixels."""
    drawn = {}
    with tempfile.TemporaryDirectory() as logs:
        async with local_stack(actors_root, Path(logs)) as stack:
            for name, clip in clips.items():
                async with DanceClient(stack.address) as client:
                    body = (await client.fit_body(stream(clip.frames))).body
                responses = await _session(stack.address, actor, clip, body)
                answers = [one.answer for one in responses if one.WhichOneof("response") == "answer"]
                shown = [one for one in answers if one.WhichOneof("result") == "picture"]
                drawn[name] = (
                    [decode_picture(converters.picture_from_proto(one.picture)) for one in shown],
                    [actor.crop.to_crop(converters.pose_from_proto(one.normalized_pose)) for one in shown],
                )
    return drawn


async def _session(address: str, actor: Actor, clip: Clip, body: BodyStats) -> list[transfer_pb2.TransferResponse]:
    config = transfer_pb2.TransferConfig(
        actor=actor.id,
        actor_version=actor.version,
        source_body=converters.body_stats_to_proto(body),
        frame_rate_hz=clip.frame_rate_hz,
        look_ahead_frames=look_ahead_for(clip.frame_rate_hz),
        output=transfer_pb2.OutputFormat(jpeg_quality=100),
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
