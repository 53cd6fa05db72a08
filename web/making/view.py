"""What the page is told of a making; `web.making.routes` explains the words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from client.training.unattended import Progress
from web.making.queue import TrainingQueue
from web.making.record import State, iso
from web.making.store import Making, MakingStore

_CAMERA_RATE_HZ: Final = 14.5
"""Frames that were thinned out here are no reason to film with a faster camera."""
_STAGES: Final = {
    "starting": "starting",
    "looking for poses": "looking",
    "passing over what is known": "looking",
    "making the plate": "looking",
    "looking for other people": "looking",
    "cutting out the crop": "looking",
    "painting over props": "looking",
    "making the wardrobe": "cutting",
    "cutting limbs": "cutting",
    "coarse": "learning",
    "body": "learning",
    "drawing faces": "learning",
    "face": "learning",
}


def filmed_px(preset: str) -> tuple[int, int]:
    """Return how many pixels the pictures of a camera should have, as width and height, for an actor of `preset`.

    A preset's name ends with the size of its actors.
    """
    return (640, 480) if preset.endswith("-256") else (1280, 720)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the guidance. views: each must be seen for `seconds`; without any, only the time counts."""

    id: str
    views: tuple[str, ...]
    seconds: float = 2.0


STEPS: Final = (
    Step("front", ("front", "left_foot", "right_foot")),
    Step("arms_out", ("arms_away", "left_hand_open", "right_hand_open")),
    Step("arms_up", ("left_arm_up", "right_arm_up")),
    Step("fists", ("left_hand_closed", "right_hand_closed"), 1.0),
    Step("left_side", ("left",)),
    Step("back", ("back",)),
    Step("right_side", ("right",)),
    Step("dance", (), 5.0),
)


def stage_of(phase: str, versions: int) -> str:
    """Return the stable word for a phase of a training. versions: published so far, by this training."""
    if phase == "evaluating":
        return "finishing" if versions else "cutting"
    return _STAGES.get(phase, "finishing" if versions else "looking")


def view_of(making: Making, store: MakingStore, queue: TrainingQueue) -> dict[str, Any]:
    """Return a making as the page sees it."""
    record = making.record
    waiting = store.waiting()
    return {
        "id": record.id,
        "name": record.name,
        "actor": record.actor,
        "state": record.state.value,
        "created": iso(record.created_s),
        "footage": asdict(record.footage),
        "consent": None if record.consent is None else asdict(record.consent),
        "delete_footage": record.delete_footage,
        "position": waiting.index(making) + 1 if making in waiting else 0,
        "progress": _progress(making, store, queue),
        "version": max(record.versions, default=0),
        "versions": list(record.versions),
        "preview": preview_number(making),
        "findings": [finding for finding in record.findings if _is_news(finding, making)],
        "problem": record.problem,
        "ended": iso(record.ended_s),
        "footage_deleted": record.footage_deleted,
    }


def preview_number(making: Making) -> int:
    """Return a number that changes with the preview; 0 without one."""
    try:
        return making.preview.stat().st_mtime_ns // 1_000_000
    except OSError:
        return 0


def _progress(making: Making, store: MakingStore, queue: TrainingQueue) -> dict[str, Any] | None:
    if making.record.state is not State.TRAINING:
        return None
    log, started_s = queue.log_of(making), making.record.started_s
    progress = None if log is None else log.progress
    progress = Progress(phase="starting") if progress is None else progress
    return {
        "stage": stage_of(progress.phase, len(making.record.versions)),
        "phase": progress.phase,
        "part": progress.part,
        "done": progress.done,
        "total": progress.total,
        "unit": progress.unit,
        "seconds_left": progress.seconds_left,
        "elapsed_seconds": 0.0 if started_s is None else round(max(0.0, store.clock() - started_s), 1),
    }


def _is_news(finding: dict[str, str], making: Making) -> bool:
    """Whether a person can do something about it: the rates of what was recorded here are the gateway's own."""
    footage = making.record.footage
    if footage.kind != "camera" or finding["level"] == "refused":
        return True
    fast = footage.frames >= _CAMERA_RATE_HZ * footage.seconds
    return finding["word"] != "frame_rates" and not (finding["word"] == "frame_rate" and fast)
