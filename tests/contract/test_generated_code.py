"""The committed code equals the code generated from the contracts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_generating_again_leaves_no_diff(root: Path) -> None:
    """`make protos` on a clean checkout changes nothing."""
    result = subprocess.run(
        [sys.executable, "scripts/generate_protos.py", "--check"], cwd=root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
