"""Which stages can be reached, looked at now and then; what the orchestrator's health rests on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from serving import logs, telemetry

_log = logging.getLogger(__name__)

Probe = Callable[[], Awaitable[bool]]


class Reachability:
    """Remembers since when each stage has been away, and tells when that changes.

    probes: by the stage's name, whether it can be reached now. unready_after_seconds: being away for so long is what
    sessions should hear of. now_s: a clock that never goes back.
    """

    def __init__(
        self, probes: Mapping[str, Probe], *, unready_after_seconds: float, now_s: Callable[[], float]
    ) -> None:
        self._probes = probes
        self._unready_after_seconds = unready_after_seconds
        self._now_s = now_s
        self._seen_at_s = dict.fromkeys(probes, now_s())
        self._away: set[str] = set()

    async def look(self) -> tuple[str, ...]:
        """Asks every probe, and returns the stages that have been away for too long."""
        for stage, probe in self._probes.items():
            reached = await probe()
            telemetry.STAGE_REACHABLE.labels(stage).set(reached)
            if reached:
                self._seen_at_s[stage] = self._now_s()
        away = {stage for stage in self._probes if self._seconds_away(stage) >= self._unready_after_seconds}
        for stage in sorted(away - self._away):
            _log.error("stage cannot be reached", extra=logs.facts(stage=stage, seconds=self._unready_after_seconds))
        for stage in sorted(self._away - away):
            _log.info("stage can be reached again", extra=logs.facts(stage=stage))
        self._away = away
        return tuple(sorted(away))

    def _seconds_away(self, stage: str) -> float:
        return self._now_s() - self._seen_at_s[stage]
