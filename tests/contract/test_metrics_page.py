"""docs/metrics.md is what the code has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROMISED = (
    "dance_stage_duration_seconds", "dance_stage_queue_seconds", "dance_frame_seconds", "dance_frames_total",
    "dance_sessions", "dance_session_capacity", "dance_session_end_total", "dance_stage_retries_total",
    "dance_frames_in_flight", "dance_event_loop_lag_seconds", "dance_build_info",
)  # fmt: skip


def test_the_page_of_metrics_is_up_to_date(root: Path):
    """Every metric of the code stands there with its labels, unit and meaning, and no other."""
    checked = subprocess.run(
        [sys.executable, "scripts/generate_metrics_page.py", "--check"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


def test_no_promised_metric_is_missing(root: Path):
    """Dashboards and alerts rest on these names."""
    text = (root / "docs" / "metrics.md").read_text()
    assert not [name for name in PROMISED if f"| `{name}` |" not in text]
