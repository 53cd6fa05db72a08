"""The training job: footage of a person in, a published actor out; resumable, in phases.

1. prepare: poses, masks, body, stage, plate, label maps (kept, on top of the training budget)
2. body: the generator, on pairs of frames
3. face: the face network, on what the finished body draws
4. evaluate: the exported networks on held-out frames, against the baselines
5. publish: into the actor store

A job that was stopped or killed goes on with the same call; asked for more minutes after its end, it trains further.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from serving.actors import Actor, ActorStore
from serving.errors import BadInput
from serving.names import checked_actor_id
from training.atomic import write_picture
from training.body import BodyLearner
from training.data.footage import Footage
from training.data.pairs import Pairs
from training.data.prepare import PreparedFootage, preparation_name
from training.drawing import Draw
from training.face import FaceLearner
from training.facecrops import cut_faces
from training.heldout import HeldOut
from training.identity import fingerprint, recipe_identity, refuse_another, stored_identity
from training.presets import Preset
from training.progress import OnProgress, PhaseClock, Progress
from training.publishing import STEPS, Trained, evaluated_and_published, published_before
from training.recipe import computable, drawing_for, pairs_for, prepared_for, settle
from training.scoretable import ScoreTable
from training.trainer import Budget, Step, Trainer, TrainingStopped
from training.worklock import locked

__all__ = ["JobSettings", "Progress", "train_actor"]

BODY_PART: Final = 0.85
"""Of the training budget; the face gets the rest."""

_SCORE_EVERY_SECONDS: Final = 150.0
_BODY_FILE: Final = "body.pt"
_FACE_FILE: Final = "face.pt"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSettings:
    """What a job is asked to do.

    minutes: of training, body and face together; preparation and publishing come on top. None takes the preset's,
    unless `pictures` is given. pictures: at most this many are drawn in the training of body and face each.
    consent: who agreed, when, and to what; never blank. footage_anyway: train also on footage that is not worth it.
    publish_anyway: serve what is published also where it is worse than what is served, or than a baseline.
    """

    footage: Footage | Path
    actor: str
    store_root: Path
    work_root: Path
    preset: Preset
    minutes: float | None = None
    pictures: int | None = None
    seed: int = 0
    consent: str
    device: str = "cpu"
    footage_anyway: bool = False
    publish_anyway: bool = False

    def __post_init__(self) -> None:
        checked_actor_id(self.actor)
        if not self.consent.strip():
            raise BadInput("consent", "cannot be blank: say who agreed, when, and to what; it is kept with the actor")
        if self.minutes is not None and self.minutes <= 0:
            raise BadInput("minutes", f"must be positive, got {self.minutes}")
        if self.pictures is not None and self.pictures <= 0:
            raise BadInput("pictures", f"must be positive, got {self.pictures}")
        if self.device not in ("cpu", "cuda"):
            raise BadInput("device", f"is cpu or cuda, got {self.device!r}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise BadInput("device", "cuda was asked for, but torch finds no GPU here; use cpu")

    @property
    def work_folder(self) -> Path:
        """Where the job keeps what it needs to go on, with previews and scores to look at."""
        return self.work_root / self.actor


def train_actor(
    settings: JobSettings,
    on_progress: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Actor:
    """Runs the job to its end and returns the published actor.

    With nothing left in the budget and nothing new to publish, the version published before is returned. Raises
    TrainingStopped as soon as `should_stop` says so (the same call goes on), UnreadableVideo for footage that cannot be
    read, NoBody where it shows no whole body or too little of it, BadInput where the work folder is in use or holds the
    training of something else.
    """
    return _Job(settings, on_progress, should_stop).run()


class _Job:
    def __init__(self, settings: JobSettings, on_progress: OnProgress, should_stop: Callable[[], bool]) -> None:
        self.settings = settings
        self.preset = computable(settings.preset, settings.device)
        self.folder = settings.work_folder
        self.report = on_progress
        self.should_stop = should_stop
        self.body_budget, self.face_budget = _budgets(settings)
        self._clock = PhaseClock()

    def run(self) -> Actor:
        with locked(self.settings.work_root):
            return self._run()

    def _run(self) -> Actor:
        settle(self.settings.device)
        if self.preset.precision != self.settings.preset.precision:
            self._note(
                "starting", "this CPU does not compute bf16, so training computes in float32, which takes longer"
            )
        # Of the recipe as asked, not as computed: on another machine the same job goes on.
        identity = recipe_identity(self.settings.preset, self.settings.seed, preparation_name(self.settings.footage))
        found = stored_identity(self.folder / _BODY_FILE)
        if found is not None:
            refuse_another(found, identity, self.folder)  # before minutes are spent on preparation
        prepared = self._prepare()
        identity["stage"] = prepared.folder.name
        split = prepared.split()
        pairs = pairs_for(self.preset, prepared, split, self.settings.seed)
        held_out = HeldOut(prepared, split, self.preset)
        body, body_steps = self._train_body(prepared, pairs, held_out, identity)
        face, face_steps = None, 0
        if self.preset.face is not None:
            face, face_steps = self._train_face(prepared, pairs, body, identity)
        trained = Trained(
            actor_id=self.settings.actor,
            consent=self.settings.consent,
            preset=self.preset,
            prepared=prepared,
            held_out=held_out,
            body=body,
            face=face,
            facts=self._facts(prepared, body, face, fingerprint(identity)),
        )
        return self._publish(trained, nothing_new=body_steps + face_steps == 0)

    def _prepare(self) -> PreparedFootage:
        def on_frame(what: str, done: int, frames: int | None) -> None:
            self._report_count(what, done, frames)

        prepared = prepared_for(
            self.preset,
            self.settings.footage,
            self.settings.work_root / "footage",
            on_frame,
            anyway=self.settings.footage_anyway,
            say=lambda note: self._note("prepared", note),
        )
        facts = prepared.report
        self._note("prepared", f"a person in {facts['frames_with_a_person']} of {facts['frames']} frames")
        if facts["frames_lost"]:
            self._note("prepared", f"{facts['frames_lost']} frames of the footage could not be decoded")
        if facts["frames_with_either"]:
            note = (
                f"in {facts['frames_with_either']} frames something beside the person differs from the plate "
                f"(a prop in {facts['frames_with_props']}, a shadow in {facts['frames_with_shadows']})"
            )
            self._note(
                "prepared", note + ("; training sees the plate there" if self.preset.targets != "filmed" else "")
            )
        return prepared

    def _train_body(
        self, prepared: PreparedFootage, pairs: Pairs, held_out: HeldOut, identity: dict[str, str]
    ) -> tuple[BodyLearner, int]:
        """The trained body, and the steps that were taken now."""
        preset = self.preset
        learner = BodyLearner(preset, pairs, seed=self.settings.seed, device=self.settings.device)
        trainer = Trainer(learner, self.body_budget, self.folder / _BODY_FILE, identity)
        scores = ScoreTable(self.folder / "scores.csv", keep_until=learner.pictures_seen)
        scored_at = trainer.seconds if trainer.continued else -_SCORE_EVERY_SECONDS / 2

        def score(step: Step) -> None:
            runs = held_out.drawn(self._drawing(prepared, learner))
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
        return learner, trainer.steps

    def _train_face(
        self, prepared: PreparedFootage, pairs: Pairs, body: BodyLearner, identity: dict[str, str]
    ) -> tuple[FaceLearner | None, int]:
        """The trained face network, None where the footage shows no face, and the steps that were taken now."""
        draw = self._drawing(prepared, body)
        crops = cut_faces(
            prepared, pairs, draw, self.preset.face_rule, lambda n, of: self._report_count("drawing faces", n, of)
        )
        if not crops:
            self._note("face", "no face in the footage, so no face network")
            return None, 0
        learner = FaceLearner(self.preset, crops, seed=self.settings.seed, device=self.settings.device)
        # A body that has been trained further needs its face trained again.
        of_this_body = identity | {"face of a body of": f"{body.pictures_seen} pictures"}
        trainer = Trainer(learner, self.face_budget, self.folder / _FACE_FILE, of_this_body, replaces=True)
        trainer.run(lambda step: self._report_step("face", step, self.face_budget), self.should_stop)
        return learner, trainer.steps

    def _drawing(self, prepared: PreparedFootage, body: BodyLearner) -> Draw:
        return drawing_for(self.preset, prepared, body.averaged, self.settings.device)

    def _publish(self, trained: Trained, *, nothing_new: bool) -> Actor:
        store = ActorStore(self.settings.store_root)
        before = published_before(store, trained) if nothing_new else None
        if before is not None:
            note = (
                f"nothing is left to train: {before.id} version {before.version} is this training, as published before"
            )
            self._note("published", note)
            if self.settings.publish_anyway and store.served_version(before.id) != before.version:
                store.serve(before.id, before.version)
                self._note("published", f"version {before.version} is served from now on")
            return before
        published = evaluated_and_published(
            store,
            trained,
            self.folder,
            lambda done: self._report_count("evaluating", done, STEPS),
            serve_anyway=self.settings.publish_anyway,
        )
        self._note("published", f"{published.id} version {published.version}")
        gate = published.scores["gate"]
        if not gate["passed"]:
            served = store.served_version(published.id)
            what = f"version {served} is served" if served else "no version is served"
            reasons = "; ".join(gate["reasons"])
            way_out = "" if self.settings.publish_anyway else "; the same command with --publish-anyway serves it"
            self._note("published", f"{what}: {reasons}{way_out}")
        if gate["not_compared"]:
            self._note("published", f"not compared with the version that was served: {gate['not_compared']}")
        return published

    def _facts(
        self, prepared: PreparedFootage, body: BodyLearner, face: FaceLearner | None, state: str
    ) -> dict[str, Any]:
        return {
            "footage": Footage.of(self.settings.footage).title,
            "held_out_blocks": [[block.start, block.stop] for block in prepared.split().blocks],
            "footage_fingerprint": Footage.of(self.settings.footage).fingerprint(),
            "footage_report": prepared.report,
            "body_pictures": body.pictures_seen,
            "face_pictures": 0 if face is None else face.pictures_seen,
            "minutes": self.settings.minutes if self.settings.minutes is not None else self.preset.minutes,
            "precision": self.preset.precision,
            "seed": self.settings.seed,
            "state": state,
            "torch": torch.__version__,
        }

    def _note(self, phase: str, note: str) -> None:
        self.report(Progress(phase=phase, part=1.0, note=note))

    def _report_count(self, phase: str, done: int, total: int | None) -> None:
        self.report(self._clock.progress(phase, done, total))
        if total is None or done < total:
            self._stop_if_asked()

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
