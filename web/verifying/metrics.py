"""Prometheus metrics of files that visitors have checked."""

from __future__ import annotations

from prometheus_client import Counter

VERIFIED = Counter("dance_web_verifications", "Files that visitors had checked, by what was found", ["mark"])
