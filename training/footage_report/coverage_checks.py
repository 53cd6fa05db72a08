"""Findings about the views of the person that the footage shows, with what to film for those that it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from training.footage_report.coverage import Flags, View
from training.footage_report.findings import Finding

ENOUGH_S: Final = 0.5
"""A view must be seen for this long; the advice asks for more, so that a blurred frame does not matter."""

_SUBJECTS: Final[Mapping[str, Sequence[View]]] = {
    "sides": (View.FRONT, View.LEFT_SIDE, View.RIGHT_SIDE),
    "arms": (View.ARMS_AWAY, View.LEFT_ARM_UP, View.RIGHT_ARM_UP),
    "hand shapes": (View.LEFT_HAND_OPEN, View.LEFT_HAND_CLOSED, View.RIGHT_HAND_OPEN, View.RIGHT_HAND_CLOSED),
    "feet": (View.LEFT_FOOT, View.RIGHT_FOOT),
}
_NAMES: Final = {
    View.FRONT: "front",
    View.LEFT_SIDE: "left side",
    View.RIGHT_SIDE: "right side",
    View.BACK: "back",
    View.ARMS_AWAY: "both away from the body",
    View.LEFT_ARM_UP: "left above the head",
    View.RIGHT_ARM_UP: "right above the head",
    View.LEFT_HAND_OPEN: "left open",
    View.LEFT_HAND_CLOSED: "left closed",
    View.RIGHT_HAND_OPEN: "right open",
    View.RIGHT_HAND_CLOSED: "right closed",
    View.LEFT_FOOT: "left",
    View.RIGHT_FOOT: "right",
}
_WHAT_TO_FILM: Final = {
    View.FRONT: "face the camera for two seconds",
    View.LEFT_SIDE: "turn until your left side faces the camera, and stay for two seconds",
    View.RIGHT_SIDE: "turn until your right side faces the camera, and stay for two seconds",
    View.BACK: "turn your back to the camera for two seconds",
    View.ARMS_AWAY: "face the camera and stretch both arms out to the sides for two seconds",
    View.LEFT_ARM_UP: "raise your left arm above your head for two seconds",
    View.RIGHT_ARM_UP: "raise your right arm above your head for two seconds",
    View.LEFT_HAND_OPEN: "show your left hand with the fingers spread for two seconds",
    View.LEFT_HAND_CLOSED: "make a fist with your left hand, away from your body, for two seconds",
    View.RIGHT_HAND_OPEN: "show your right hand with the fingers spread for two seconds",
    View.RIGHT_HAND_CLOSED: "make a fist with your right hand, away from your body, for two seconds",
    View.LEFT_FOOT: "step back until your left foot is in the picture",
    View.RIGHT_FOOT: "step back until your right foot is in the picture",
}


def check_coverage(shown: Mapping[View, Flags], frame_rate_hz: float) -> list[Finding]:
    """One finding for each part of the person, and one for the back, which only dances that turn away need.

    shown: which frames show each view, `[F]` bool, as `coverage.views_shown` returns it.
    """
    seconds = {view: float(flags.sum()) / frame_rate_hz for view, flags in shown.items()}
    found = [_finding(what, views, seconds) for what, views in _SUBJECTS.items()]
    back_s = seconds[View.BACK]
    if back_s >= ENOUGH_S:
        found.append(Finding("good", "back", _duration(back_s)))
    else:
        advice = f"only for dances that turn away: {_WHAT_TO_FILM[View.BACK]}"
        found.append(Finding("good", "back", _duration(back_s), advice))
    return found


def _finding(what: str, views: Sequence[View], seconds: Mapping[View, float]) -> Finding:
    missing = [view for view in views if seconds[view] < ENOUGH_S]
    advice = "; ".join(_WHAT_TO_FILM[view] for view in missing)
    return Finding("warning" if missing else "good", what, _measured(views, seconds), advice)


def _measured(views: Sequence[View], seconds: Mapping[View, float]) -> str:
    return ", ".join(f"{_NAMES[view]} {_duration(seconds[view])}" for view in views)


def _duration(seconds: float) -> str:
    return "not shown" if seconds == 0 else f"{seconds:.1f} s"
