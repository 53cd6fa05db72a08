"""Prometheus metrics of dances and recordings."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

STARTED = Counter("dance_web_dances_started", "Dances and recordings that visitors began", ["kind"])
ENDED = Counter("dance_web_dances_ended", "Dances and recordings by the state they ended in", ["kind", "state"])
DELETED = Counter("dance_web_dances_deleted", "Dances and recordings deleted after their time", ["kind"])
FRAMES = Counter("dance_web_dances_frames", "Frames of clips that were danced")
KEPT_BYTES = Gauge("dance_web_dances_kept_bytes", "All files of dances and recordings")
WAITING = Gauge("dance_web_dances_waiting", "Dances in the queue")
