"""The local stack, with small processes in place of the services."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import psutil
import pytest

from client.__main__ import run
from client.errors import Interrupted, StackFailed
from client.local_stack import server_for_command
from client.local_stack.processes import ProcessSpec, Ready
from client.local_stack.stack import LocalStack, local_stack
from client.terminal.display import Display
from client.terminal.signals import run as run_on_loop
from tests.tiny_pose_networks import paf_card, write_card

# Serves health, says that it is ready, and writes its name into a diary when it ends.
SERVICE = """
import os, signal, sys
# Blocked in every thread and waited for: a signal that comes just before a pause would be slept through.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
from concurrent.futures import ThreadPoolExecutor
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
name, diary, manner = sys.argv[1:4]
def note(what):
    with open(diary, "a") as file:
        file.write(what + "\\n")
server = grpc.server(ThreadPoolExecutor(1))
servicer = health.HealthServicer()
answers = health_pb2.HealthCheckResponse
servicer.set("", answers.NOT_SERVING if manner == "cold" else answers.SERVING)
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
note(f"start {name} {os.environ['OMP_WAIT_POLICY']} {os.environ.get('PEER', '')}".strip())
print(f"ready name={name} port={port} health_port={port} metrics_port=1", flush=True)
signal.sigwait({signal.SIGUSR1 if manner == "stubborn" else signal.SIGTERM})
note("end " + name)
os._exit(0)
"""
DYING = "import sys; print('first line'); sys.exit('the model file is missing')"
SILENT = "import signal; signal.pause()"


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    return tmp_path / "diary"


@pytest.fixture
def spec(diary):
    def make(name: str, manner: str = "good", **environment: str) -> ProcessSpec:
        return ProcessSpec(name, (sys.executable, "-c", SERVICE, name, str(diary), manner), environment)

    return make


def stack_of(tmp_path, spec, *workers: ProcessSpec, **limits) -> LocalStack:
    def front(ready):
        return spec("front", PEER=str(ready[workers[0].name].ports["port"]))

    return LocalStack(workers, front, tmp_path / "logs", **limits)


async def wrote(diary: Path, words: str) -> None:
    """Wait until another process has written `words`."""
    async with asyncio.timeout(60):
        while words not in diary.read_text():  # noqa: ASYNC110, ASYNC240 - no event reaches us from there
            await asyncio.sleep(0)


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def test_front_starts_last_and_ends_first(tmp_path, spec, diary):
    """Workers start first, then the front with their ports; they end in reverse order. Each has a log; none is left."""
    async with stack_of(tmp_path, spec, spec("pose"), spec("face")) as stack:
        assert stack.address == f"127.0.0.1:{stack.ready['front'].ports['port']}"
        assert len(children()) == 3
    lines = diary.read_text().splitlines()
    assert set(lines[:2]) == {"start pose PASSIVE", "start face PASSIVE"}
    assert lines[2] == f"start front PASSIVE {stack.ready['pose'].ports['port']}"
    assert lines[3:] == ["end front", "end face", "end pose"]
    assert {log.name for log in stack.logs.iterdir()} == {"pose.log", "face.log", "front.log"}
    assert children() == []


async def test_process_that_does_not_start_is_told_with_its_last_words(tmp_path, spec, diary):
    """The error has the process's name, exit code and the end of its log; the other processes are ended."""
    dying = ProcessSpec("face", (sys.executable, "-c", DYING))
    with pytest.raises(StackFailed, match=r"face did not start \(exit code 1\)") as failure:
        async with stack_of(tmp_path, spec, spec("pose"), dying):
            pytest.fail("the stack must not come up")
    assert failure.value.log_tail == ("first line", "the model file is missing")
    assert children() == []


@pytest.mark.parametrize("manner", ["silent", "cold"])
async def test_process_that_is_never_ready_runs_out_of_time(tmp_path, spec, manner):
    """A process without a ready line or SERVING status times out."""
    slow = ProcessSpec("pose", (sys.executable, "-c", SILENT)) if manner == "silent" else spec("pose", "cold")
    with pytest.raises(StackFailed, match="pose was not ready within 1 s"):
        async with stack_of(tmp_path, spec, slow, start_seconds=0.6):
            pytest.fail("the stack must not come up")
    assert children() == []


async def test_death_ends_the_work_and_is_told(tmp_path, spec):
    """A killed process ends the work that needs it."""
    async with stack_of(tmp_path, spec, spec("pose")) as stack:

        async def work() -> None:
            next(child for child in children() if "pose" in child.cmdline()).kill()
            await asyncio.Event().wait()

        with pytest.raises(StackFailed, match=r"pose ended by itself \(killed by SIGKILL\)"):
            await stack.run(work())
    assert children() == []


async def test_work_that_succeeds_gives_its_result(tmp_path, spec):
    """With all processes alive, the work's result and its errors pass through."""
    async with stack_of(tmp_path, spec, spec("pose")) as stack:

        async def answer() -> int:
            return 42

        async def fail() -> None:
            raise ValueError("no")

        assert await stack.run(answer()) == 42
        with pytest.raises(ValueError, match="no"):
            await stack.run(fail())


async def test_stubborn_process_is_killed(tmp_path, spec, diary):
    """A process that ignores SIGTERM gets SIGKILL after the time limit; the others still end in order."""
    async with stack_of(tmp_path, spec, spec("pose", "stubborn"), end_seconds=0.2):
        pass
    assert "end front" in diary.read_text()
    assert "end pose" not in diary.read_text()
    assert children() == []


async def test_hurried_end_still_asks_everybody_once(tmp_path, spec, diary):
    """Ctrl-C during the exit asks the rest to end at once, without killing it, so that it can clean up."""
    stack = await stack_of(tmp_path, spec, spec("pose"), spec("face", "stubborn"), end_seconds=30).__aenter__()
    ending = asyncio.create_task(stack.end())
    await wrote(diary, "end front")
    ending.cancel()
    await wrote(diary, "end pose")
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    # Collected on this loop: psutil would take the exit codes, and the loop would close with its children "running".
    await asyncio.gather(*(process.exit_code() for process in stack._processes))
    assert children() == []


def test_interrupt_while_starting_ends_everything(tmp_path, spec):
    """Ctrl-C during the start ends what has started, says so, and interrupts the command."""
    said: list[str] = []

    async def start(_interrupts) -> None:
        slow = ProcessSpec("face", (sys.executable, "-c", SILENT))

        def told(line: str) -> None:
            said.append(line)
            if line.startswith("pose is ready"):
                os.kill(os.getpid(), signal.SIGINT)

        async with stack_of(tmp_path, spec, spec("pose"), slow, told=told):
            pytest.fail("the stack must not come up")

    with pytest.raises(Interrupted):
        run_on_loop(start)
    assert said[-1] == "ending pose, face"
    assert children() == []


def test_up_serves_until_interrupted(tmp_path, spec, diary, monkeypatch, capsys):
    """`dance up` prints its address; Ctrl-C then ends it in order, with exit code 0. Settings reach the stack."""
    told_settings: dict[str, str] = {}

    def fakes(_actors, logs, *, port, told, settings, load_at_start, page_port):
        assert load_at_start == "all"
        assert page_port is None
        told_settings.update(settings)
        return LocalStack([spec("pose")], lambda ready: spec("front"), logs, told=told)

    note = Display.note

    def note_and_interrupt(self, text):
        note(self, text)
        if text.startswith("serving at"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(server_for_command, "local_stack", fakes)
    monkeypatch.setattr(Display, "note", note_and_interrupt)
    card = write_card(tmp_path, paf_card(tmp_path / "paf.onnx"))
    asked = ["--pose-backend", "openpose", "--pose-model", str(card)]
    assert run(["up", "--port", "0", "--actors", str(tmp_path), "--logs", str(tmp_path / "logs"), *asked]) == 0
    assert told_settings.pop("ORCHESTRATOR_WATERMARK_KEY_FILE").endswith("/everybody-dance/server.key")
    assert told_settings == {
        "POSE_OPENPOSE_CARD": str(card), "POSE_BACKEND": "openpose", "ORCHESTRATOR_POSE_BACKEND": "openpose",
    }  # fmt: skip
    assert "serving at 127.0.0.1:" in capsys.readouterr().err
    assert diary.read_text().splitlines()[-2:] == ["end front", "end pose"]
    assert children() == []


def test_up_with_the_page_names_its_address_and_ends_it_first(tmp_path, spec, diary, monkeypatch, capsys):
    """`dance up --web` starts the page after the orchestrator, prints its address, and ends it before the rest."""

    def fakes(_actors, logs, *, port, told, settings, load_at_start, page_port):
        assert page_port == 0

        def page(ready):
            assert "front" in ready  # the page is told the orchestrator's port
            return spec("web")

        return LocalStack([spec("pose")], lambda ready: spec("front"), logs, page=page, told=told)

    note = Display.note

    def note_and_interrupt(self, text):
        note(self, text)
        if text.startswith("dance in your browser"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(server_for_command, "local_stack", fakes)
    monkeypatch.setattr(Display, "note", note_and_interrupt)
    asked = ["--port", "0", "--actors", str(tmp_path), "--logs", str(tmp_path / "logs"), "--web", "--web-port", "0"]
    assert run(["up", *asked, "--no-open"]) == 0
    assert re.search(r"dance in your browser: http://localhost:\d+/\n", capsys.readouterr().err)
    assert diary.read_text().splitlines()[-3:] == ["end web", "end front", "end pose"]
    assert children() == []


def test_children_die_with_their_parent(tmp_path):
    """A killed launcher leaves no process behind, although it cannot clean up."""
    launcher = """
import asyncio, pathlib, sys
from client.local_stack.processes import ManagedProcess, ProcessSpec
async def main():
    command = (sys.executable, "-c", "import signal; signal.pause()")
    process = ManagedProcess(ProcessSpec("pose", command), pathlib.Path(sys.argv[1]))
    await process.start()
    print(process.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    with psutil.Popen([sys.executable, "-c", launcher, str(tmp_path / "log")], stdout=-1, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        child.wait(timeout=60)
        assert not child.is_running()


def test_ready_line_without_ports_is_refused():
    """A ready line must contain the process's ports."""
    assert Ready.parsed("ready name=pose port=1 health_port=2 metrics_port=3 triton_port=4").ports["triton_port"] == 4
    said = "ready name=generator port=1 health_port=2 triton_address=unix:/tmp/a/grpc:0"
    assert Ready.parsed(said).addresses == {"triton_address": "unix:/tmp/a/grpc:0"}
    with pytest.raises(ValueError, match="must contain port and health_port"):
        Ready.parsed("ready name=pose")


def test_the_real_stack_tells_the_orchestrator_where_everybody_is(tmp_path):
    """The five addresses come from the ready lines; all processes read the same actors and get their settings."""
    settings = {"POSE_BACKEND": "openpose", "ORCHESTRATOR_X": "1"}
    stack = local_stack(tmp_path, tmp_path / "logs", settings=settings, load_at_start="star")
    assert stack.workers[0].environment["POSE_BACKEND"] == "openpose"
    assert stack.workers[3].environment["GENERATOR_LOAD_AT_START"] == "star"
    ports = {"port": 1, "health_port": 2}
    ready = {name: Ready(name, ports) for name in ("pose", "normalize", "face")}
    ready["generator"] = Ready("generator", {**ports, "port": 7}, {"triton_address": "unix:/tmp/of-triton/grpc:0"})
    environment = stack.front(ready).environment
    assert environment["ORCHESTRATOR_TRITON_ADDRESS"] == "unix:/tmp/of-triton/grpc:0"
    assert environment["ORCHESTRATOR_AGENT_ADDRESS"] == "127.0.0.1:7"
    assert environment["ORCHESTRATOR_POSE_ADDRESS"] == "127.0.0.1:1"
    roots = [value for spec in stack.workers for key, value in spec.environment.items() if key.endswith("ACTORS_ROOT")]
    assert [*roots, environment["ORCHESTRATOR_ACTORS_ROOT"]] == [str(tmp_path)] * 3
