"""The quality gate: is a new version of an actor good enough to be the one that is served?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from serving.actors.store import Actor, ActorStore
from serving.errors import ActorNotFound, ActorUnusable
from training.evaluation.actor_runner import PublishedActor, seen_on
from training.evaluation.held_out_frames import HeldOut
from training.preparation.prepare import PreparedFootage

_SSIM_NOISE: Final = 0.005
_DISTANCE_NOISE: Final = 0.02
"""Two trainings of one recipe differ by as much: body SSIM, and pose distance in torso lengths."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a version may be served. reasons: what speaks against it.

    compared_with: the scores, on the same held-out frames, of the version that is served now; None without one.
    not_compared: why not, where there is one; else empty. Then whether the new one is worse is not known, so it does
    not pass, unless the served one cannot be used at all.
    """

    passed: bool
    reasons: list[str]
    compared_with: dict[str, Any] | None
    not_compared: str

    def to_dict(self) -> dict[str, Any]:
        """For an actor's scores."""
        return asdict(self)


def judged(
    scores: Mapping[str, Any], earlier: dict[str, Any] | None, not_compared: str = "", *, usable: bool = True
) -> Verdict:
    """Judges the scores of a new version, as training stores them.

    It must beat the nearest training frame in the body's SSIM, and must not be worse than the served version by more
    than two trainings differ: in the body's SSIM by 0.005, in the pose distance by 0.02 torso lengths.
    earlier: "version", "held_out" and "pose_distance" of the served version; None where there is none, or where it was
    not compared, with the reason. usable: whether that one draws at all.
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
        reasons.append("whether it is worse than the version that is served is not known")
    return Verdict(not reasons, reasons, earlier, not_compared)


def judged_for(
    store: ActorStore,
    actor_id: str,
    scores: Mapping[str, Any],
    prepared: PreparedFootage,
    held_out: HeldOut,
    facts: Mapping[str, Any],
) -> Verdict:
    """Judges a new version against the one that is served now, drawn on the new one's held-out frames.

    facts: the training record of the new one.
    """
    try:
        if store.served(actor_id).version == 0:
            return judged(scores, None)
        actor = store.load(actor_id)
        not_compared = _why_not(actor, prepared, facts)
        if not_compared:
            return judged(scores, None, not_compared)
        runs = _drawn_by(actor, prepared, held_out)
    except ActorNotFound:
        return judged(scores, None)
    except ActorUnusable as error:
        return judged(scores, None, str(error), usable=False)
    earlier = {
        "version": actor.version,
        "held_out": held_out.scores(runs).to_dict(),
        "pose_distance": held_out.pose_scores(runs).to_dict(),
    }
    return judged(scores, earlier)


def _why_not(actor: Actor, prepared: PreparedFootage, facts: Mapping[str, Any]) -> str:
    """Why scores on these frames would say nothing of a served version; empty where they do."""
    version = f"version {actor.version}"
    if actor.frame_size != prepared.frame_size:
        return f"{version} was filmed at another size than this footage"
    before = actor.trained
    if before.get("footage_fingerprint") == facts["footage_fingerprint"]:
        return ""  # split alike, so neither has learned them
    if "footage_file_fingerprints" not in before:
        return f"{version} may have learned these held-out frames: its record does not name its files by their content"
    if not set(before["footage_file_fingerprints"]).isdisjoint(facts["footage_file_fingerprints"]):
        return (
            f"{version} may have learned these held-out frames: it was trained on some of these files, split otherwise"
        )
    return ""


def _drawn_by(actor: Actor, prepared: PreparedFootage, held_out: HeldOut) -> list[list[Any]]:
    acting = PublishedActor(actor)
    runs = []
    for run in held_out.runs:
        poses = (pose for frame in held_out.each(run) if (pose := prepared.poses[frame]) is not None)
        runs.append(seen_on(acting.run(poses)[1], actor, prepared.crop))
    return runs
