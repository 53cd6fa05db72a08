"""Settings of the normalisation service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from services.normalize.rules import NormalizeRules
from serving.process.settings import NOT_NEGATIVE, AtLeastOne, Positive
from serving.rpc.server import ServerSettings


@dataclass(frozen=True, kw_only=True)
class NormalizeSettings(ServerSettings):
    """Settings of the normalisation service, read once from `NORMALIZE_*` at start."""

    max_connection_age_seconds: float = 300.0
    """See [Every server](#every-server): orchestrators find new replicas of this service within this time."""
    max_streams: AtLeastOne = 64
    """Concurrent streams; more are refused. A frame takes 1 to 2 ms of CPU, gRPC included."""
    max_look_ahead_frames: Annotated[int, NOT_NEGATIVE] = 30
    """Look-ahead beyond this is refused: every frame of it holds a pose in memory."""
    idle_seconds: Positive = 300.0
    """A stream ends if its client neither sends nor reads for this long."""
    median_window_seconds: float = 0.1
    """With look-ahead: width of the centred median, at most 7 frames. If it holds fewer than 3, One-Euro smooths."""
    hold_seconds: float = 0.15
    """How long a joint that vanishes is held at its last place."""
    forget_seconds: float = 0.5
    """With no person for this long, the filter restarts."""
    ease_seconds: float = 1.0
    """Time constant of easing a change of the running calibration into the figure."""
    one_euro_min_cutoff_hz: float = NormalizeRules().one_euro_min_cutoff_hz
    """Without look-ahead: cutoff frequency at rest. Lower smooths more."""
    one_euro_beta: float = NormalizeRules().one_euro_beta
    """Without look-ahead: rise of the cutoff with speed, in Hz per frame height a second. Higher lags less."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rules()

    def rules(self) -> NormalizeRules:
        """Build the normaliser's rules. Raises ValueError for invalid values."""
        return NormalizeRules(
            median_window_seconds=self.median_window_seconds,
            hold_seconds=self.hold_seconds,
            forget_seconds=self.forget_seconds,
            ease_seconds=self.ease_seconds,
            one_euro_min_cutoff_hz=self.one_euro_min_cutoff_hz,
            one_euro_beta=self.one_euro_beta,
        )
