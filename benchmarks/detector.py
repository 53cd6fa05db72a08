"""Can the fake detector tell drawn clips from filmed ones, of people it has never seen?

One command films drawn dancers, trains actors on them, trains the detector on their pairs, and measures it on other
people: drawn ones, the sample actor, and real ones if their clips are there. Both classes have the same size and go
through the same compression; no picture carries a watermark. A person is in training or in a table, never in both.

- pairs: how often a single pair is judged right at the upper threshold, as the mean over both classes; 0.5 is chance.
- AUC: how often a synthetic pair has a higher score than a real one.
- clips: pieces of 32 consecutive frames, judged as `dance detect` does: right, wrong, cannot tell.

`python -m benchmarks.detector WORK` goes on where it was stopped; it takes two cores about two hours.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray

from benchmarks import table
from benchmarks.detector_clips import Clip, film_drawn, gather, gather_sample, read_clips, split_film
from motion.frame import Picture
from provenance.detector.compression import Compression, compressed, random_compressions
from provenance.detector.judge import SYNTHETIC_FROM, Detector, Verdict, finding, spread
from provenance.detector.pairs import Pair, pairs_of, sampled_pairs
from provenance.detector.scores import area_under_curve, balanced_accuracy
from provenance.detector.train import DetectorTraining, LabelledPairs, export_detector, train_detector
from serving.process.atomic_files import written_whole
from training.data.footage import footage_frames

SAMPLES: Final = Path(__file__).resolve().parent.parent / "samples"
DANCES: Final = (SAMPLES / "source_clip.mp4", SAMPLES / "dances" / "waves.mp4", SAMPLES / "dances" / "turns.mp4")
TRAINED_ON: Final = {0: 150, 1: 400, 2: 250, 4: 100}
"""The drawn dancers that the detector learns from, and how many frames their actors were trained on."""
TESTED_ON: Final = {3: 300}
LARGE: Final = frozenset({4})
"""The dancers whose actors draw 512x512 pictures; the others draw 256x256."""
REAL_PEOPLE: Final = {"target_juggle": 700, "source_squats": 300}
NEVER_DRAWN: Final = ("source_balance", "hard_two_people", "hard_enter_leave", "hard_one_by_one", "hard_no_person")
CONDITIONS: Final[tuple[Compression, ...]] = (
    Compression(),
    Compression("h264", 18),
    Compression("jpeg", 70),
    Compression("h264", 23),
    Compression("h264", 28),
    Compression(scale=0.6),
    Compression("h264", 28, 0.6),
)
_VARIANTS, _PAIRS_EACH, _STORED_SIDE_PX, _STRETCH_FRAMES = 10, 20, 144, 96
FILM_CONDITIONS: Final = (Compression(), Compression("h264", 28, 0.6))
_PIECE_FRAMES: Final = 32
_WHOLE: Final = 1_000_000
_MOST_PIECES: Final = 4


@dataclass(frozen=True, slots=True)
class Measured:
    """The pair scores of one piece of a clip."""

    clip: Clip
    scores: list[float]

    @property
    def verdict(self) -> Verdict:
        return finding(self.scores).verdict


class _Judging:
    """Judges clips with one network, and keeps the scores in the work folder, so that each is computed once."""

    def __init__(self, weights: Path, work: Path) -> None:
        self._detector = Detector(weights)
        self._folder = work / "scores" / hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
        self._folder.mkdir(parents=True, exist_ok=True)

    def pieces(self, name: str, pictures: Callable[[], Sequence[Picture]], frames: int) -> list[list[float]]:
        """The pair scores of every piece of `frames` pictures; a whole clip is one piece if it is shorter."""
        kept = self._folder / f"{name}.json"
        if not kept.is_file():
            shown = pictures()
            starts = range(0, max(1, len(shown) - frames + 1), frames)
            scores = [self._scores(shown[start : start + frames]) for start in starts]
            with written_whole(kept) as partial:
                partial.write_text(json.dumps(scores))
        return [[float(score) for score in piece] for piece in json.loads(kept.read_text())]

    def _scores(self, pictures: Sequence[Picture]) -> list[float]:
        return [self._detector.pair_score(pair) for pair in spread(pairs_of(pictures))]


def main(
    work: Annotated[Path, typer.Argument(help="Folder for films, actors, clips and scores; some gigabytes.")],
    data: Annotated[
        Path, typer.Option(envvar="DANCE_TEST_DATA", help="Its folder `clips` has the real clips, if they exist.")
    ] = Path("../shared"),
    weights: Annotated[Path | None, typer.Option(help="Measure this network; without it, one is trained.")] = None,
    steps: Annotated[int, typer.Option(min=10, help="Steps of the detector's training.")] = 900,
    seed: Annotated[int, typer.Option(help="Seed of the detector's training.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads, and processes that draw dancers.")] = 2,
    also: Annotated[list[str], typer.Option(help="Train on this real person, too, to measure what that brings.")] = [],  # noqa: B006
) -> None:
    """Make what is missing, train, measure, and print tables in Markdown."""
    cv2.setNumThreads(1)
    torch.set_num_threads(threads)
    _gather_all(work, data / "clips", threads)
    clips = read_clips(work / "clips")
    learned = {f"drawn-{number}" for number in TRAINED_ON} | set(also)
    if weights is None:
        name = "-".join(["detector", f"seed{seed}", f"{steps}", *also])
        weights = work / f"{name}.onnx"
        if not weights.is_file():
            _train([clip for clip in clips if clip.person in learned], work, weights, steps, seed)
    print(f"{weights.name}, torch {torch.__version__}, OpenCV {cv2.__version__}, Python {platform.python_version()}\n")
    judging = _Judging(weights, work)
    _print_people(judging, [clip for clip in clips if clip.person not in learned])
    _print_films(judging, data / "clips")


def _gather_all(work: Path, real: Path, workers: int) -> None:
    for number, pictures in (TRAINED_ON | TESTED_ON).items():
        if not (work / "clips" / f"drawn-{number}.complete").is_file():
            footage, show = film_drawn(number, work / "films", workers, is_large=number in LARGE)
            preset = "quick-512" if number in LARGE else "quick-256"
            gather(footage.stem, footage, show, [DANCES[number % 3]], work, pictures, preset)
    gather_sample(SAMPLES / "actors", DANCES[1:], work, workers)
    for person, pictures in REAL_PEOPLE.items():
        film = real / f"{person}.mp4"
        if film.is_file() and not (work / "clips" / f"{person}.complete").is_file():
            footage, show = split_film(film, work / "films")
            gather(person, footage, show, DANCES[:2], work, pictures)


def _train(clips: Sequence[Clip], work: Path, weights: Path, steps: int, seed: int) -> None:
    people = sorted({clip.person for clip in clips})
    parts = [_labelled(person, [clip for clip in clips if clip.person == person], work) for person in people]
    counts = [len(part[0]) for part in parts]
    labelled = LabelledPairs(
        np.concatenate([pairs for pairs, _ in parts]),
        np.concatenate([synthetic for _, synthetic in parts]),
        np.repeat(np.arange(len(parts)), counts),
    )
    began_s = time.monotonic()

    def told(done: int, loss: float) -> None:
        if done % 50 == 0:
            typer.echo(f"{done} of {steps} steps, loss {loss:.3f}, {time.monotonic() - began_s:.0f} s", err=True)

    export_detector(train_detector(labelled, DetectorTraining(steps=steps, seed=seed), told), weights)


def _labelled(person: str, clips: Sequence[Clip], work: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Pairs of one person and whether they are synthetic, made once. All clips go through the same compressions."""
    kept = work / "pairs" / f"{person}.npz"
    if not kept.is_file():
        typer.echo(f"pairs of {person}", err=True)
        pairs: list[Pair] = []
        synthetic: list[bool] = []
        for variant in range(_VARIANTS):
            name = int.from_bytes(person.encode()[-6:], "big")
            steps = random_compressions(np.random.default_rng([name, variant]))
            for number, clip in enumerate(clips):
                random = np.random.default_rng([name, variant, number])
                first = int(random.integers(0, max(1, len(clip.pictures) - _STRETCH_FRAMES + 1)))
                stretch = compressed(list(clip.pictures[first : first + _STRETCH_FRAMES]), steps)
                found = sampled_pairs(stretch, _PAIRS_EACH, random, _STORED_SIDE_PX)
                pairs += found
                synthetic += [clip.is_synthetic] * len(found)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(kept) as partial, partial.open("wb") as file:
            np.savez(file, pairs=np.stack(pairs), synthetic=np.array(synthetic))
    with np.load(kept) as stored:
        return stored["pairs"], stored["synthetic"]


def _print_people(judging: _Judging, clips: Sequence[Clip]) -> None:
    people = sorted({clip.person for clip in clips})
    drawn = [person for person in people if person not in REAL_PEOPLE]
    real = [person for person in people if person in REAL_PEOPLE]
    print(table.header("people", "condition", "pairs", "AUC", "clips right, wrong, cannot tell: film", "drawn"))
    for condition in CONDITIONS:
        found = {person: _measured(judging, [c for c in clips if c.person == person], condition) for person in people}
        for name, group in (*((person, [person]) for person in people), ("all drawn", drawn), ("all real", real)):
            rows = [piece for person in group for piece in found[person]]
            if rows:
                print(table.row(name, condition.words, *_cells(rows)), flush=True)


def _measured(judging: _Judging, clips: Sequence[Clip], condition: Compression) -> list[Measured]:
    """The scores of the first pieces of every clip."""

    def shown(clip: Clip) -> list[Picture]:
        return compressed(list(clip.pictures[: _MOST_PIECES * _PIECE_FRAMES]), [condition])

    return [
        Measured(clip, scores)
        for clip in clips
        for scores in judging.pieces(
            f"{clip.person}-{clip.kind}, {condition.words}", partial(shown, clip), _PIECE_FRAMES
        )
    ]


def _cells(rows: Sequence[Measured]) -> list[str]:
    real = [score for row in rows if not row.clip.is_synthetic for score in row.scores]
    synthetic = [score for row in rows if row.clip.is_synthetic for score in row.scores]
    pairs = f"{balanced_accuracy(real, synthetic, SYNTHETIC_FROM):.3f}", f"{area_under_curve(real, synthetic):.3f}"
    return [*pairs, *(_counts(rows, is_synthetic) for is_synthetic in (False, True))]


def _counts(rows: Sequence[Measured], is_synthetic: bool) -> str:
    verdicts = [row.verdict for row in rows if row.clip.is_synthetic == is_synthetic]
    right, wrong = (Verdict.SYNTHETIC, Verdict.REAL) if is_synthetic else (Verdict.REAL, Verdict.SYNTHETIC)
    return f"{verdicts.count(right)}, {verdicts.count(wrong)}, {verdicts.count(Verdict.UNKNOWN)}"


def _print_films(judging: _Judging, folder: Path) -> None:
    """A row for every real clip as it was filmed: whole frames, whole file."""
    films = [path for name in (*REAL_PEOPLE, *NEVER_DRAWN) if (path := folder / f"{name}.mp4").is_file()]
    if not films:
        print(f"\nno real clips in {folder}")
        return
    print("\n" + table.header("film, whole frames", "condition", "pairs", "score", "verdict"))
    for path in films:
        for condition in FILM_CONDITIONS:

            def shown(path: Path = path, condition: Compression = condition) -> list[Picture]:
                return compressed(list(footage_frames(path)), [condition])

            (scores,) = judging.pieces(f"whole {path.stem}, {condition.words}", shown, _WHOLE)
            found = finding(scores)
            score = "n/a" if found.score is None else f"{found.score:.3f}"
            print(table.row(path.stem, condition.words, str(found.pairs), score, found.verdict.value), flush=True)


if __name__ == "__main__":
    typer.run(main)
