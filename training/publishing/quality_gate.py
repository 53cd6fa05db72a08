"""The quality gate: is a new version of an actor good enough to be the one that is served?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from motion.frame import Picture
from motion.pose import Pose
from serving.actors.store import Actor, ActorStore
from serving.errors import ActorNotFound, ActorUnusable
from training.data.prepared_footage import PreparedFootage
from training.evaluation.actor_runner import PublishedActor, seen_on
from training.evaluation.held_out_frames import HeldOut

_SHARPNESS: Final = (0.85, 1.15)
"""Sharpness in this range passes. Below it the person is visibly soft; above it, seams and noise are drawn."""
_SHARPNESS_NOISE: Final = 0.03
_FACE_NOISE: Final = 0.02
"""Two trainings of one recipe differ by this much in sharpness and in face SSIM."""
_DISTANCE_NOISE: Final = 0.02
_UNSEEN_NOISE: Final = 0.03
"""The same for pose distances, in torso lengths: on held-out frames, and on the fewer made-up poses."""
_MISSED_NOISE: Final = 0.04
"""The same for the share of joints that the detector misses."""
_FACE_MISSED_NOISE: Final = 0.1
"""The same for the share of the face's points that the detector misses: it finds all of a face or none."""
_FLICKER: Final = 1.3
_FLICKER_NOISE: Final = 0.15
"""Flicker up to this ratio to the real frames' own passes, and differences up to this one do not count."""
_FEWEST_FOUND: Final = 0.5
"""The detector must find a person in this share of the held-out frames in which it finds the real one."""


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
    scores: Mapping[str, Any],
    earlier: dict[str, Any] | None,
    not_compared: str = "",
    *,
    usable: bool = True,
    same_training: bool = False,
) -> Verdict:
    """The verdict on the scores of a new version, as `HeldOut.quality` measures them.

    The detector must find the person in the drawn frames. Beside a served version, the new one must not move limbs
    farther from the requested pose, lose more joints, or grow second heads; and it must not be blurred, lose the face
    or flicker, unless the served version does so as much. Differences within the noise between two trainings do not
    count.

    SSIM rewards blur, so body SSIM decides nothing. Blur also improves face SSIM and flicker, so these are compared
    only if the served version is not more blurred than the new one.

    earlier: "version" and the scores of the served version; None if there is none, or if it was not compared for the
    reason `not_compared`. usable: whether the served version can draw at all. same_training: the served version is an
    earlier one of the same training, so a further loss of sharpness is no noise between two trainings: it would add up
    from version to version.
    """
    reasons = []
    found, in_film = (_value(scores, key, "frames_with_a_pose") for key in ("pose_distance", "pose_distance_floor"))
    if found is not None and in_film is not None and found < _FEWEST_FOUND * in_film:
        reasons.append(f"the detector finds a person in {found} drawn held-out frames, in {in_film} of the film's own")
    if earlier is not None:
        reasons += _worse(scores, earlier, same_training)
    if not_compared and usable:
        reasons.append("it is unknown whether it is worse than the served version")
    return Verdict(not reasons, reasons, earlier, not_compared)


def _worse(new: Mapping[str, Any], served: Mapping[str, Any], same_training: bool) -> list[str]:
    """In what a new version is worse than the served one, in words."""
    version = f"version {served['version']}"
    reasons = []
    for key, name, noise in (
        ("pose_distance", "the pose distance", _DISTANCE_NOISE),
        ("unseen_poses", "the pose distance in poses that the footage lacks", _UNSEEN_NOISE),
    ):
        distance, before = (_value(scores, key, "distance") for scores in (new, served))
        if before is not None and (distance is None or distance > before + noise):
            shown = "cannot be measured" if distance is None else f"is {distance:.3f} torso lengths"
            reasons.append(f"limbs are away from the requested pose: {name} {shown}, {version} has {before:.3f}")
        missed, missed_before = (_value(scores, key, "missed") for scores in (new, served))
        if missed is not None and missed_before is not None and missed > missed_before + _MISSED_NOISE:
            where = " in poses that the footage lacks" if key == "unseen_poses" else ""
            reasons.append(
                f"limbs are lost: the detector misses {missed:.0%} of the joints{where}, {version} {missed_before:.0%}"
            )
    heads, heads_before = (_value(scores, "unseen_poses", "second_heads") for scores in (new, served))
    if heads is not None and heads_before is not None and heads > heads_before:
        reasons.append(f"a second head in {heads} of the poses that the footage lacks, {version} in {heads_before}")
    no_face, no_face_before = (_value(scores, "pose_distance", "face_missed") for scores in (new, served))
    if no_face is not None and no_face_before is not None and no_face > no_face_before + _FACE_MISSED_NOISE:
        reasons.append(
            f"the face is lost: the detector misses {no_face:.0%} of its points, {version} {no_face_before:.0%}"
        )
    sharp, sharp_before = (_value(scores, "held_out", "sharpness") for scores in (new, served))
    if sharp is not None and sharp_before is not None:
        outside_before = _out_of_range(sharp_before)
        most = max(outside_before, _SHARPNESS_NOISE) if same_training else outside_before + _SHARPNESS_NOISE
        if _out_of_range(sharp) > most:
            how = "blurred" if sharp < _SHARPNESS[0] else "noisier than the film"
            low, high = _SHARPNESS
            reasons.append(
                f"it is {how}: sharpness {sharp:.2f} of the real frames', expected {low} to {high}; "
                f"{version} has {sharp_before:.2f}"
            )
        if sharp_before < _SHARPNESS[0] and sharp > sharp_before + _SHARPNESS_NOISE:
            return reasons  # the served version's face and calm are those of a blurred picture
    face, face_before = (_value(scores, "held_out", "face_ssim") for scores in (new, served))
    if face is not None and face_before is not None and face < face_before - _FACE_NOISE:
        reasons.append(f"the face is less like the real one: face SSIM {face:.3f}, {version} has {face_before:.3f}")
    flicker, flicker_before = (_value(scores, "flicker", "ratio") for scores in (new, served))
    if None not in (flicker, flicker_before) and flicker > max(_FLICKER, flicker_before) + _FLICKER_NOISE:
        reasons.append(f"it flickers: {flicker:.2f} times the real frames' own, {version} {flicker_before:.2f} times")
    return reasons


def _value(scores: Mapping[str, Any], group: str, name: str) -> Any:
    """A score, or None: earlier records and footage without faces lack some."""
    return (scores.get(group) or {}).get(name)


def _out_of_range(sharpness: float) -> float:
    low, high = _SHARPNESS
    return max(0.0, low - sharpness, sharpness - high)


def verdict_against_served(
    store: ActorStore,
    actor_id: str,
    scores: Mapping[str, Any],
    prepared: PreparedFootage,
    held_out: HeldOut,
    record: Mapping[str, Any],
) -> Verdict:
    """Compare a new version with the one that is served now, drawn on the new version's held-out frames and poses.

    record: the training record of the new version.
    """
    try:
        if store.served(actor_id).version == 0:
            return verdict_on(scores, None)
        actor = store.load(actor_id)
        not_compared = _why_not(actor, prepared, record)
        if not_compared:
            return verdict_on(scores, None, not_compared)
        same = actor.trained.get("footage_fingerprint") == record.get("footage_fingerprint")
        earlier = _scores_of(actor, prepared, held_out, same_footage=same)
        same_training = "state" in record and actor.trained.get("state") == record["state"]
    except ActorNotFound:
        return verdict_on(scores, None)
    except ActorUnusable as error:
        return verdict_on(scores, None, str(error), usable=False)
    return verdict_on(scores, {"version": actor.version} | earlier, same_training=same_training)


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


def _scores_of(actor: Actor, prepared: PreparedFootage, held_out: HeldOut, *, same_footage: bool) -> dict[str, Any]:
    """`HeldOut.quality` of a published version, seen on the crop of this footage.

    same_footage: the version was trained on this footage, so its key frames are frames of it.
    """
    acting = PublishedActor(actor)
    runs = []
    for run in held_out.runs:
        poses = (pose for frame in held_out.each(run) if (pose := prepared.poses[frame]) is not None)
        allowed = held_out.allowed(acting.wardrobe, run) if same_footage else None
        runs.append(seen_on(acting.run(poses, allowed)[1], actor, prepared.crop))

    def draw(poses: Sequence[Pose]) -> list[Picture]:
        filmed = [prepared.crop.from_crop(pose) for pose in poses]
        return seen_on(acting.run(filmed)[1], actor, prepared.crop)

    return held_out.quality(runs, draw)
