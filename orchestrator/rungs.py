"""The rungs of a LIVE session: pairs of pose detail and picture size, from the best to the cheapest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from motion.pose_choice import PoseBackend, PoseDetail
from orchestrator.session_config import Rung, SessionConfig
from serving.actors.sizes import crop_at, picture_sizes
from serving.actors.store import Actor
from serving.errors import BadInput

_POSE_WORK: Final[Mapping[PoseDetail, float]] = {PoseDetail.HOLISTIC: 1.0, PoseDetail.LIVE: 0.65, PoseDetail.BODY: 0.45}
"""Of a pose with face and hands in every frame: 46 ms were measured on two cores, and 21 ms for the body alone."""

_ONE_DETAIL: Final = (PoseBackend.OPENPOSE, PoseBackend.RTMPOSE)
"""Backends that find the same joints at every detail."""


def rungs_for(config: SessionConfig, actor: Actor) -> tuple[Rung, ...]:
    """Return the rungs that a session may use, the best first; one unless it is adaptive.

    Raises BadInput for a size at which the actor cannot be drawn.
    """
    sizes = picture_sizes(actor)
    if config.picture_size is not None:
        if config.picture_size not in sizes:
            known = ", ".join(f"{size.width_px}x{size.height_px}" for size in sizes)
            asked = f"{config.picture_size.width_px}x{config.picture_size.height_px}"
            raise BadInput("config.picture_size", f"actor {actor.id!r} can be drawn at {known}, not at {asked}")
        sizes = (config.picture_size,)
    elif not config.adaptive:
        sizes = sizes[:1]
    details: tuple[PoseDetail, ...] = (config.pose.detail,)
    if config.adaptive and not config.pose_detail_is_fixed and config.pose.backend not in _ONE_DETAIL:
        details = (PoseDetail.HOLISTIC, PoseDetail.LIVE, PoseDetail.BODY)
    every_n = config.pose.face_and_hands_every_n
    pairs = [(detail, sizes[0]) for detail in details]
    # Less detail first: a smaller picture is seen at once, fingers that are found less often are not.
    middle = details[min(1, len(details) - 1)]
    pairs += [(middle, size) for size in sizes[1:]]
    if len(sizes) > 1 and details[-1] is not middle:
        pairs.append((details[-1], sizes[-1]))
    return tuple(
        Rung(index, detail, every_n if detail is PoseDetail.LIVE else 0, crop_at(actor, size))
        for index, (detail, size) in enumerate(pairs)
    )


def relative_work(rungs: Sequence[Rung]) -> tuple[float, ...]:
    """Return about how much work a frame is at each rung, in parts of the first one's picture.

    It only decides how far a ladder steps at once, and when a step up is worth trying.
    """
    first = rungs[0].size
    pixels = first.width_px * first.height_px
    return tuple(rung.size.width_px * rung.size.height_px / pixels + _POSE_WORK[rung.detail] for rung in rungs)
