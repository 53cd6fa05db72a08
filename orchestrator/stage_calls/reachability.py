"""Which stages can be reached, checked periodically. The orchestrator's health depends on it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from serving.observability import logs, metrics

_log = logging.getLogger(__name__)

Probe = Callable[[], Awaitable[bool]]


class Reachability:
    """Tracks which stages were ever reached and how long each has been away, and logs changes.

    probes: by the stage's name, whether it can be reached now. addresses: by the same names, for the log.
    unready_after_seconds: how long a stage may be away before health reports it; a stage that was never reached counts
    as away from the start. now_s: a monotonic clock.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        *,
        addresses: Mapping[str, str],
        unready_after_seconds: float,
        now_s: Callable[[], float],
    ) -> None:
        self._probes = probes
        self._addresses = addresses
        self._unready_after_seconds = unready_after_seconds
        self._now_s = now_s
        self._began_at_s = now_s()
        self._seen_at_s: dict[str, float] = {}
        self._reported: set[str] = set()

    async def check(self) -> tuple[str, ...]:
        """Run every probe, and return the stages that were never reached or have been away for too long."""
        for stage, probe in self._probes.items():
            reached = await probe()
            metrics.STAGE_REACHABLE.labels(stage).set(reached)
            if reached:
                self._seen_at_s[stage] = self._now_s()
        long_away = {stage for stage in self._probes if self._seconds_away(stage) >= self._unready_after_seconds}
        for stage in sorted(long_away - self._reported):
            facts = {"stage": stage, "address": self._addresses[stage], "seconds": self._unready_after_seconds}
            _log.error("stage cannot be reached", extra=logs.facts(**facts, ever_reached=stage in self._seen_at_s))
        for stage in sorted(self._reported - long_away):
            _log.info("stage can be reached again", extra=logs.facts(stage=stage))
        self._reported = long_away
        return tuple(sorted(long_away | (self._probes.keys() - self._seen_at_s.keys())))

    async def trouble(self) -> str:
        """Run `check`, and return why sessions cannot be served; "" if they can."""
        missing = await self.check()
        never = [stage for stage in missing if stage not in self._seen_at_s]
        away = [stage for stage in missing if stage in self._seen_at_s]
        reasons = [f"these stages were never reached: {', '.join(never)}"] if never else []
        limit = f"{self._unready_after_seconds:g} s"
        reasons += [f"for {limit} these stages could not be reached: {', '.join(away)}"] if away else []
        return "; ".join(reasons)

    def _seconds_away(self, stage: str) -> float:
        return self._now_s() - self._seen_at_s.get(stage, self._began_at_s)
