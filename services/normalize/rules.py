"""The parameters of a normaliser, all in seconds or frame heights, so they hold at any frame rate."""

from __future__ import annotations

from dataclasses import dataclass, fields

from motion.smoothing.median import MEDIAN_WINDOW_SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalizeRules:
    """How poses are smoothed, held and eased. Raises ValueError for a value that is not positive."""

    median_window_seconds: float = MEDIAN_WINDOW_SECONDS
    """Width of the centred median, at most 7 frames. Below 20 fps it would hold fewer than 3; One-Euro smooths then."""
    hold_seconds: float = 0.15
    """How long a joint that vanishes is held at its last place."""
    forget_seconds: float = 0.5
    """A joint unseen for this long is forgotten. With no person for this long, the whole filter restarts."""
    ease_seconds: float = 1.0
    """Time constant of easing a change of the running calibration into the figure."""
    one_euro_min_cutoff_hz: float = 2.0
    """One-Euro: cutoff frequency at rest. Lower smooths more."""
    one_euro_beta: float = 40.0
    """One-Euro: how much the cutoff rises with speed, in Hz per frame height a second. Higher lags less."""
    one_euro_speed_cutoff_hz: float = 1.0
    """One-Euro: cutoff frequency of the speed itself."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < float("inf"):
                raise ValueError(f"{field.name} must be positive and finite, got {value}")
        if self.forget_seconds < self.hold_seconds:
            raise ValueError(f"forget_seconds ({self.forget_seconds}) is below hold_seconds ({self.hold_seconds})")
