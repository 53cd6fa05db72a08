"""The actors in a folder, listed without a server."""

from __future__ import annotations

from pathlib import Path

from client.__main__ import run
from client.local_stack.actors_folder import actors_here
from motion.frame import FrameSize


def test_the_sizes_for_live_sessions_are_listed_as_by_a_server(root: Path, capsys):
    """`dance transfer --live --size` names one of them."""
    folder = root / "samples" / "actors"
    assert actors_here(folder)[0].smaller_sizes == (FrameSize(384, 384), FrameSize(256, 256))
    assert run(["actors", "--actors", str(folder)]) == 0
    assert "384, 256" in " ".join(capsys.readouterr().out.split())
