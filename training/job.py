"""The training job: footage of a person in, a published actor out; resumable, in phases.

1. prepare: poses, masks, body, stage, plate, label maps (kept, on top of the training budget)
2. body: the generator, on pairs of frames
3. face: the face network, on what the finished body draws
4. evaluate: the exported networks on held-out frames, against the baselines
5. publish: into the actor store

A job that was stopped or killed goes on with the same call; asked for more minutes after its end, it trains further.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch

from motion.labelmap import LABEL_MAP_VERSION
from services.generator.network import GlobalGenerator, ServedGenerator
from serving.actors import FACE_FILE, GENERATOR_FILE, PLATE_FILE, Actor, ActorStore
from serving.engine import open_engine
from serving.errors import BadInput, DanceError
from serving.names import checked_actor_id
from training.atomic import write_picture, written_whole
from training.body import BodyLearner, new_generator
from training.data.pairs import Pairs, Split, split_footage
from training.data.prepare import PreparedFootage, prepare
from training.drawing import draw_run, torch_draw
from training.export import difference_db, export_face, export_generator
from training.face import FaceCrop, FaceLearner, face_crop, new_face_network
from training.heldout import HeldOut
from training.kernels import keep_freed_memory
from training.presets import Preset
from training.scoretable import ScoreTable
from training.trainer import Budget, Step, Trainer, TrainingStopped

BODY_PART: Final = 0.85
"""Of the training budget; the face gets the rest."""

_SCORE_EVERY_SECONDS: Final = 150.0
_FEWEST_EXPORT_DB: Final = 30.0
"""An engine in bf16 agrees with torch to 40 dB and better; less than this is a broken export."""
_MOST_FACE_FRAMES: Final = 1500


class ExportBroken(DanceError):
    """An exported network does not draw what the trained one draws."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSettings:
    """What a job is asked to do.

    minutes: of training, body and face together; preparation and publishing come on top. None takes the preset's,
    unless `pictures` is given. pictures: at most this many are drawn in the training of body and face each.
    consent: who agreed to what.
    """

    footage: Path
    actor: str
    store_root: Path
    work_root: Path
    preset: Preset
    minutes: float | None = None
    pictures: int | None = None
    seed: int = 0
    consent: str = ""
    device: str = "cpu"

    def __post_init__(self) -> None:
        checked_actor_id(self.actor)
        if self.minutes is not None and self.minutes <= 0:
            raise BadInput("minutes", f"must be positive, got {self.minutes}")
        if self.pictures is not None and self.pictures <= 0:
            raise BadInput("pictures", f"must be positive, got {self.pictures}")
        if self.device not in ("cpu", "cuda"):
            raise BadInput("device", f"is cpu or cuda, got {self.device!r}")

    @property
    def work_folder(self) -> Path:
        """Where the job keeps what it needs to go on, with previews and scores to look at."""
        return self.work_root / self.actor


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a job is. part: of this phase, in [0, 1], None where its end is not known.

    seconds_left: of this phase, None where unknown. losses: by name, in training. note: something to say once.
    """

    phase: str
    part: float | None = None
    done: int = 0
    seconds_left: float | None = None
    pictures_per_second: float | None = None
    losses: dict[str, float] = field(default_factory=dict)
    note: str = ""


OnProgress = Callable[[Progress], None]


def train_actor(
    settings: JobSettings,
    on_progress: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Actor:
    """Runs the job to its end and returns the published actor.

    Raises TrainingStopped as soon as `should_stop` says so (the same call goes on), UnreadableVideo for footage that
    cannot be read, NoBody where it shows no whole body.
    """
    return _Job(settings, on_progress, should_stop).run()


class _Job:
    def __init__(self, settings: JobSettings, on_progress: OnProgress, should_stop: Callable[[], bool]) -> None:
        self.settings = settings
        self.preset = settings.preset
        self.folder = settings.work_folder
        self.report = on_progress
        self.should_stop = should_stop
        self.body_budget, self.face_budget = _budgets(settings)
        self._fingerprint = ""

    def run(self) -> Actor:
        if self.settings.device == "cpu":
            keep_freed_memory()
            torch.set_flush_denormal(True)
        prepared = self._prepare()
        split = split_footage(len(prepared))
        held_out = HeldOut(prepared, split, self.preset)
        body = self._train_body(prepared, split, held_out)
        face = self._train_face(prepared, split, body) if self.preset.face is not None else None
        return self._publish(prepared, held_out, body, face)

    def _prepare(self) -> PreparedFootage:
        def on_frame(what: str, done: int, frames: int | None) -> None:
            self.report(Progress(phase=what, part=done / frames if frames else None, done=done))
            self._stop_if_asked()

        prepared = prepare(
            self.settings.footage,
            self.settings.work_root / "footage",
            self.preset.width_px,
            self.preset.height_px,
            on_frame,
        )
        self._fingerprint = prepared.folder.name
        facts = prepared.report
        note = f"a person in {facts['frames_with_a_person']} of {facts['frames']} frames"
        if facts["frames_with_props"]:
            note += f"; something moves beside the person in {facts['frames_with_props']} frames and is left out"
        self.report(Progress(phase="prepared", part=1.0, done=len(prepared), note=note))
        return prepared

    def _train_body(self, prepared: PreparedFootage, split: Split, held_out: HeldOut) -> BodyLearner:
        preset, seed = self.preset, self.settings.seed
        pairs = Pairs(
            prepared, split, onto_plate=preset.generator.plate, previous_noise=preset.previous_noise, seed=seed
        )
        learner = BodyLearner(preset, pairs, prepared.stage_plate, seed=seed, device=self.settings.device)
        trainer = Trainer(learner, self.body_budget, self.folder / "body.pt", self._identity("body"))
        plate = prepared.stage_plate if preset.generator.plate else None
        scores = ScoreTable(self.folder / "scores.csv", keep_until=learner.pictures_seen)
        scored_at = trainer.seconds if trainer.continued else -_SCORE_EVERY_SECONDS / 2

        def score(step: Step) -> None:
            draw = torch_draw(
                ServedGenerator(learner.averaged, plate), device=self.settings.device, precision=preset.precision
            )
            runs = held_out.drawn(draw)
            result = held_out.scores(runs)
            scores.add(step.seconds, step.pictures_seen, result)
            caption = f"{step.seconds / 60:.1f} minutes, {step.pictures_seen} pictures"
            sheet = held_out.preview(caption, runs)
            write_picture(self.folder / "preview" / f"{round(step.seconds):06d}s.png", sheet)
            write_picture(self.folder / "preview.png", sheet)
            note = f"{caption}: held-out body SSIM {result.body_ssim:.3f}, PSNR {result.body_psnr_db:.2f} dB"
            self.report(Progress(phase="body", part=step.progress, note=note))

        def on_step(step: Step) -> None:
            nonlocal scored_at
            self._report_step("body", step, self.body_budget)
            if step.seconds - scored_at >= _SCORE_EVERY_SECONDS or (step.progress >= 1 and step.seconds > scored_at):
                score(step)
                scored_at = step.seconds

        trainer.run(on_step, self.should_stop)
        return learner

    def _train_face(self, prepared: PreparedFootage, split: Split, body: BodyLearner) -> FaceLearner | None:
        # Stored with the body's age: a body that has been trained further needs its face trained again.
        identity = self._identity(f"face of a body of {body.pictures_seen} pictures")
        crops = self._face_crops(prepared, split, body)
        if not crops:
            self.report(Progress(phase="face", part=1.0, note="no face in the footage, so no face network"))
            return None
        learner = FaceLearner(self.preset, crops, seed=self.settings.seed, device=self.settings.device)
        trainer = Trainer(learner, self.face_budget, self.folder / "face.pt", identity)
        trainer.run(lambda step: self._report_step("face", step, self.face_budget), self.should_stop)
        return learner

    def _face_crops(self, prepared: PreparedFootage, split: Split, body: BodyLearner) -> list[FaceCrop]:
        """Faces as the finished body draws them on its own pictures, in runs of consecutive training frames."""
        plate = prepared.stage_plate if self.preset.generator.plate else None
        draw = torch_draw(
            ServedGenerator(body.averaged, plate), device=self.settings.device, precision=self.preset.precision
        )
        usable = [i for i in range(len(prepared)) if split.trained[i] and prepared.poses[i] is not None]
        crops = []
        for run in _consecutive(usable[:_MOST_FACE_FRAMES]):
            pictures = draw_run(draw, [prepared.labels[i] for i in run])
            self._stop_if_asked()
            for frame, drawn in zip(run, pictures, strict=True):
                pose = prepared.stage_pose(frame)
                crop = face_crop(prepared.labels[frame], drawn, prepared.pictures[frame], pose, self.preset.face_rule)
                if crop is not None:
                    crops.append(crop)
        return crops

    def _publish(
        self, prepared: PreparedFootage, held_out: HeldOut, body: BodyLearner, face: FaceLearner | None
    ) -> Actor:
        preset = self.preset
        self.report(Progress(phase="evaluating"))
        plate = prepared.stage_plate if preset.generator.plate else None
        generator = new_generator(preset.generator)
        generator.load_state_dict(body.averaged.state_dict())
        files = {GENERATOR_FILE: self.folder / GENERATOR_FILE, PLATE_FILE: self.folder / PLATE_FILE}
        export_generator(generator, plate, files[GENERATOR_FILE], preset.width_px, preset.height_px)
        write_picture(files[PLATE_FILE], prepared.plate)
        draw = open_engine(files[GENERATOR_FILE]).run
        self._check_generator(generator, plate, prepared, held_out)
        refine = None
        if face is not None and preset.face is not None:
            files[FACE_FILE] = self.folder / FACE_FILE
            network = new_face_network(preset.face)
            network.load_state_dict(face.averaged.state_dict())
            export_face(network, files[FACE_FILE], preset.face_rule.crop_px)
            refine = open_engine(files[FACE_FILE]).run
        runs = held_out.drawn(draw, refine)
        scores = {
            "held_out": held_out.scores(runs).to_dict(),
            "held_out_without_face_network": held_out.scores(held_out.drawn(draw)).to_dict(),
            "pose_distance": held_out.pose_scores(runs).to_dict(),
            **held_out.baselines(),
        }
        with written_whole(self.folder / "evaluation.json") as partial:
            partial.write_text(json.dumps(scores, indent=2) + "\n")
        write_picture(self.folder / "preview.png", held_out.preview("as published", runs))
        actor = Actor(
            id=self.settings.actor,
            version=0,
            folder=self.folder,
            label_map_version=LABEL_MAP_VERSION,
            stage=prepared.stage,
            frame_size=prepared.frame_size,
            frame_rate_hz=prepared.frame_rate_hz,
            body=prepared.body,
            face_rule=preset.face_rule,
            generator=preset.generator,
            face=preset.face if face is not None else None,
            preset=preset.name,
            trained={
                "footage": self.settings.footage.name,
                "footage_report": prepared.report,
                "body_pictures": body.pictures_seen,
                "face_pictures": 0 if face is None else face.pictures_seen,
                "minutes": self.settings.minutes if self.settings.minutes is not None else preset.minutes,
                "seed": self.settings.seed,
                "torch": torch.__version__,
            },
            scores=scores,
            consent=self.settings.consent,
        )
        published = ActorStore(self.settings.store_root).publish(actor, files)
        self.report(Progress(phase="published", part=1.0, note=f"{published.id} version {published.version}"))
        return published

    def _check_generator(
        self, generator: GlobalGenerator, plate: Any, prepared: PreparedFootage, held_out: HeldOut
    ) -> None:
        frames = held_out.frames[:2]
        pairs = [(prepared.labels[frame], prepared.pictures[frame]) for frame in frames]
        drawn = open_engine(self.folder / GENERATOR_FILE).run_batch(pairs)
        agreement_db = difference_db(ServedGenerator(generator, plate), drawn, pairs)
        if agreement_db < _FEWEST_EXPORT_DB:
            raise ExportBroken(f"the exported generator agrees with the trained one to {agreement_db:.1f} dB only")

    def _identity(self, phase: str) -> str:
        stage = f"{self.preset.width_px}x{self.preset.height_px}"
        recipe = replace(self.preset, minutes=0.0)
        return json.dumps(
            [phase, self._fingerprint, stage, LABEL_MAP_VERSION, self.settings.seed, asdict(recipe)], sort_keys=True
        )

    def _report_step(self, phase: str, step: Step, budget: Budget) -> None:
        rate = step.pictures_seen / step.seconds if step.seconds else None
        left = step.seconds * (1 - step.progress) / step.progress if step.progress else None
        self.report(
            Progress(
                phase=phase,
                part=step.progress,
                done=step.pictures_seen,
                seconds_left=left,
                pictures_per_second=rate,
                losses=step.losses,
            )
        )

    def _stop_if_asked(self) -> None:
        if self.should_stop():
            raise TrainingStopped("stopped; what was done so far is kept")


def _budgets(settings: JobSettings) -> tuple[Budget, Budget]:
    minutes = settings.minutes
    if minutes is None and settings.pictures is None:
        minutes = settings.preset.minutes
    body_part = BODY_PART if settings.preset.face is not None else 1.0

    def budget(part: float) -> Budget:
        return Budget(None if minutes is None else minutes * 60 * part, settings.pictures)

    return budget(body_part), budget(1 - BODY_PART)


def _consecutive(frames: list[int]) -> list[list[int]]:
    """Rising frame numbers in runs without a gap."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and runs[-1][-1] == frame - 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return runs
