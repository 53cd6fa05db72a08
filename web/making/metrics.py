"""Prometheus metrics of makings."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

STARTED = Counter("dance_web_makings_started", "Makings of actors that visitors began")
ENDED = Counter("dance_web_makings_ended", "Trainings of makings by the state they ended in", ["state"])
EXPIRED = Counter("dance_web_makings_expired", "Makings whose footage was deleted because their visitor did not go on")
WITHDRAWN = Counter("dance_web_actors_withdrawn", "Actors that their makers deleted")
WAITING = Gauge("dance_web_makings_waiting", "Makings in the queue, without the one in training")
FIRST_VERSION_SECONDS = Histogram(
    "dance_web_making_first_version_seconds",
    "From the start of a training to the actor's first version",
    buckets=(30.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0, 600.0, 1200.0),
)
