"""Publish a version: export what was trained, check it, score it on held-out frames, and store it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from motion.labelmap import LABEL_MAP_VERSION
from motion.wardrobe.storage import write_wardrobe
from provenance.credentials.actor_pictures import ActorPictures
from services.face.network import ServedFace
from services.generator.network import Generator, ServedGenerator
from serving.actors.consent import ConsentRecord
from serving.actors.preview import shown_every
from serving.actors.rollout import gated
from serving.actors.store import (
    CROP_PLATE_FILE,
    FACE_FILE,
    GENERATOR_FILE,
    PLATE_FILE,
    PREVIEW_FILE,
    WARDROBE_FILE,
    Actor,
    ActorStore,
    WardrobeFacts,
)
from serving.errors import ActorUnusable
from serving.inference.engine import open_engine
from serving.process.atomic_files import write_picture, written_whole
from training.data.prepared_footage import PreparedFootage
from training.data.references import References
from training.evaluation.held_out_frames import HeldOut
from training.loop.face_learner import FaceLearner, new_face_network
from training.presets import Preset
from training.process.work_folder import full_disk_told
from training.publishing.export import check_export, export_face, export_generator
from training.publishing.moving_preview import preview_frames
from training.publishing.quality_gate import verdict_against_served

STEPS: Final = 9
"""The number of steps that `publish` reports."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What there is to publish.

    generator: with the weights to serve. face: None for an actor without a face network. references: for generators
    with a reference, whose wardrobe is published too. record: see `training_record`.
    """

    actor_id: str
    consent: ConsentRecord
    preset: Preset
    prepared: PreparedFootage
    held_out: HeldOut
    generator: Generator
    face: FaceLearner | None
    references: References | None
    record: dict[str, Any]


def publish(
    store: ActorStore,
    trained: Trained,
    folder: Path,
    pictures: ActorPictures,
    on_step: Callable[[int, int], None],
    note: Callable[[str], None],
    *,
    nothing_new: bool,
    serve_anyway: bool,
) -> Actor:
    """Export into `folder`, score, and publish the next version of the actor.

    The new version is served if it passes the quality gate (its scores say so under "gate"), or with `serve_anyway`.
    nothing_new: no step was taken now, so if this very training was published before, that version is returned.
    pictures: writes those that show the actor. on_step: called with the steps done and their number. note: called with
    what the user should know. Raises ExportBroken, DiskFull, CannotSign.
    """
    before = _published_before(store, trained) if nothing_new else None
    if before is None:
        published = _evaluated_and_published(store, trained, folder, pictures, on_step, serve_anyway)
        _note_gate(store, published, note, serve_anyway)
        return published
    keep_published(store, before, note, serve_anyway=serve_anyway)
    return before


def keep_published(store: ActorStore, actor: Actor, note: Callable[[str], None], *, serve_anyway: bool) -> None:
    """Report that this version is the last there is; with `serve_anyway`, serve it. Raises ActorUnusable."""
    note(f"nothing left to train: this is {actor.id} version {actor.version}")
    now = store.served(actor.id)
    if now.version == actor.version:
        return
    if serve_anyway and now.by_gate:
        store.serve(actor.id, gated(now, actor.version))
        note(f"version {actor.version} is served from now on")
    else:
        why = "" if now.by_gate else _CHOSEN
        note(f"{_is_served(now.version)}{why}; `dance actors promote` serves this one")


_CHOSEN: Final = ", as chosen by hand"


def _is_served(version: int) -> str:
    return f"version {version} is served" if version else "no version is served"


def _note_gate(store: ActorStore, published: Actor, note: Callable[[str], None], serve_anyway: bool) -> None:
    """Report what was published, what is served now, and why."""
    note(f"{published.id} version {published.version}")
    gate = published.scores["gate"]
    try:
        served = store.served(published.id).version
    except ActorUnusable as error:  # what was trained is published all the same
        note(f"new sessions are refused: {error}")
        return
    if (gate["passed"] or serve_anyway) and served != published.version:
        note(f"{_is_served(served)}{_CHOSEN}; `dance actors promote` serves the new one")
    if not gate["passed"]:
        way_out = "" if serve_anyway else f"; `dance actors promote {published.id}` serves version {published.version}"
        note(f"it did not pass the quality gate: {'; '.join(gate['reasons'])}. Now {_is_served(served)}{way_out}")
    if gate["not_compared"]:
        note(f"not compared with the version that was served: {gate['not_compared']}")


def _published_before(store: ActorStore, trained: Trained) -> Actor | None:
    """The newest version in the store that is exactly this training, as far as its record shows; None without one."""
    for version in reversed(store.versions(trained.actor_id)):
        try:
            actor = store.load(trained.actor_id, version)
        except ActorUnusable:
            continue
        same = all(
            actor.trained.get(name) == trained.record[name] for name in ("state", "body_pictures", "face_pictures")
        )
        if same and actor.consent == trained.consent:
            return actor
    return None


def _evaluated_and_published(
    store: ActorStore,
    trained: Trained,
    folder: Path,
    pictures: ActorPictures,
    on_step: Callable[[int, int], None],
    serve_anyway: bool,
) -> Actor:
    preset, prepared, held_out = trained.preset, trained.prepared, trained.held_out
    plate = prepared.crop_plate if preset.generator.plate else None
    files = {GENERATOR_FILE: folder / GENERATOR_FILE, PLATE_FILE: folder / PLATE_FILE}
    on_step(0, STEPS)
    generator = trained.generator
    export_generator(generator, plate, files[GENERATOR_FILE], preset.width_px, preset.height_px)
    write_picture(files[PLATE_FILE], prepared.plate)
    if prepared.filled_plate is not None:
        files[CROP_PLATE_FILE] = folder / CROP_PLATE_FILE
        write_picture(files[CROP_PLATE_FILE], prepared.filled_plate)
    draw = open_engine(files[GENERATOR_FILE], inputs=preset.generator.inputs)
    checked = held_out.frames[:2]
    inputs = [[prepared.labels[frame] for frame in checked], [prepared.pictures[frame] for frame in checked]]
    wardrobe = None
    if trained.references is not None:
        inputs.append([trained.references.draw(frame, prepared.crop_pose(frame)).picture for frame in checked])
        wardrobe = WardrobeFacts.of(trained.references.wardrobe)
        files[WARDROBE_FILE] = folder / WARDROBE_FILE
        write_wardrobe(files[WARDROBE_FILE], trained.references.wardrobe)
    check_export("generator", ServedGenerator(generator, plate), draw, list(zip(*inputs, strict=True)))
    on_step(1, STEPS)
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
    on_step(2, STEPS)
    unrefined = held_out.drawn(draw.run)
    on_step(3, STEPS)
    runs = unrefined if refine is None else held_out.refined(refine.run, unrefined)
    on_step(4, STEPS)
    scores: dict[str, Any] = {
        **held_out.quality(runs, held_out.posing(draw.run, None if refine is None else refine.run)),
    }
    scores["held_out_without_face_network"] = (
        scores["held_out"] if refine is None else held_out.scores(unrefined).to_dict()
    )
    on_step(5, STEPS)
    scores |= held_out.baselines
    on_step(6, STEPS)
    verdict = verdict_against_served(store, trained.actor_id, scores, prepared, held_out, trained.record)
    scores["gate"] = asdict(verdict) | {"served_anyway": serve_anyway and not verdict.passed}
    on_step(7, STEPS)
    shown = preview_frames(prepared)
    if len(shown) > 1:
        files[PREVIEW_FILE] = folder / PREVIEW_FILE
        rate = prepared.frame_rate_hz / shown_every(prepared.frame_rate_hz)
        pictures.write_preview(
            files[PREVIEW_FILE], held_out.acted(shown, draw.run, None if refine is None else refine.run), rate
        )
    on_step(8, STEPS)
    with written_whole(folder / "evaluation.json") as partial:
        partial.write_text(json.dumps(scores, indent=2) + "\n")
    pictures.write(folder / "preview.png", held_out.preview("as published", runs))
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
        trained=trained.record,
        scores=scores,
        consent=trained.consent,
        wardrobe=wardrobe,
    )
    with full_disk_told(store.root):
        published = store.publish(actor, files, serve=verdict.passed or serve_anyway)
    on_step(STEPS, STEPS)
    return published
