"""What does each element of the small presets' training recipe contribute? Trains the recipe without each of them.

Every row trains the body network of slim-256 from scratch, from the same seed, for the same number of seconds. Seconds
are what a user pays, so an element that makes steps slower must be worth it. The table shows how many pictures each row
had time to draw. If other programs run at the same time, `--steps` gives every row the same number of steps instead.
Only "averaging" trains nothing: it scores the full recipe's checkpoint with its last weights.

Removing an element also removes what depends on it. Without a plate, there is no opacity to supervise, no pair can be
moved, and targets are the pictures as filmed. Without masks, it is unknown where props may be painted over.

All rows are scored on the same held-out frames, each drawn on the network's own previous output, on the crop around the
body, against the unmodified pictures of the full recipe's crop at 256x256. A network that sees the whole frame has the
same number of pixels in the frame's shape, so it costs the same. Its pictures are pasted onto the frame at the
footage's size, as `dance transfer --full-frame` does, and the crop is cut from the result as it is cut from the
footage. It is therefore compared on the same crops with the same real pixels, and is softer, in the person and the
background, because it spends pixels elsewhere.

After a stop, the same command resumes. `--only NAME` measures one row again.

`python -m benchmarks.training_recipe FOOTAGE`
"""

from __future__ import annotations

import csv
import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Final, get_type_hints

import typer

from benchmarks import table
from benchmarks.slim_preset import slim_256
from motion.crop import Crop
from motion.frame import FrameSize, Picture
from serving.errors import BadInput, DanceError
from serving.process.atomic_files import write_picture, written_whole
from serving.process.stop_signals import stop_on_signals
from training.checkpoints.identity import fingerprint, recipe_identity
from training.checkpoints.store import Checkpoints
from training.data.prepared_footage import PreparedFootage, preparation_name
from training.evaluation.held_out_frames import HeldOut
from training.loop.body_learner import BodyLearner
from training.loop.learner import Computing
from training.loop.trainer import Budget, Step, Trainer, TrainingStopped
from training.preset_setup import computable, drawing_for, pairs_for, prepared_for, settle
from training.presets import Preset
from training.process.work_folder import locked

_DEVICE: Final = "cpu"
_FULL: Final = "full"
_PICTURES_PER_STEP: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One row: the recipe without one element.

    change: returns its preset from the full recipe's preset and the footage's size. last_weights: score the weights of
    the last step, not their average. trained_as: the row whose training is scored, if it is not its own.
    """

    name: str
    says: str
    change: Callable[[Preset, FrameSize], Preset] = lambda preset, frame: preset
    last_weights: bool = False
    trained_as: str = ""

    @property
    def training(self) -> str:
        """The name of the row whose training is scored."""
        return self.trained_as or self.name


def _without_plate(preset: Preset, frame: FrameSize) -> Preset:
    return replace(
        preset,
        generator=replace(preset.generator, plate=False),
        weights=replace(preset.weights, opacity=0.0),
        jitter=None,
        targets="filmed",
    )


def _on_whole_frame(preset: Preset, frame: FrameSize) -> Preset:
    """Return a preset with about as many pixels, in the frame's shape and in sides that the network can halve."""
    multiple = 2**preset.generator.downsamplings
    shape = frame.width_px / frame.height_px
    height_px = max(1, round(math.sqrt(preset.width_px * preset.height_px / shape) / multiple)) * multiple
    width_px = max(1, round(height_px * shape / multiple)) * multiple
    return replace(preset, whole_frame=True, width_px=width_px, height_px=height_px)


VARIANTS: Final = (
    Variant(name=_FULL, says="the full recipe"),
    Variant(
        name="plate",
        says="no plate: the network draws the whole picture (so no opacity, masks, painting, moved pairs)",
        change=_without_plate,
    ),
    Variant(
        name="opacity",
        says="no opacity supervision",
        change=lambda preset, frame: replace(preset, weights=replace(preset.weights, opacity=0.0)),
    ),
    Variant(name="stage", says="the whole frame instead of the actor's crop", change=_on_whole_frame),
    Variant(
        name="weighting",
        says="the person's pixels weigh as much as the background's",
        change=lambda preset, frame: replace(preset, person_gain=0.0),
    ),
    Variant(
        name="masks",
        says="no masks in the targets: pictures as filmed, props count (so no painting)",
        change=lambda preset, frame: replace(preset, targets="filmed"),
    ),
    Variant(
        name="painting",
        says="props not painted over, masks only",
        change=lambda preset, frame: replace(preset, targets="masked"),
    ),
    Variant(name="moving", says="no pair is moved (jitter)", change=lambda preset, frame: replace(preset, jitter=None)),
    Variant(
        name="previous",
        says="the previous picture is never replaced by zeros",
        change=lambda preset, frame: replace(preset, previous_zeros=0.0),
    ),
    Variant(name="averaging", says="the last weights instead of averaged ones", last_weights=True, trained_as=_FULL),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A stored row of results. measured: the fingerprint of its footage, recipe, seed and budget."""

    name: str
    measured: str
    pictures: int
    minutes: float
    body_ssim: float
    body_psnr_db: float


class Results:
    """The known rows, in a CSV file that is rewritten as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[str, Row] = {}
        if path.is_file():
            with path.open(newline="") as file:
                for one in csv.DictReader(file):
                    self.rows[one["name"]] = Row(
                        **{name: kind(one[name]) for name, kind in get_type_hints(Row).items()}
                    )

    def put(self, row: Row) -> None:
        """Add a row, or replace the row of the same name."""
        self.rows[row.name] = row
        self._write()

    def drop(self, names: Iterable[str]) -> None:
        """Remove these rows."""
        for name in names:
            self.rows.pop(name, None)
        self._write()

    def _write(self) -> None:
        with written_whole(self._path) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(get_type_hints(Row)))
            writer.writeheader()
            writer.writerows(map(asdict, self.rows.values()))


class Measurement:
    """Measures rows on one footage, one after another, and keeps all results in `work`.

    Raises BadInput if `work` contains rows of another footage, recipe, seed or budget.
    """

    def __init__(
        self,
        footage: Path,
        work: Path,
        budget: Budget,
        *,
        seed: int,
        preset: Preset,
        say: Callable[[str], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.results = Results(work / "results.csv")
        self._footage, self._work, self._budget, self._seed = footage, work, budget, seed
        self._say, self._should_stop = say, should_stop
        self._full = preset
        self._stage_of_all: PreparedFootage | None = None

    def again(self, name: str) -> None:
        """Measure one row again, and all rows that share its training. Resumes an unfinished repetition."""
        names = [variant.name for variant in VARIANTS if name in (variant.name, variant.training)]
        if name in self.results.rows:
            # Remove the checkpoint first: a row without one is trained again, but a checkpoint with a row never is.
            if VARIANTS_BY_NAME[name].training == name:
                for path in Checkpoints(self._checkpoint(name)).paths():
                    path.unlink()
            self.results.drop(names)
        self.run(names)

    def run(self, names: Iterable[str]) -> None:
        """Measure these rows, except known ones. Raises TrainingStopped when asked to stop."""
        fingerprints = {name: self._fingerprint(VARIANTS_BY_NAME[name]) for name in names}
        for name, measured in fingerprints.items():
            known = self.results.rows.get(name)
            if known is not None and known.measured != measured:
                raise BadInput(
                    "work",
                    f"{self._work} contains a row {name!r} of another footage, recipe, seed or budget: choose another "
                    "--work folder, or delete this one",
                )
        for name, measured in fingerprints.items():
            if name not in self.results.rows:
                self.results.put(self._measured(VARIANTS_BY_NAME[name], measured))

    def _fingerprint(self, variant: Variant) -> str:
        return fingerprint(self._identity(variant) | {"weights": "last" if variant.last_weights else "averaged"})

    def _measured(self, variant: Variant, measured: str) -> Row:
        reference = self._prepared(self._full)
        preset = self._preset(variant)
        # The split is the same for all rows: the held-out frames only depend on the poses.
        split = reference.split()
        prepared = self._prepared(preset)
        computed = computable(preset, _DEVICE)
        learner = BodyLearner(computed, pairs_for(computed, prepared, split, self._seed), Computing(seed=self._seed))
        identity = self._identity(variant) | {"stage": prepared.folder.name}
        trainer = Trainer(learner, self._budget, self._checkpoint(variant.training), identity)
        if trainer.progress < 1:
            trainer.run(lambda step: self._say(_training(variant.training, step)), self._should_stop)
        self._say(f"{variant.name}: drawing held-out frames")
        network = learner.generator if variant.last_weights else learner.averaged
        runs = HeldOut(prepared, split, preset).drawn(drawing_for(computed, prepared, network, _DEVICE))
        held_out = HeldOut(reference, split, self._full)
        on_crop = [[seen_on(reference.crop, prepared, picture) for picture in run] for run in runs]
        scores = held_out.scores(on_crop)
        sheet = held_out.preview(f"{variant.name}, {learner.pictures_seen} pictures", on_crop)
        write_picture(self._work / "preview" / f"{variant.name}.png", sheet)
        return Row(
            variant.name,
            measured,
            learner.pictures_seen,
            round(trainer.seconds / 60, 3),
            round(scores.body_ssim, 5),
            round(scores.body_psnr_db, 4),
        )

    def _preset(self, variant: Variant) -> Preset:
        return variant.change(self._full, self._prepared(self._full).frame_size)

    def _identity(self, variant: Variant) -> dict[str, str]:
        identity = recipe_identity(self._preset(variant), self._seed, preparation_name(self._footage))
        return identity | {"budget": str(self._budget)}

    def _prepared(self, preset: Preset) -> PreparedFootage:
        def on_progress(what: str, done: int, of: int | None) -> None:
            self._say(f"{what}: frame {done}" + (f" of {of}" if of else ""))
            if self._should_stop():
                raise TrainingStopped("stopped; the results so far are kept")

        def prepared() -> PreparedFootage:
            return prepared_for(preset, self._footage, self._work / "footage", on_progress)

        if preset != self._full:
            return prepared()
        if self._stage_of_all is None:
            self._stage_of_all = prepared()
        return self._stage_of_all

    def _checkpoint(self, name: str) -> Path:
        return self._work / "trained" / f"{name}.pt"


VARIANTS_BY_NAME: Final = {variant.name: variant for variant in VARIANTS}


def seen_on(crop: Crop, prepared: PreparedFootage, picture: Picture) -> Picture:
    """Return what `crop` shows of a picture drawn for the crop of `prepared`; both `[H, W, 3]` uint8 RGB."""
    if crop == prepared.crop:
        return picture
    return crop.cut(prepared.crop.paste(picture, prepared.plate))


def table_of(rows: dict[str, Row]) -> str:
    """Return the rows in Markdown, in the order of `VARIANTS`, with differences from the full recipe if it is known."""
    full = rows.get(_FULL)
    lines = [table.header("", "recipe", "body SSIM", "", "body PSNR", "", "pictures drawn", "minutes")]
    for variant in VARIANTS:
        row = rows.get(variant.name)
        if row is None:
            continue
        ssim, psnr_db = "", ""
        if full is not None and row is not full:
            ssim, psnr_db = f"{row.body_ssim - full.body_ssim:+.3f}", f"{row.body_psnr_db - full.body_psnr_db:+.2f}"
        scores = (f"{row.body_ssim:.3f}", ssim, f"{row.body_psnr_db:.2f} dB", psnr_db)
        lines.append(table.row(variant.name, variant.says, *scores, str(row.pictures), f"{row.minutes:.1f}"))
    return "\n".join(lines)


def _training(name: str, step: Step) -> str:
    rate, left_minutes = step.pictures_seen / step.seconds, step.seconds / 60 * (1 / step.progress - 1)
    return (
        f"{name}: {step.progress:4.0%}, {step.pictures_seen} pictures, {rate:.1f} a second, "
        f"{left_minutes:.1f} min left, L1 {step.losses['l1']:.3f}"
    )


class _Status:
    """Progress on stderr: a line that is rewritten on a terminal, otherwise a new line every half minute."""

    def __init__(self) -> None:
        self._rewrites = sys.stderr.isatty()
        self._every_seconds = 0.2 if self._rewrites else 30.0
        self._said_at = -math.inf

    def say(self, text: str) -> None:
        """Show the text, unless another one was shown very recently."""
        now = time.monotonic()
        if now - self._said_at < self._every_seconds:
            return
        self._said_at = now
        sys.stderr.write(f"\r\033[K{text}" if self._rewrites else f"{text}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Clear the line."""
        if self._rewrites:
            sys.stderr.write("\r\033[K")


def main(
    footage: Annotated[Path, typer.Argument(help="Video of one person, filmed by a camera that does not move.")],
    minutes: Annotated[float, typer.Option(min=0.01, help="Minutes of training for each row.")] = 4.0,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps for each row, not minutes.")] = None,
    only: Annotated[str | None, typer.Option(help="Measure only this row, again if it is known.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and pairs, the same for all rows.")] = 0,
    work: Annotated[
        Path, typer.Option(help="Folder of results, checkpoints, previews and the prepared footage.")
    ] = Path("out/training_recipe"),
) -> None:
    """Print what each element of the training recipe contributes on this footage, as a table in Markdown."""
    status = _Status()
    budget = Budget(seconds=minutes * 60) if steps is None else Budget(pictures=steps * _PICTURES_PER_STEP)
    settle(_DEVICE)
    try:
        if only is not None and only not in VARIANTS_BY_NAME:
            raise BadInput("only", f"unknown row {only!r}; the rows are {', '.join(VARIANTS_BY_NAME)}")
        with stop_on_signals() as should_stop, locked(work):
            measurement = Measurement(
                footage, work, budget, seed=seed, preset=slim_256(), say=status.say, should_stop=should_stop
            )
            if only is None:
                measurement.run(VARIANTS_BY_NAME)
            else:
                measurement.again(only)
    except TrainingStopped:
        status.end()
        typer.echo("stopped; the same command resumes", err=True)
        raise typer.Exit(130) from None
    except (DanceError, OSError) as error:
        status.end()
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    status.end()
    print(table_of(measurement.results.rows))


if __name__ == "__main__":
    typer.run(main)
