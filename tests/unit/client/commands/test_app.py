"""The `dance` command line starts without slow imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

from client.__main__ import run

OPTIONS = ["training.consent_options", "training.options"]
SLOW = ("torch", "kubernetes", "mediapipe", "openvino", "matplotlib")
LOOKS = """\
import sys
from client.command_line import run
run(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
"""


def test_help_of_actors_says_what_happens_without_a_server(capsys):
    """`dance actors` starts nothing: without a server it lists the folder."""
    assert run(["actors", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "An orchestrator; without it, the folder --actors is listed." in told
    assert "one starts here" not in told


def test_help_of_transfer_says_each_default_of_the_detail(capsys):
    """Live, it depends on where the poses are estimated."""
    assert run(["transfer", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Default: holistic; with --live, as much as the machine can hold, or with --pose here: live." in told


def test_summaries_of_sub_commands_are_complete(capsys):
    """On 80 columns, no summary of the list is cut off."""
    for command in ([], ["actors"], ["jobs"]):
        assert run([*command, "--help"]) == 0
        assert "..." not in capsys.readouterr().out.split("Commands:")[1]


@pytest.mark.parametrize("command", [["--help"], ["actors", "--actors", "none"], ["train", "--help"]])
def test_a_command_imports_only_what_it_needs(root, command):
    """Of training, commands that do not train import only its options; no slow library is imported."""
    done = subprocess.run([sys.executable, "-c", LOOKS, *command], cwd=root, capture_output=True, text=True, check=True)
    modules = done.stderr.split()
    assert [name for name in modules if name in SLOW] == []
    assert [name for name in modules if name.startswith("training.")] == OPTIONS


def test_a_wrong_choice_is_told_with_the_right_ones_and_no_library_s_words(capsys):
    """The line is the same whatever release of typer checks the choice."""
    assert run(["transfer", "clip.mp4", "--actor", "sample", "--pose", "there"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert told == "error: Invalid value for '--pose' (env var: 'DANCE_POSE'): 'there' is not one of 'here', 'server'."
