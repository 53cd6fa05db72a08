"""The end of a job: what was trained is exported, checked, scored on held-out frames, and put into the actor store."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from motion.labelmap import LABEL_MAP_VERSION
from services.face.network import ServedFace
from services.generator.network import ServedGenerator
from serving.actors.store import FACE_FILE, GENERATOR_FILE, PLATE_FILE, Actor, ActorStore
from serving.errors import ActorUnusable
from serving.inference.engine import open_engine
from serving.process.atomic_files import written_whole
from training.evaluation.held_out_frames import HeldOut
from training.loop.body_learner import BodyLearner, new_generator
from training.loop.face_learner import FaceLearner, new_face_network
from training.preparation.prepare import PreparedFootage
from training.presets import Preset
from training.process.atomic import write_picture
from training.process.disk import full_disk_told
from training.publishing.export import check_export, export_face, export_generator
from training.publishing.quality_gate import judged_for

STEPS: Final = 8
"""That `evaluated` reports."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What there is to publish. face: None for an actor without a face network. facts: to keep with the actor."""

    actor_id: str
    consent: str
    preset: Preset
    prepared: PreparedFootage
    held_out: HeldOut
    body: BodyLearner
    face: FaceLearner | None
    facts: dict[str, Any]


def published_before(store: ActorStore, trained: Trained) -> Actor | None:
    """The newest version in the store that is exactly this training, as far as its facts tell; None without one."""
    for version in reversed(store.versions(trained.actor_id)):
        try:
            actor = store.load(trained.actor_id, version)
        except ActorUnusable:
            continue
        same = all(
            actor.trained.get(name) == trained.facts[name] for name in ("state", "body_pictures", "face_pictures")
        )
        if same and actor.consent == trained.consent:
            return actor
    return None


def evaluated_and_published(
    store: ActorStore,
    trained: Trained,
    folder: Path,
    on_step: Callable[[int], None] = lambda done: None,
    *,
    serve_anyway: bool = False,
) -> Actor:
    """Exports into `folder`, scores, and publishes the next version of the actor.

    It becomes the served version where it passes the gate (its scores say so under "gate"), or with `serve_anyway`.
    on_step: told how many of `STEPS` are done. Raises ExportBroken, DiskFull.
    """
    preset, prepared, held_out = trained.preset, trained.prepared, trained.held_out
    plate = prepared.crop_plate if preset.generator.plate else None
    files = {GENERATOR_FILE: folder / GENERATOR_FILE, PLATE_FILE: folder / PLATE_FILE}
    on_step(0)
    generator = new_generator(preset.generator)
    # The layers of training are made for speed; the plain ones of the same weights are exported.
    generator.load_state_dict(trained.body.averaged.state_dict())
    export_generator(generator, plate, files[GENERATOR_FILE], preset.width_px, preset.height_px)
    write_picture(files[PLATE_FILE], prepared.plate)
    draw = open_engine(files[GENERATOR_FILE])
    pairs = [(prepared.labels[frame], prepared.pictures[frame]) for frame in held_out.frames[:2]]
    check_export("generator", ServedGenerator(generator, plate), draw, pairs)
    on_step(1)
    refine = None
    if trained.face is not None and preset.face is not None:
        files[FACE_FILE] = folder / FACE_FILE
        network = new_face_network(preset.face)
        network.load_state_dict(trained.face.averaged.state_dict())
        export_face(network, files[FACE_FILE], preset.face_rule.crop_px)
        refine = open_engine(files[FACE_FILE])
        check_export(
            "face network", ServedFace(network), refine, [(crop.label, crop.drawn) for crop in trained.face.crops[:2]]
        )
    on_step(2)
    unrefined = held_out.drawn(draw.run)
    on_step(3)
    runs = unrefined if refine is None else held_out.refined(refine.run, unrefined)
    on_step(4)
    scores: dict[str, Any] = {
        "held_out": held_out.scores(runs).to_dict(),
        "held_out_without_face_network": held_out.scores(unrefined).to_dict(),
        "pose_distance": held_out.pose_scores(runs).to_dict(),
    }
    on_step(5)
    scores |= held_out.baselines()
    on_step(6)
    verdict = judged_for(store, trained.actor_id, scores, prepared, held_out, trained.facts)
    scores["gate"] = verdict.to_dict() | {"served_anyway": serve_anyway and not verdict.passed}
    on_step(7)
    with written_whole(folder / "evaluation.json") as partial:
        partial.write_text(json.dumps(scores, indent=2) + "\n")
    write_picture(folder / "preview.png", held_out.preview("as published", runs))
    actor = Actor(
        id=trained.actor_id,
        version=0,
        folder=folder,
        label_map_version=LABEL_MAP_VERSION,
        crop=prepared.crop,
        frame_size=prepared.frame_size,
        frame_rate_hz=prepared.frame_rate_hz,
        body=prepared.body,
        face_rule=preset.face_rule,
        generator=preset.generator,
        face=preset.face if trained.face is not None else None,
        preset=preset.name,
        trained=trained.facts,
        scores=scores,
        consent=trained.consent,
    )
    with full_disk_told(store.root):
        published = store.publish(actor, files, serve=verdict.passed or serve_anyway)
    on_step(STEPS)
    return published
