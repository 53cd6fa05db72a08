"""The training job: turns footage of a person into a published actor, in phases, and can be resumed.

1. prepare: poses, masks, body, crop, plate, label maps (kept, and not part of the training budget)
2. wardrobe: the actor's limbs, and a first version that shows them alone, for presets with a reference
3. coarse: the generator inside a local enhancer, at half size, for presets that have one
4. body: the generator, on pairs of frames; presets with a reference publish better versions meanwhile
5. face: the face network, on what the finished body draws
6. evaluate: the exported networks on held-out frames, against the baselines
7. publish: into the actor store

The same call resumes a job that was stopped or killed; called with a larger budget after its end, it trains further.
Started by torchrun, several processes train together; rank 0 writes and reports for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from provenance.credentials.actor_pictures import ActorPictures
from provenance.user_folder import own_credentials
from serving.actors.store import Actor, ActorStore
from serving.errors import BadInput
from training.checkpoints.identity import (
    BODY_OF_THE_FACE,
    fingerprint,
    of_the_body,
    padding_of,
    recipe_identity,
    refuse_another,
)
from training.checkpoints.store import Checkpoints
from training.data.pairs import Pairs
from training.data.prepared_footage import PreparedFootage, load_prepared, preparation_name
from training.data.references import References
from training.evaluation.held_out_frames import HeldOut
from training.loop.body_learner import BodyLearner
from training.loop.budgets import Budgets
from training.loop.checkpoint_space import state_checkpoint_space
from training.loop.face_crops import cut_faces, stored_crops
from training.loop.face_learner import FaceLearner
from training.loop.finetune import body_weights_of, checked_start, face_weights_of, start
from training.loop.learner import Computing, Learner
from training.loop.trainer import Budget, Step, Trainer, TrainingStopped
from training.networks.cpu_layers import accelerate
from training.networks.recurrent_drawing import Draw
from training.networks.vgg import name_of, perceptual_network
from training.preset_setup import computable, drawing_for, pairs_for, prepared_for, references_for, settle
from training.presets import coarse_stage, with_padding
from training.process.distributed import ALONE, Ranks, joined
from training.process.work_folder import check_writable, full_disk_told, locked
from training.publishing.versions import Versions
from training.reporting import metrics
from training.reporting.held_out_scores import HeldOutScores
from training.reporting.progress import OnProgress, PhaseClock, Progress
from training.settings import JobSettings

__all__ = ["JobSettings", "Progress", "train_actor"]

_CROPS_FILE: Final = "faces.npy"


def train_actor(
    settings: JobSettings,
    on_progress: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Actor:
    """Run the job to its end and return the published actor.

    If the budget is used up and there is nothing new to publish, returns the version published before. Started by
    torchrun, every process calls this; `on_progress` is called at rank 0 only.

    Raises TrainingStopped as soon as `should_stop` returns true (the same call resumes), UnreadableVideo for footage
    that cannot be read, NoConsent if the consent was revoked or has ended, NoBody if the footage shows no whole body or
    too little of it, BadInput if the work folder holds another training or VGG19's weights are needed and cannot be
    had, WorkFolderBusy if another training is running in it, TrainingDiverged, BadSettings if the port in
    `TRAINING_METRICS_PORT` is in use, and DiskFull.
    """
    with (
        joined(settings.device) as ranks,
        metrics.served(on_progress if ranks.is_first else lambda progress: None) as report,
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
        self.pictures: ActorPictures | None = None
        """How the first process writes pictures; the others write none."""
        self.vgg: nn.Module | None = None
        self._clock = PhaseClock()
        self._began = time.monotonic()

    def run(self) -> Actor:
        if not self.ranks.is_first:
            return self._run()
        ActorStore(self.settings.store_root).check_new_consent(self.settings.actor, self.settings.consent_record)
        check_writable(self.settings.store_root / self.settings.actor, "--actors")
        self.pictures = self._signed_pictures()
        with locked(self.settings.work_root):
            return self._run()

    def _signed_pictures(self) -> ActorPictures:
        settings, note = self.settings, partial(self._note, "starting")
        credentials = own_credentials(settings.certificate, settings.certificate_key, note)
        return ActorPictures(credentials, settings.actor, consent_sha256=settings.consent_record.sha256())

    def _run(self) -> Actor:
        settings = self.settings
        settle(settings.device)
        if self.preset.precision != self.asked.precision:
            self._note("starting", "this CPU does not compute bf16, so training uses float32, which takes longer")
        # The identity is that of the recipe as requested, not as computed, so another machine can resume the job.
        identity = self._identity()
        self.vgg = self.ranks.first_first(self._perceptual_network)
        prepared = self._prepared()
        if self.ranks.is_first:
            coarse = self._checkpoint("coarse") if self.budgets.coarse else None
            files = (self._checkpoint("body"), self._checkpoint("face"), coarse)
            self._note("starting", state_checkpoint_space(self.preset, *files))
        identity["stage"] = prepared.folder.name
        split = prepared.split()
        cutting = partial(self._report_count, "cutting limbs")
        references = self.ranks.first_first(partial(references_for, self.preset, prepared, split, cutting))
        pairs = pairs_for(self.preset, prepared, split, settings.seed, references)
        held_out = HeldOut(prepared, split, self.preset, self._stop_if_asked, references)
        versions = self._versions(prepared, references, held_out, identity) if self.ranks.is_first else None
        first = self.ranks.told_by_first(None if versions is None else versions.first())
        if settings.minutes == 0:
            assert first is not None
            return first
        body, body_steps = self._train_body(prepared, pairs, held_out, versions, identity)
        face, face_steps = None, 0
        if self.preset.face is not None:
            face, face_steps = self._train_face(prepared, pairs, body, references, identity)
        published = None
        if versions is not None:
            published = versions.last(body, face, nothing_new=body_steps + face_steps == 0)
        actor = self.ranks.told_by_first(published)
        assert actor is not None
        if self.ranks.is_first:
            (self.folder / _CROPS_FILE).unlink(missing_ok=True)
        return actor

    def _versions(
        self, prepared: PreparedFootage, references: References | None, held_out: HeldOut, identity: dict[str, str]
    ) -> Versions:
        assert self.pictures is not None
        return Versions(
            settings=self.settings,
            preset=self.preset,
            length=self.budgets.text,
            state=fingerprint(identity),
            prepared=prepared,
            references=references,
            held_out=held_out,
            pictures=self.pictures,
            on_step=partial(self._report_count, "evaluating"),
            note=partial(self._note, "published"),
            began=self._began,
        )

    def _identity(self) -> dict[str, str]:
        """The identity of this training, with the padding of the networks that it resumes or starts from.

        Raises an error that forbids resuming or starting before minutes are spent on preparation.
        """
        settings = self.settings
        there = [Checkpoints(self._checkpoint(phase)).identity() for phase in ("coarse", "body")]
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
                f"convolutions that halve the size are padded by {padding}, as in the training of these weights; "
                f"preset {self.asked.name} pads them by {todays} today",
            )
        return identity

    def _perceptual_network(self) -> nn.Module | None:
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
        """Rank 0 prepares; the others read what it left, and write nothing."""
        prepared = self._prepare() if self.ranks.is_first else None
        where = self.ranks.told_by_first(None if prepared is None else (prepared.folder.parent, prepared.crop))
        assert where is not None
        return load_prepared(*where) if prepared is None else prepared

    def _prepare(self) -> PreparedFootage:
        note = partial(self._note, "prepared")
        prepared = prepared_for(
            self.preset,
            self.settings.footage,
            self.settings.work_root / "footage",
            self._report_count,
            anyway=self.settings.footage_anyway,
            say=note,
        )
        facts = prepared.report
        note(f"a person in {facts['frames_with_a_person']} of {facts['frames']} frames")
        if facts["frames_lost"]:
            note(f"{facts['frames_lost']} frames of the footage could not be decoded")
        if facts["frames_with_either"]:
            note(
                f"in {facts['frames_with_either']} frames something beside the person differs from the plate "
                f"(a prop in {facts['frames_with_props']}, a shadow in {facts['frames_with_shadows']})"
                + ("; training sees the plate there" if self.preset.targets != "filmed" else "")
            )
        return prepared

    def _checkpoint(self, phase: str) -> Path:
        return self.folder / f"{phase}.pt"

    def _trainer(
        self, phase: str, learner: Learner, budget: Budget, identity: dict[str, str], **options: Any
    ) -> Trainer:
        note = partial(self._note, phase)
        return Trainer(learner, budget, self._checkpoint(phase), identity, on_note=note, **options)

    def _train_coarse(self, pairs: Pairs, identity: dict[str, str]) -> BodyLearner:
        """Train the global generator that a local enhancer starts from, by itself."""
        learner = BodyLearner(coarse_stage(self.preset), pairs, self.computing, vgg=self.vgg, half_size=True)
        budget = self.budgets.of_coarse(len(pairs.first_frames))
        trainer = self._trainer("coarse", learner, budget, identity, concern=of_the_body)
        trainer.run(partial(self._report_step, "coarse"), self.should_stop)
        return learner

    def _train_body(
        self,
        prepared: PreparedFootage,
        pairs: Pairs,
        held_out: HeldOut,
        versions: Versions | None,
        identity: dict[str, str],
    ) -> tuple[BodyLearner, int]:
        """The trained body, and the number of steps taken now."""
        learner = BodyLearner(self.preset, pairs, self.computing, vgg=self.vgg)
        budget = self.budgets.of_body(len(pairs.first_frames))
        trainer = self._trainer("body", learner, budget, identity, concern=of_the_body)
        if not trainer.continued:
            if self.budgets.coarse:
                learner.warm_start(self._train_coarse(pairs, identity))
            self._start(learner, "body")
        resumed_at = trainer.seconds if trainer.continued else None
        scores = None
        if self.pictures is not None:
            scores = HeldOutScores(self.folder, self.pictures.write, held_out, learner.pictures_seen, resumed_at)

        def on_step(step: Step) -> None:
            self._report_step("body", step)
            if scores is not None and scores.is_due(step.seconds, step.progress):
                with suppress(TrainingStopped):  # the trainer sees the stop next, and writes its checkpoint
                    draw = self._drawing(prepared, learner)
                    note = scores.add(step.seconds, step.pictures_seen, draw, trainer.curves)
                    self.report(Progress(phase="body", part=step.progress, note=note))
            if versions is not None and versions.is_due(step.pictures_seen, step.progress):
                with suppress(TrainingStopped):
                    versions.better(learner)

        trainer.run(on_step, self.should_stop)
        return learner, trainer.steps

    def _train_face(
        self,
        prepared: PreparedFootage,
        pairs: Pairs,
        body: BodyLearner,
        references: References | None,
        identity: dict[str, str],
    ) -> tuple[FaceLearner | None, int]:
        """The trained face network, None if the footage shows no face, and the number of steps taken now."""
        path, crops = self.folder / _CROPS_FILE, None
        if self.ranks.is_first:
            draw, on_run = self._drawing(prepared, body), partial(self._report_count, "drawing faces")
            check = self._stop_if_asked
            crops = cut_faces(prepared, pairs, draw, self.preset, path, on_run, check=check, references=references)
        if not self.ranks.told_by_first(None if crops is None else len(crops)):
            self._note("face", "the footage shows no face, so there is no face network")
            return None, 0
        crops = stored_crops(path) if crops is None else crops
        learner = FaceLearner(self.preset, crops, self.computing, vgg=self.vgg)
        # A body that was trained further needs a new face.
        of_this_body = identity | {BODY_OF_THE_FACE: f"{body.pictures_seen} pictures"}
        trainer = self._trainer("face", learner, self.budgets.of_face(len(crops)), of_this_body, replaces=True)
        if not trainer.continued:
            self._start(learner, "face", body.started_from)
        trainer.run(partial(self._report_step, "face"), self.should_stop)
        return learner, trainer.steps

    def _start(self, learner: Learner, phase: str, body_source: str = "") -> None:
        """Give a new learner the weights of the actor in `start_from`. body_source: the source of a face's body."""
        settings = self.settings
        if not settings.start_from:
            return
        actor, where = settings.start_from, (settings.work_root, settings.store_root, partial(self._note, phase))
        of_body = phase == "body"
        weights = body_weights_of(actor, *where) if of_body else face_weights_of(actor, body_source, *where)
        if weights is None:
            self._note(phase, f"{actor} has no {phase} network, so this one starts from random weights")
            return
        start(learner, weights)
        self._note(phase, f"starts from {learner.started_from}")

    def _drawing(self, prepared: PreparedFootage, body: BodyLearner) -> Draw:
        return drawing_for(self.preset, prepared, body.averaged, self.settings.device)

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
