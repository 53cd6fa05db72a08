"""The quality gate: is a new version of an actor good enough to be the one that is served?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from serving.actors import Actor, ActorStore
from serving.errors import ActorNotFound, ActorUnusable
from training.acting import PublishedActor, seen_on
from training.data.prepare import PreparedFootage
from training.heldout import HeldOut

_SSIM_NOISE: Final = 0.005
_DISTANCE_NOISE: Final = 0.02
"""Two trainings of one recipe differ by as much: body SSIM, and pose distance in torso lengths."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a version may be served. reasons: what speaks against it.

    compared_with: the scores, on the same held-out frames, of the version that is served now; None without one.
    not_compared: why not, where there is one; else empty.
    """

    passed: bool
    reasons: list[str]
    compared_with: dict[str, Any] | None
    not_compared: str

    def to_dict(self) -> dict[str, Any]:
        """For an actor's scores."""
        return asdict(self)


def judged(scores: Mapping[str, Any], earlier: dict[str, Any] | None, not_compared: str = "") -> Verdict:
    """Judges the scores of a new version, as training stores them.

    It must beat the nearest training frame in the body's SSIM, and must not be worse than the served version by more
    than two trainings differ: in the body's SSIM by 0.005, in the pose distance by 0.02 torso lengths.
    earlier: "version", "held_out" and "pose_distance" of the served version; None where there is none.
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
    return Verdict(not reasons, reasons, earlier, not_compared)


def served_version_scored(
    store: ActorStore, actor_id: str, prepared: PreparedFootage, held_out: HeldOut
) -> tuple[dict[str, Any] | None, str]:
    """The scores of the served version on these held-out frames, and why there are none.

    None and "" where the actor has no version yet, or serves none.
    """
    try:
        if store.served(actor_id).version == 0:
            return None, ""
        actor = store.load(actor_id)
    except ActorNotFound:
        return None, ""
    except ActorUnusable as error:
        return None, str(error)
    if actor.frame_size != prepared.frame_size:
        return None, f"version {actor.version} was filmed at another size than this footage"
    try:
        runs = _drawn_by(actor, prepared, held_out)
    except ActorUnusable as error:
        return None, str(error)
    return {
        "version": actor.version,
        "held_out": held_out.scores(runs).to_dict(),
        "pose_distance": held_out.pose_scores(runs).to_dict(),
    }, ""


def _drawn_by(actor: Actor, prepared: PreparedFootage, held_out: HeldOut) -> list[list[Any]]:
    acting = PublishedActor(actor)
    runs = []
    for run in held_out.runs:
        poses = (pose for frame in held_out.each(run) if (pose := prepared.poses[frame]) is not None)
        runs.append(seen_on(acting.run(poses)[1], actor, prepared.stage))
    return runs
