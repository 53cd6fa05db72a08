"""Children that end with their parent."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from serving.process.parent_death import adopted

SILENT = "import signal; signal.pause()"


def test_the_program_replaces_the_wrapper():
    """The program runs in the same process, with its arguments, the environment, and its own exit code."""
    program = (sys.executable, "-c", "import os, sys; print(os.getpid(), os.environ['OF'], *sys.argv[1:]); sys.exit(7)")
    with subprocess.Popen(
        adopted(*program, "a b", "c"), stdout=subprocess.PIPE, text=True, env={**os.environ, "OF": "us"}
    ) as child:
        said, _ = child.communicate(timeout=60)
        assert said == f"{child.pid} us a b c\n"
    assert child.returncode == 7


def test_the_child_ends_with_a_killed_starter():
    """A parent that is killed, and so cannot clean up, leaves no child behind."""
    starter = (
        "import subprocess, signal, sys\n"
        "from serving.process.parent_death import adopted\n"
        f"child = subprocess.Popen(adopted(sys.executable, '-c', {SILENT!r}))\n"
        "print(child.pid, flush=True)\n"
        "signal.pause()\n"
    )
    with psutil.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        child.wait(timeout=60)
    assert not child.is_running()


def test_a_program_that_forgets_its_children_has_no_zombies():
    """The system reaps the dead children of this program only."""
    forgets = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', ''])\n"
        "while os.path.exists(f'/proc/{child.pid}') and open(f'/proc/{child.pid}/stat').read().split()[2] != 'Z':\n"
        "    time.sleep(0.002)\n"
        "print(os.path.exists(f'/proc/{child.pid}'))\n"
    )
    for no_zombies, stays in ((False, "True\n"), (True, "False\n")):
        command = adopted(sys.executable, "-c", forgets, no_zombies=no_zombies)
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (ended.stdout, ended.stderr) == (stays, "")


def test_a_starter_that_is_gone_already_is_noticed():
    """With another parent than the given one, the program never runs."""
    interpreter, flags, wrapper, _, *_ = adopted()
    command = [interpreter, flags, wrapper, "1", sys.executable, "-c", "print('ran')"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert (ended.stdout, ended.stderr) == ("", "the process that started this one has ended\n")
