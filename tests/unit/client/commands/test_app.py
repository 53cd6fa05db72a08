"""The `dance` command line starts without slow imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = ("torch", "kubernetes", "mediapipe", "openvino", "matplotlib")
LOOKS = """\
import sys
from client.command_line import run
run(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("command", [["--help"], ["actors", "--actors", "none"], ["train", "--help"]])
def test_a_command_imports_only_what_it_needs(root, command):
    """Of training, commands that do not train import only its options; no slow library is imported."""
    done = subprocess.run([sys.executable, "-c", LOOKS, *command], cwd=root, capture_output=True, text=True, check=True)
    modules = done.stderr.split()
    assert [name for name in modules if name in SLOW] == []
    assert [name for name in modules if name.startswith("training.")] == ["training.options"]
