"""docs/metrics.md and docs/settings.md match the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROMISED = (
    "dance_stage_duration_seconds", "dance_stage_queue_seconds", "dance_frame_seconds", "dance_frames_total",
    "dance_sessions", "dance_session_capacity", "dance_session_end_total", "dance_stage_retries_total",
    "dance_frames_in_flight", "dance_event_loop_lag_seconds", "dance_build_info",
)  # fmt: skip


@pytest.mark.parametrize("page", ["metrics", "settings"])
def test_the_page_is_up_to_date(root: Path, page: str):
    """The pages list exactly the metrics and settings of the code, with their descriptions."""
    checked = subprocess.run(
        [sys.executable, f"scripts/generate_{page}_page.py", "--check"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


def test_every_setting_says_what_it_is(root: Path):
    """Every setting has a description, except obvious ones: ports, addresses and paths of pairs."""
    bare = re.findall(r"^\| `(\w+)` \|.*\|  \|$", (root / "docs" / "settings.md").read_text(), re.MULTILINE)
    assert not [name for name in bare if not name.endswith(("PORT", "HOST", "ADDRESS", "KEY", "AUDIENCE", "_SECONDS"))]


def test_no_promised_metric_is_missing(root: Path):
    """Dashboards and alerts depend on these names."""
    text = (root / "docs" / "metrics.md").read_text()
    assert not [name for name in PROMISED if f"| `{name}` |" not in text]
