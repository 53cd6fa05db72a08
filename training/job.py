"""The training job: footage of a person in, a published actor out; resumable, in stages.

1. prepare: poses, masks, body, stage, plate, label maps (kept, on top of the training budget)
2. coarse: the generator inside of a local enhancer, at half size, in presets that have one
3. body: the generator, on pairs of frames
4. face: the face network, on what the finished body draws
5. evaluate: the exported networks on held-out frames, against the baselines
6. publish: into the actor store

A job that was stopped or killed goes on with the same call; asked for more after its end, it trains further. Started by
torchrun, several processes train together; rank 0 writes and speaks for all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import torch
from torch import nn

from serving.actors.rollout import gated
from serving.actors.store import Actor, ActorStore
from serving.errors import ActorUnusable, BadInput
from training.checkpoints.identity import (
    BODY_OF_THE_FACE,
    fingerprint,
    of_the_body,
    padding_of,
    recipe_identity,
    refuse_another,
)
from training.checkpoints.store import Checkpoints
from training.data.footage import Footage
from training.data.pairs import Pairs
from training.evaluation.held_out_frames import HeldOut
from training.loop.body_learner import BodyLearner
from training.loop.budgets import Budgets
from training.loop.checkpoint_space import state_checkpoints_room
from training.loop.face_crops import cut_faces
from training.loop.face_learner import FaceLearner
from training.loop.finetune import body_weights_of, checked_start, face_weights_of, start
from training.loop.learner import Computing, Learner
from training.loop.trainer import Step, Trainer, TrainingStopped
from training.networks.cpu_layers import accelerate
from training.networks.recurrent_drawing import Draw
from training.networks.vgg import name_of, perceptual_network
from training.preparation.prepare import PreparedFootage, load_prepared, preparation_name
from training.preset_setup import computable, drawing_for, pairs_for, prepared_for, settle
from training.presets import coarse_stage, with_padding
from training.process.atomic import write_picture
from training.process.disk import full_disk_told
from training.process.distributed import ALONE, Ranks, joined
from training.process.work_folder import check_writable, locked
from training.publishing.publish import STEPS, Trained, evaluated_and_published, published_before
from training.reporting import metrics
from training.reporting.progress import OnProgress, PhaseClock, Progress
from training.reporting.scoretable import ScoreTable
from training.settings import JobSettings

__all__ = ["JobSettings", "Progress", "train_actor"]

_SCORE_EVERY_SECONDS: Final = 150.0
_COARSE_FILE: Final = "coarse.pt"
_BODY_FILE: Final = "body.pt"
_FACE_FILE: Final = "face.pt"
_CROPS_FILE: Final = "faces.npy"


def train_actor(
    settings: JobSettings,
    on_progress: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Actor:
    """Runs the job to its end and returns the published actor.

    With nothing left in the budget and nothing new to publish, the version published before is returned. Started by
    torchrun, every process calls this; on_progress is told at rank 0 only.

    Raises TrainingStopped as soon as `should_stop` says so (the same call goes on), UnreadableVideo for footage that
    cannot be read, NoBody where it shows no whole body or too little of it, BadInput where the work folder holds the
    training of something else, or VGG19's weights are wanted and not to be had, WorkFolderBusy where another training
    is at work in it, TrainingDiverged, BadSettings where `TRAINING_METRICS_PORT` names a port that is in use, DiskFull.
    """
    with (
        joined(settings.device) as ranks,
        metrics.served(on_progress if ranks.is_first else _unheard) as report,
        full_disk_told(settings.work_folder),
    ):
        try:
            return _Job(settings, report, should_stop, ranks).run()
        except RuntimeError as error:
            if ranks.count > 1 and should_stop():
                raise TrainingStopped("another process of this training stopped first") from error
            raise


class _Job:
    def __init__(
        self, settings: JobSettings, on_progress: OnProgress, should_stop: Callable[[], bool], ranks: Ranks = ALONE
    ) -> None:
        self.settings = settings
        self.asked = settings.recipe
        self.preset = computable(self.asked, settings.device)
        self.folder = settings.work_folder
        self.ranks = ranks
        self.report = on_progress
        self.should_stop = should_stop
        self.computing = Computing(
            device=settings.device,
            batch=settings.batch,
            compiled=settings.compiled,
            seed=settings.seed,
            ranks=ranks,
        )
        coarse = self.preset.generator.enhanced and not settings.start_from
        self.budgets = Budgets(self.preset, settings.minutes, settings.pictures, coarse)
        self.vgg: nn.Module | None = None
        self._clock = PhaseClock()

    def run(self) -> Actor:
        if not self.ranks.is_first:
            return self._run()
        check_writable(self.settings.store_root / self.settings.actor, "--actors")
        with locked(self.settings.work_root):
            return self._run()

    def _run(self) -> Actor:
        settings = self.settings
        settle(settings.device)
        if self.preset.precision != self.asked.precision:
            self._note(
                "starting", "this CPU does not compute bf16, so training computes in float32, which takes longer"
            )
        # Of the recipe as asked, not as computed: on another machine the same job goes on.
        identity = self._identity()
        self.vgg = self.ranks.first_first(self._seeing_network)
        prepared = self._prepared()
        if self.ranks.is_first:
            coarse = self.folder / _COARSE_FILE if self.budgets.coarse else None
            files = (self.folder / _BODY_FILE, self.folder / _FACE_FILE, coarse)
            self._note("starting", state_checkpoints_room(self.preset, *files))
        identity["stage"] = prepared.folder.name
        split = prepared.split()
        pairs = pairs_for(self.preset, prepared, split, settings.seed)
        held_out = HeldOut(prepared, split, self.preset, self._stop_if_asked)
        body, body_steps = self._train_body(prepared, pairs, held_out, identity)
        face, face_steps = None, 0
        if self.preset.face is not None:
            face, face_steps = self._train_face(prepared, pairs, body, identity)
        trained = Trained(
            actor_id=settings.actor,
            consent=settings.consent,
            preset=self.preset,
            prepared=prepared,
            held_out=held_out,
            body=body,
            face=face,
            facts=self._facts(prepared, body, face, fingerprint(identity)),
        )
        published = self._publish(trained, nothing_new=body_steps + face_steps == 0) if self.ranks.is_first else None
        actor = self.ranks.told_by_first(published)
        assert actor is not None
        if self.ranks.is_first:
            (self.folder / _CROPS_FILE).unlink(missing_ok=True)
        return actor

    def _identity(self) -> dict[str, str]:
        """Of this training, with the padding of the networks that it goes on with or starts from.

        Raises what forbids that, before minutes are spent on preparation.
        """
        settings = self.settings
        there = [Checkpoints(self.folder / file).identity() for file in (_COARSE_FILE, _BODY_FILE)]
        begun = [of_the_body(identity) for identity in there if identity is not None]
        padding = padding_of(begun[0]) if begun else self.asked.generator.padding
        if settings.start_from and not begun:
            padding = checked_start(settings.start_from, self.preset, settings.work_root, settings.store_root)
        todays = self.asked.generator.padding
        self.asked, self.preset = with_padding(self.asked, padding), with_padding(self.preset, padding)
        identity = recipe_identity(self.asked, settings.seed, preparation_name(settings.footage))
        if settings.start_from:
            identity["from"] = settings.start_from
        for found in begun:
            refuse_another(found, of_the_body(identity), self.folder)
        if padding != todays:
            self._note(
                "starting",
                f"convolutions that halve the size are padded by {padding}, as the weights there were trained; "
                f"preset {self.asked.name} pads them by {todays} today",
            )
        return identity

    def _seeing_network(self) -> nn.Module | None:
        preset = self.preset
        if not preset.weights.perceptual and (preset.face is None or not preset.face_weights.perceptual):
            return None
        network = perceptual_network(preset.perceptual, self.settings.vgg_weights)
        if network is None:
            raise BadInput("perceptual", f"preset {preset.name} has a perceptual loss and no network for it")
        self._note("starting", f"perceptual loss: {name_of(preset.perceptual)}")
        if self.settings.device == "cpu":
            accelerate(network)
        return network.to(self.settings.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _prepared(self) -> PreparedFootage:
        """Prepared by rank 0; the others read what it left, and write nothing."""
        prepared = self._prepare() if self.ranks.is_first else None
        where = self.ranks.told_by_first(None if prepared is None else (prepared.folder.parent, prepared.crop))
        assert where is not None
        return load_prepared(*where) if prepared is None else prepared

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

    def _train_coarse(self, pairs: Pairs, identity: dict[str, str]) -> BodyLearner:
        """The global generator that a local enhancer begins with, trained by itself."""
        learner = BodyLearner(coarse_stage(self.preset), pairs, self.computing, vgg=self.vgg, half_size=True)
        budget = self.budgets.of_coarse(len(pairs.first_frames))
        trainer = Trainer(
            learner,
            budget,
            self.folder / _COARSE_FILE,
            identity,
            concern=of_the_body,
            on_note=lambda note: self._note("coarse", note),
        )
        trainer.run(lambda step: self._report_step("coarse", step), self.should_stop)
        return learner

    def _train_body(
        self, prepared: PreparedFootage, pairs: Pairs, held_out: HeldOut, identity: dict[str, str]
    ) -> tuple[BodyLearner, int]:
        """The trained body, and the steps that were taken now."""
        learner = BodyLearner(self.preset, pairs, self.computing, vgg=self.vgg)
        trainer = Trainer(
            learner,
            self.budgets.of_body(len(pairs.first_frames)),
            self.folder / _BODY_FILE,
            identity,
            concern=of_the_body,
            on_note=lambda note: self._note("body", note),
        )
        if not trainer.continued and self.budgets.coarse:
            learner.warm_start(self._train_coarse(pairs, identity))
        if not trainer.continued:
            self._start(learner, "body")
        scores = ScoreTable(self.folder / "scores.csv", keep_until=learner.pictures_seen)
        scored_at = trainer.seconds if trainer.continued else -_SCORE_EVERY_SECONDS / 2

        def score(step: Step) -> None:
            runs = held_out.drawn(self._drawing(prepared, learner))
            result = held_out.scores(runs)
            scores.add(step.seconds, step.pictures_seen, result)
            metrics.scored(result)
            caption = f"{step.seconds / 60:.1f} minutes, {step.pictures_seen} pictures"
            sheet = held_out.preview(caption, runs)
            write_picture(self.folder / "preview" / f"{round(step.seconds):06d}s.png", sheet)
            write_picture(self.folder / "preview.png", sheet)
            if trainer.curves is not None:
                shown = {"body_ssim": result.body_ssim, "body_psnr_db": result.body_psnr_db}
                trainer.curves.show(step.pictures_seen, shown, sheet)
            note = f"{caption}: held-out body SSIM {result.body_ssim:.3f}, PSNR {result.body_psnr_db:.2f} dB"
            self.report(Progress(phase="body", part=step.progress, note=note))

        def on_step(step: Step) -> None:
            nonlocal scored_at
            self._report_step("body", step)
            due = step.seconds - scored_at >= _SCORE_EVERY_SECONDS or (step.progress >= 1 and step.seconds > scored_at)
            if due and self.ranks.is_first:
                with suppress(TrainingStopped):  # the trainer hears of it next, and writes its checkpoint
                    score(step)
                scored_at = step.seconds

        trainer.run(on_step, self.should_stop)
        return learner, trainer.steps

    def _train_face(
        self, prepared: PreparedFootage, pairs: Pairs, body: BodyLearner, identity: dict[str, str]
    ) -> tuple[FaceLearner | None, int]:
        """The trained face network, None where the footage shows no face, and the steps that were taken now."""
        crops = cut_faces(
            prepared,
            pairs,
            self._drawing(prepared, body),
            self.preset,
            self.folder / _CROPS_FILE,
            lambda n, of: self._report_count("drawing faces", n, of),
            check=self._stop_if_asked,
            ranks=self.ranks,
        )
        if not crops:
            self._note("face", "no face in the footage, so no face network")
            return None, 0
        learner = FaceLearner(self.preset, crops, self.computing, vgg=self.vgg)
        # A body that has been trained further needs its face trained again.
        of_this_body = identity | {BODY_OF_THE_FACE: f"{body.pictures_seen} pictures"}
        trainer = Trainer(
            learner,
            self.budgets.of_face(len(crops)),
            self.folder / _FACE_FILE,
            of_this_body,
            replaces=True,
            on_note=lambda note: self._note("face", note),
        )
        if not trainer.continued:
            self._start(learner, "face", body.started_from)
        trainer.run(lambda step: self._report_step("face", step), self.should_stop)
        return learner, trainer.steps

    def _start(self, learner: Learner, stage: str, body_source: str = "") -> None:
        """Gives a new learner the weights of the actor that was asked for. body_source: of a face's body."""
        settings = self.settings
        if not settings.start_from:
            return
        actor, where = settings.start_from, (settings.work_root, settings.store_root, partial(self._note, stage))
        of_body = stage == "body"
        weights = body_weights_of(actor, *where) if of_body else face_weights_of(actor, body_source, *where)
        if weights is None:
            self._note(stage, f"{actor} has no {stage} network, so this one begins anew")
            return
        start(learner, weights)
        self._note(stage, f"starts from {learner.started_from}")

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
            now = store.served(before.id)
            if now.version != before.version:
                if self.settings.publish_anyway and now.by_gate:
                    store.serve(before.id, gated(now, before.version))
                    self._note("published", f"version {before.version} is served from now on")
                else:
                    why = "" if now.by_gate else ", as somebody has said"
                    self._note("published", f"{_is_served(now.version)}{why}; `dance actors promote` serves this one")
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
        try:
            served = store.served(published.id).version
        except ActorUnusable as error:  # what was trained is published all the same
            self._note("published", f"new sessions are refused: {error}")
            return published
        what = _is_served(served)
        good_enough = gate["passed"] or self.settings.publish_anyway
        if good_enough and served != published.version:
            self._note("published", f"{what}, as somebody has said; `dance actors promote` serves the new one")
        if not gate["passed"]:
            reasons = "; ".join(gate["reasons"])
            way_out = "" if self.settings.publish_anyway else "; the same command with --publish-anyway serves it"
            self._note("published", f"{what}: {reasons}{way_out}")
        if gate["not_compared"]:
            self._note("published", f"not compared with the version that was served: {gate['not_compared']}")
        return published

    def _facts(
        self, prepared: PreparedFootage, body: BodyLearner, face: FaceLearner | None, state: str
    ) -> dict[str, Any]:
        footage = Footage.of(self.settings.footage)
        return {
            "footage": footage.title,
            "held_out_blocks": [[block.start, block.stop] for block in prepared.split().blocks],
            "footage_fingerprint": footage.fingerprint(),
            "footage_file_fingerprints": footage.file_fingerprints(),
            "footage_report": prepared.report,
            "coarse_pictures": body.coarse_pictures,
            "body_pictures": body.pictures_seen,
            "face_pictures": 0 if face is None else face.pictures_seen,
            "length": self.budgets.says,
            "losses": self.preset.losses,
            "adversarial": self.preset.adversarial,
            "feature_matching": self.preset.feature_matching,
            "perceptual": name_of(self.preset.perceptual),
            "pairs_per_step": self.settings.batch * self.ranks.count,
            "started_from": body.started_from,
            "face_started_from": "" if face is None else face.started_from,
            "put_back": body.coarse_restores + body.restores + (0 if face is None else face.restores),
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

    def _report_step(self, phase: str, step: Step) -> None:
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


def _is_served(version: int) -> str:
    return f"version {version} is served" if version else "no version is served"


def _unheard(progress: Progress) -> None:
    """What other ranks than the first say."""
