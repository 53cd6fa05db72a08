"""The versions of one training: a first one before the training, better ones while it goes on, and the last."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from provenance.credentials.actor_pictures import ActorPictures
from services.generator.network import CopyGenerator, Generator
from serving.actors.store import Actor, ActorStore
from serving.errors import ActorUnusable
from training.data.prepared_footage import PreparedFootage
from training.data.references import References
from training.evaluation.held_out_frames import HeldOut
from training.loop.body_learner import BodyLearner, new_generator
from training.loop.face_learner import FaceLearner
from training.presets import Preset
from training.publishing.publish import Trained, keep_published, publish
from training.publishing.training_record import training_record
from training.settings import JobSettings

_FIRST_MARKS: Final = (300, 700, 1500)
"""After so many pictures a better version is published; later ones after twice as many each time."""
_NEARLY_DONE: Final = 0.8
"""From this progress of the body's training on, the next version is the last."""


@dataclass(kw_only=True)
class Versions:
    """Publishes the versions of one training into the actor store; only rank 0 has one.

    length: the budget in words. state: the fingerprint of the training's identity. on_step: called with the steps done
    and their number. note: called with what the user should know. began: `time.monotonic()` at the job's start.
    """

    settings: JobSettings
    preset: Preset
    length: str
    state: str
    prepared: PreparedFootage
    references: References | None
    held_out: HeldOut
    pictures: ActorPictures
    on_step: Callable[[int, int], None]
    note: Callable[[str], None]
    began: float
    _published_pictures: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        pictures = [actor.trained.get("body_pictures", 0) for actor in self._of_this_training()]
        self._published_pictures = max(pictures, default=-1)

    @property
    def folder(self) -> Path:
        """Where networks are exported to."""
        return self.settings.work_folder

    def first(self) -> Actor | None:
        """Publish the bare warp, unless a version of this training exists. Returns the newest; None without a wardrobe.

        The network of a bare warp returns the reference over the plate, so the actor dances before any training. After
        trained versions with another consent, only a job of 0 minutes publishes it: a longer one states the new consent
        with its next version.
        """
        if self.references is None:
            return None
        found = self._of_this_training()
        agreed = [actor for actor in found if actor.consent == self.settings.consent_record]
        if self.settings.minutes == 0 and agreed:
            anyway = self.settings.publish_anyway
            keep_published(ActorStore(self.settings.store_root), agreed[0], self.note, serve_anyway=anyway)
        if agreed:
            return agreed[0]
        if self.settings.minutes != 0 and self._published_pictures > 0:
            return found[0]
        generator = new_generator(self.preset.generator)
        assert isinstance(generator, CopyGenerator)
        generator.copy_only()
        published = self._publish(generator, None, None)
        self._published_pictures = 0
        self.note(
            f"version {published.version}, {time.monotonic() - self.began:.0f} s after the start; "
            "it shows the actor's own limbs, before any training"
        )
        return published

    def is_due(self, pictures: int, progress: float) -> bool:
        """Whether a better version should be published after so many pictures, at this progress of the body."""
        if self.references is None or progress >= _NEARLY_DONE:
            return False
        return pictures >= next_mark(self._published_pictures)

    def better(self, body: BodyLearner) -> Actor:
        """Publish the body as it is now, without a face network."""
        self._published_pictures = body.pictures_seen
        return self._publish(self._plain(body), body, None)

    def last(self, body: BodyLearner, face: FaceLearner | None, *, nothing_new: bool) -> Actor:
        """Publish the finished networks. nothing_new: see `publish`."""
        return self._publish(self._plain(body), body, face, nothing_new=nothing_new)

    def _publish(
        self, generator: Generator, body: BodyLearner | None, face: FaceLearner | None, *, nothing_new: bool = False
    ) -> Actor:
        settings = self.settings
        trained = Trained(
            actor_id=settings.actor,
            consent=settings.consent_record,
            preset=self.preset,
            prepared=self.prepared,
            held_out=self.held_out,
            generator=generator,
            face=face,
            references=self.references,
            record=training_record(settings, self.preset, self.length, self.prepared, body, face, self.state),
        )
        return publish(
            ActorStore(settings.store_root),
            trained,
            self.folder,
            self.pictures,
            self.on_step,
            self.note,
            nothing_new=nothing_new,
            serve_anyway=settings.publish_anyway,
        )

    def _plain(self, body: BodyLearner) -> Generator:
        """The averaged generator in plain layers, which are exported; training uses faster ones of the same weights."""
        generator = new_generator(self.preset.generator)
        generator.load_state_dict(body.averaged.state_dict())
        return generator

    def _of_this_training(self) -> list[Actor]:
        """The versions in the store that this training published, with any consent, as far as their records show.

        The newest comes first.
        """
        store, found = ActorStore(self.settings.store_root), []
        for version in reversed(store.versions(self.settings.actor)):
            try:
                actor = store.load(self.settings.actor, version)
            except ActorUnusable:
                continue
            if actor.trained.get("state") == self.state:
                found.append(actor)
        return found


def next_mark(pictures: int) -> int:
    """The number of pictures after which the version after one of `pictures` is due."""
    mark = next((mark for mark in _FIRST_MARKS if mark > pictures), _FIRST_MARKS[-1])
    while mark <= pictures:
        mark *= 2
    return mark
