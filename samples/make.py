"""Make the sample videos and the sample actor: `python -m samples.make clip|footage|truth|joints|stills|actor`."""

if __name__ == "__main__":  # before the imports, so that a signal during them does not print a traceback
    from serving.process.entry import begin

    begin()

import hashlib
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import av
import cv2
import numpy as np
import typer
from rich.progress import track

from motion import skeleton
from motion.frame import FrameSize
from motion.keypoint_files.openpose_json import SOURCE_FILE, KeypointsPerson, KeypointsWriter, SourceFacts
from motion.pose import Pose
from samples.cast import ACTOR, SOURCE, Performer
from samples.renderer.choreography import Dance
from samples.renderer.dances import SOURCE_DANCES
from samples.renderer.draw import Picture, Renderer
from samples.renderer.geometry import Floats
from samples.renderer.proportions import joints_m, pose_skeleton
from serving.actors.actor import METADATA_FILE
from serving.actors.consent_history import HISTORY_FILE
from serving.actors.store import ActorStore
from serving.errors import ActorNotFound, ActorUnusable
from serving.process.atomic_files import folder_written_whole, why_unwritable, written_whole
from serving.process.entry import started

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

Out = Annotated[Path, typer.Option("--out", "-o", help="Where to write.")]


def _even(size_px: int) -> int:
    if size_px % 2:
        raise typer.BadParameter(f"{size_px} is odd; expected an even size, which H.264 in yuv420p needs")
    return size_px


def _known(dance: str) -> str:
    if dance not in SOURCE_DANCES:
        raise typer.BadParameter(f"{dance!r} is none of the dances {', '.join(SOURCE_DANCES)}")
    return dance


DanceName = Annotated[str, typer.Option("--dance", help=f"One of {', '.join(SOURCE_DANCES)}.", callback=_known)]
Size = Annotated[int, typer.Option(help="Width and height in pixels; even.", min=64, callback=_even)]
Workers = Annotated[int, typer.Option(help="Number of rendering processes.", min=1)]
Frames = Annotated[int | None, typer.Option(help="Render only this many frames from the start.", min=1)]
Work = Annotated[
    Path | None,
    typer.Option(
        help="Folder of finished frames, from which an interrupted run resumes. Default: beside the video, and removed "
        "once the video is complete."
    ),
]


@dataclass(frozen=True, slots=True)
class Shot:
    """A performer dancing the first `frame_count` frames of a dance, `size_px` square."""

    performer: Performer
    dance: Dance
    frames_per_second: int
    frame_count: int
    size_px: int


@app.command()
def clip(out: Out = Path("samples/source_clip.mp4"), dance: DanceName = "steps", size: Size = 512,
         frames: Frames = None, workers: Workers = 2, work: Work = None) -> None:  # fmt: skip
    """Render one of the source's dances at 25 frames a second: the clip to transfer."""
    danced = SOURCE_DANCES[dance]
    whole = round(25 * danced.seconds)
    _make(
        Shot(SOURCE, danced, 25, min(frames or whole, whole), size),
        out,
        crf=20,
        workers=workers,
        work=work,
        beside=False,
    )


@app.command()
def footage(out: Out = Path("actor_footage.mp4"), size: Size = 640, frames: Frames = None, workers: Workers = 2,
            work: Work = None) -> None:  # fmt: skip
    """Render 20 s of training footage of the actor at 15 frames a second; true joints go to an .npz beside it."""
    _make(Shot(ACTOR, ACTOR.dance, 15, min(frames or 300, 300), size), out, crf=18, workers=workers, work=work)


@app.command()
def truth(out: Out = Path("actor_truth.mp4"), size: Size = 640, frames: Frames = None, workers: Workers = 2,
          work: Work = None) -> None:  # fmt: skip
    """Render the actor in the poses of the source's clip, the ground truth of a transfer; joints go to an .npz.

    Key poses are in leg lengths: the actor takes the source's angles, with steps scaled by the ratio of their legs.
    """
    _make(Shot(ACTOR, SOURCE.dance, 25, min(frames or 150, 150), size), out, crf=18, workers=workers, work=work)


@app.command()
def joints(out: Out = Path("source_joints"), size: Size = 512, frames: Frames = None) -> None:
    """Write the true joints of the source's clip as a folder of OpenPose JSON, to compare pose backends with."""
    shot = Shot(SOURCE, SOURCE.dance, 25, min(frames or 150, 150), size)
    _check_output(out, is_folder=True)
    if out.is_dir() and any(out.iterdir()):
        raise typer.BadParameter(f"{out} already exists and is not empty")
    rate = Fraction(shot.frames_per_second)
    with folder_written_whole(out, last=SOURCE_FILE) as folder:
        writer = KeypointsWriter(folder, "source_clip", SourceFacts(FrameSize(size, size), rate, 1 / rate))
        for index, joints_px in enumerate(true_joints(shot)):
            whole_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
            confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
            whole_px[skeleton.BODY], confidence[skeleton.BODY] = joints_px, 1
            writer.write([KeypointsPerson(Pose(whole_px, confidence), 1)], index)
        writer.close()
    typer.echo(f"{out}: {shot.frame_count} frames")


@app.command()
def stills(out: Out = Path("stills.png"), size: Size = 256) -> None:
    """Render eight moments in one picture: the source above, the actor in the same poses below."""
    _check_output(out)
    moments = [SOURCE.dance.seconds * k / 8 for k in range(8)]
    above, below = SOURCE.renderer(size, size), ACTOR.renderer(size, size)
    columns = [
        np.vstack([above.render(pose).picture, below.render(pose).picture])
        for pose in (SOURCE.dance.pose_at(seconds) for seconds in moments)
    ]
    _write_png(out, np.hstack(columns))
    typer.echo(f"{out}: {len(columns)} poses of both performers")


@app.command()
def actor(trained: Path = Path("out/sample/actors"), out: Out = Path("samples/actors")) -> None:
    """Take the served version of the trained sample actor into the repository, as its only version."""
    try:
        served = ActorStore(trained).load("sample")
    except (ActorNotFound, ActorUnusable) as error:
        raise typer.BadParameter(f"{trained} has no sample actor that can be served: {error}") from error
    if served.folder is None:
        raise RuntimeError("an actor that was loaded has a folder")
    files = {path.name: path for path in sorted(served.folder.iterdir()) if path.name != METADATA_FILE}
    with TemporaryDirectory(dir=out) as fresh:
        ActorStore(Path(fresh)).publish(served, files)
        (Path(fresh) / "sample" / HISTORY_FILE).unlink()  # of its publication here; git has the history of the sample
        shutil.rmtree(out / "sample", ignore_errors=True)
        (Path(fresh) / "sample").rename(out / "sample")
    total = sum(path.stat().st_size for path in (out / "sample").rglob("*") if path.is_file())
    typer.echo(f"{out / 'sample'}: version {served.version} of {trained}, {total / 1e6:.1f} MB")


def _make(shot: Shot, out: Path, *, crf: int, workers: int, work: Path | None, beside: bool = True) -> None:
    """Render the missing frames, then write the video and, if `beside`, the true joints next to it."""
    _check_output(out)
    folder = (work or out.with_suffix(".frames")) / fingerprint(shot)
    folder.mkdir(parents=True, exist_ok=True)
    joints_px = render_frames(shot, folder, workers)
    write_video(out, (_read_png(_frame_path(folder, i)) for i in range(shot.frame_count)), shot.frames_per_second, crf)
    if beside:
        np.savez_compressed(
            out.with_suffix(".npz"),
            joints_px=joints_px,
            confidence=np.ones(joints_px.shape[:2], np.float32),
            frames_per_second=shot.frames_per_second,
        )
    if work is None:
        shutil.rmtree(folder)
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()
    typer.echo(f"{out}: {shot.frame_count} frames, {out.stat().st_size / 1000:.0f} kB")


def _check_output(out: Path, *, is_folder: bool = False) -> None:
    """Raise BadParameter if `out` cannot be written, before rendering for minutes."""
    reason = "it is a folder" if out.is_dir() and not is_folder else why_unwritable(out, is_folder=is_folder)
    if reason is not None:
        raise typer.BadParameter(f"{out} cannot be written: {reason}")


def fingerprint(shot: Shot) -> str:
    """Return twelve characters that change with the shot or the rendering code, so that stale frames are not used."""
    named = shot.performer.name, shot.dance, shot.frames_per_second, shot.size_px
    digest = hashlib.sha256(repr(named).encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        if path.name not in ("make.py", "demo.py"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def render_frames(shot: Shot, folder: Path, workers: int) -> Floats:
    """Render the frames missing from `folder`. Returns the true joints of all, `[frames, 25, 2]` in pixels."""
    missing = [i for i in range(shot.frame_count) if not _frame_path(folder, i).exists()]
    if missing:
        # Spawned, because forking a process with OpenCV's threads can hang.
        context = multiprocessing.get_context("spawn")
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for the workers, which already use all cores
        with ProcessPoolExecutor(workers, context, _start_worker, (shot, folder)) as pool:
            for _ in track(pool.map(_render_frame, missing), description=shot.performer.name, total=len(missing)):
                pass
    return true_joints(shot)


def true_joints(shot: Shot) -> Floats:
    """Return the joints of every frame, `[frames, 25, 2]` float32 in pixels, in BODY_25 order."""
    view = shot.performer.room.camera(shot.size_px, shot.size_px)
    poses = [shot.dance.pose_at(i / shot.frames_per_second) for i in range(shot.frame_count)]
    body = shot.performer.body
    return np.stack([view.project_px(joints_m(body, pose_skeleton(body, p))) for p in poses]).astype(np.float32)


_worker: tuple[Shot, Path, Renderer] | None = None


def _start_worker(shot: Shot, folder: Path) -> None:
    """Create this process's renderer, which paints the empty room once."""
    global _worker
    cv2.setNumThreads(1)
    _worker = shot, folder, shot.performer.renderer(shot.size_px, shot.size_px)


def _render_frame(index: int) -> None:
    if _worker is None:
        raise RuntimeError("this process was not started by render_frames")
    shot, folder, renderer = _worker
    rendering = renderer.render(shot.dance.pose_at(index / shot.frames_per_second), index)
    _write_png(_frame_path(folder, index), rendering.picture)


def _frame_path(folder: Path, index: int) -> Path:
    return folder / f"{index:06d}.png"


def _write_png(path: Path, picture: Picture) -> None:
    """Write atomically, so that an interrupted run leaves no partial frames."""
    with written_whole(path) as partial:
        if not cv2.imwrite(str(partial), picture[:, :, ::-1]):
            raise OSError(f"{path}: the picture could not be written as PNG")


def _read_png(path: Path) -> Picture:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise OSError(f"{path} is not a picture; delete it and run again")
    return picture[:, :, ::-1].astype(np.uint8)


def write_video(path: Path, pictures: Iterator[Picture], frames_per_second: int, crf: int) -> None:
    """Write H.264 in yuv420p, with the index first so that players start at once.

    crf: 18 is nearly lossless, 28 is small. The write is atomic: an existing file is replaced only by a complete one.
    """
    with written_whole(path) as part, av.open(str(part), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(frames_per_second))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "slow"}
        for index, picture in enumerate(pictures):
            if index == 0:
                stream.height, stream.width = picture.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    started()
    app()
