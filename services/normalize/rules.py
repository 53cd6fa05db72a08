"""The numbers that a normaliser works by, all in seconds or in frame heights, so that they hold at any frame rate."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalizeRules:
    """How poses are smoothed, held and eased. Raises ValueError for a number that is not positive."""

    median_window_seconds: float = 0.1
    """Width of the centred median, at most 7 frames; where it holds fewer than 3, below 20 fps, One-Euro smooths."""
    hold_seconds: float = 0.15
    """A joint that vanishes is held at its last place for so long."""
    forget_seconds: float = 0.5
    """A joint that is away for so long is forgotten: with nobody there for so long, the whole filter starts anew."""
    ease_seconds: float = 1.0
    """Time constant with which a change of the running calibration reaches the figure."""
    one_euro_min_cutoff_hz: float = 2.0
    """One-Euro: cutoff frequency at rest. Lower smooths more."""
    one_euro_beta: float = 40.0
    """One-Euro: how much the cutoff rises with the speed, in Hz per frame height a second. Higher lags less."""
    one_euro_speed_cutoff_hz: float = 1.0
    """One-Euro: cutoff frequency of the speed itself."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < float("inf"):
                raise ValueError(f"{field.name} must be positive and finite, got {value}")
        if self.forget_seconds < self.hold_seconds:
            raise ValueError(f"forget_seconds ({self.forget_seconds}) must reach hold_seconds ({self.hold_seconds})")
