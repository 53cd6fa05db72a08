"""The quality gate: is a new version of an actor good enough to be the one that is served?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from serving.actors.store import Actor, ActorStore
from serving.errors import ActorNotFound, ActorUnusable
from training.data.prepared_footage import PreparedFootage
from training.evaluation.actor_runner import PublishedActor, seen_on
from training.evaluation.held_out_frames import HeldOut

_SSIM_NOISE: Final = 0.005
_DISTANCE_NOISE: Final = 0.02
"""Two trainings of one recipe differ by this much in body SSIM, and in pose distance in torso lengths."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a version may be served. reasons: why not.

    compared_with: the scores of the served version on the same held-out frames; None if there is none.
    not_compared: why the served version was not compared, else empty. A new version that may be worse does not pass,
    unless the served one cannot be used at all.
    """

    passed: bool
    reasons: list[str]
    compared_with: dict[str, Any] | None
    not_compared: str


def verdict_on(
    scores: Mapping[str, Any], earlier: dict[str, Any] | None, not_compared: str = "", *, usable: bool = True
) -> Verdict:
    """The verdict on the scores of a new version, as training stores them.

    The version must beat the nearest training frame in body SSIM. It must not be worse than the served version by more
    than two trainings of one recipe differ: 0.005 in body SSIM, 0.02 torso lengths in pose distance.
    earlier: "version", "held_out" and "pose_distance" of the served version; None if there is none, or if it was not
    compared for the reason `not_compared`. usable: whether the served version can draw at all.
    """
    reasons = []
    ssim, nearest = scores["held_out"]["body_ssim"], scores["nearest_training_frame"]["body_ssim"]
    if ssim <= nearest:
        reasons.append(f"body SSIM {ssim:.3f} is no better than the nearest training frame's {nearest:.3f}")
    if earlier is not None:
        before = earlier["held_out"]["body_ssim"]
        if ssim < before - _SSIM_NOISE:
            reasons.append(f"body SSIM {ssim:.3f} is worse than version {earlier['version']}'s {before:.3f}")
        distance, distance_before = scores["pose_distance"]["distance"], earlier["pose_distance"]["distance"]
        if distance_before is not None and (distance is None or distance > distance_before + _DISTANCE_NOISE):
            shown = "not measurable" if distance is None else f"{distance:.3f}"
            reasons.append(f"pose distance {shown}, version {earlier['version']} has {distance_before:.3f}")
    if not_compared and usable:
        reasons.append("it is unknown whether it is worse than the served version")
    return Verdict(not reasons, reasons, earlier, not_compared)


def verdict_against_served(
    store: ActorStore,
    actor_id: str,
    scores: Mapping[str, Any],
    prepared: PreparedFootage,
    held_out: HeldOut,
    record: Mapping[str, Any],
) -> Verdict:
    """Compare a new version with the one that is served now, drawn on the new version's held-out frames.

    record: the training record of the new version.
    """
    try:
        if store.served(actor_id).version == 0:
            return verdict_on(scores, None)
        actor = store.load(actor_id)
        not_compared = _why_not(actor, prepared, record)
        if not_compared:
            return verdict_on(scores, None, not_compared)
        runs = _drawn_by(actor, prepared, held_out)
    except ActorNotFound:
        return verdict_on(scores, None)
    except ActorUnusable as error:
        return verdict_on(scores, None, str(error), usable=False)
    earlier = {
        "version": actor.version,
        "held_out": held_out.scores(runs).to_dict(),
        "pose_distance": held_out.pose_scores(runs).to_dict(),
    }
    return verdict_on(scores, earlier)


def _why_not(actor: Actor, prepared: PreparedFootage, record: Mapping[str, Any]) -> str:
    """Why the served version cannot be compared on these frames; empty if it can."""
    version = f"version {actor.version}"
    if actor.frame_size != prepared.frame_size:
        return f"{version} was filmed at another size than this footage"
    before = actor.trained
    if before.get("footage_fingerprint") == record["footage_fingerprint"]:
        return ""  # the same split, so neither version has learned them
    learned = f"{version} may have learned these held-out frames"
    if "footage_file_fingerprints" not in before:
        return f"{learned}: its record does not identify its files by their content"
    if not set(before["footage_file_fingerprints"]).isdisjoint(record["footage_file_fingerprints"]):
        return f"{learned}: it was trained on some of these files with another split"
    return ""


def _drawn_by(actor: Actor, prepared: PreparedFootage, held_out: HeldOut) -> list[list[Any]]:
    acting = PublishedActor(actor)
    runs = []
    for run in held_out.runs:
        poses = (pose for frame in held_out.each(run) if (pose := prepared.poses[frame]) is not None)
        runs.append(seen_on(acting.run(poses)[1], actor, prepared.crop))
    return runs
