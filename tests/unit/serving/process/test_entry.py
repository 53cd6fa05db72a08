"""The first moments of a process: Ctrl-C prints one line, and any name can be printed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serving.process.exit_codes import EXIT_INTERRUPTED

HOOK = """
import os, signal, sys

class Hook:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["SIGNAL_AT"]:
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))

if "SIGNAL_AT" in os.environ:
    sys.meta_path.insert(0, Hook())
"""
"""A sitecustomize that sends this very process a signal when it begins to import a certain module."""


def signalled(tmp_path: Path, root: Path, module: str, at: str, number: int, *arguments: str):
    """Run a process that receives the signal while it imports `at`."""
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    environment = {**os.environ, "SIGNAL_AT": at, "SIGNAL": str(int(number))}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("module", "at"),
    [
        *(("client", at) for at in ("client.command_line", "typer", "numpy", "grpc", "client.transfer.run")),
        *(("training", at) for at in ("grpc", "typer", "rich.console", "training.options")),
        *((f"services.{name}", "grpc") for name in ("pose", "normalize", "face", "generator")),
        *(("orchestrator", at) for at in ("cv2", "numpy", "orchestrator.servicer")),
        *(("samples.make", at) for at in ("av", "typer", "samples.renderer.draw")),
    ],
)
def test_ctrl_c_while_a_process_begins_is_one_line(tmp_path, root, module, at):
    """Ctrl-C during any import exits with 130, or with 75 for a job that the same command continues; no traceback."""
    done = signalled(tmp_path, root, module, at, signal.SIGINT, "--help")
    code = EXIT_INTERRUPTED if module == "training" else 130
    assert (done.returncode, done.stderr, done.stdout) == (code, "interrupted\n", "")


@pytest.mark.parametrize("module", ["services.pose", "orchestrator", "training"])
def test_sigterm_while_a_process_begins_is_one_line(tmp_path, root, module):
    """SIGTERM during an import ends the process, even the first one of a container, which has no default handlers."""
    done = signalled(tmp_path, root, module, "numpy" if module != "training" else "typer", signal.SIGTERM)
    code = EXIT_INTERRUPTED if module == "training" else 143
    assert (done.returncode, done.stderr) == (code, "terminated\n")


def test_ctrl_c_while_a_command_imports_what_it_needs_is_one_line(tmp_path, root):
    """Slow libraries are imported only by the commands that need them."""
    clip = str(root / "samples" / "source_clip.mp4")
    arguments = ["pose", clip, "--overlay", str(tmp_path / "o.mp4")]
    done = signalled(tmp_path, root, "client", "openvino", signal.SIGINT, *arguments)
    assert done.returncode == 130
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "o.mp4").exists()


def without_letters(root: Path, *arguments: str | bytes) -> subprocess.CompletedProcess[str]:
    """Run `dance` with ASCII as the terminal's encoding."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C"}
    return subprocess.run(
        [sys.executable, "-m", "client", *arguments],
        cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["tänzer", "舞", b"latin-\xe4"])
def test_names_that_the_terminal_lacks_are_escaped(tmp_path, root, name):
    """File names that are invalid in any encoding work too: the file is written and its name printed."""
    from motion.keypoint_files.openpose_json import KeypointsPerson
    from tests.unit.client.media.test_keypoints_source import body, written

    folder = written(tmp_path / os.fsdecode(name), [KeypointsPerson(body(20), 1)])
    out = tmp_path / (os.fsdecode(name) + ".mp4")
    done = without_letters(root, "pose", os.fsencode(folder), "--overlay", os.fsencode(out))
    assert (done.returncode, done.stderr) == (0, "")
    assert "wrote" in done.stdout
    assert "\\" in done.stdout
    assert out.stat().st_size > 0
    done = without_letters(root, "pose", os.fsencode(folder), "--overlay", os.fsencode(out))
    assert done.returncode == 1
    assert "exists already; --force overwrites it" in " ".join(done.stderr.split())


def test_a_log_takes_every_name(root):
    """A service's log accepts such names too."""
    program = (
        "from serving.process.entry import begin; begin()\n"
        "import logging; from serving.observability import logs; logs.configure('INFO', 'json')\n"
        "logging.getLogger('x').info('%s', 't\\u00e4nzer \\udce4')"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "t\\xe4nzer \\udce4" in done.stderr
    assert "Error" not in done.stderr
