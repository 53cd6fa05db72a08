"""The agent and its Triton as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from serving.actors.store import ActorStore


@contextmanager
def agent_process(store: ActorStore, folder: Path, **settings: str) -> Iterator[tuple[psutil.Popen, dict[str, str]]]:
    """Run `python -m services.generator` until ready; yield it and the fields of its ready line. Kill it at the end."""
    environment = {
        **os.environ,
        "TMPDIR": str(folder),  # removed with the test, including what a killed process leaves behind
        "GENERATOR_ACTORS_ROOT": str(store.root),
        "GENERATOR_TRITON_EXIT_SECONDS": "1",
        "GENERATOR_TRITON_LOG": str(folder / "triton.log"),
        "GENERATOR_PRECISION": "f32",
        "GENERATOR_WATCH_SECONDS": "0.05",
        **{f"GENERATOR_{name.upper()}": value for name, value in settings.items()},
    }
    with (folder / "agent.log").open("wb") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "services.generator"], stdout=subprocess.PIPE, stderr=log, env=environment, text=True
        )
    try:
        line = process.stdout.readline()
        assert line.startswith("ready name=generator "), (folder / "agent.log").read_text()
        yield process, dict(word.split("=", 1) for word in line.split()[1:])
    finally:
        process.stdout.close()
        if process.is_running():
            for member in (*process.children(recursive=True), process):
                member.kill()
        process.wait()


def family_of(agent: psutil.Process) -> list[psutil.Process]:
    """Return Triton and the actor's stub. A stub may have a short-lived child while it inspects the machine."""
    (triton,) = agent.children()
    (stub,) = triton.children()
    return [triton, stub]
