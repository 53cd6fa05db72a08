"""No process of ours contacts a host unasked, whatever its libraries would like to report."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import av
import pytest

from tests.contract.test_training_job import Pod, job
from tests.secluded import secluded, why_not
from tests.tiny_actors import tiny_network
from video.reader import VideoReader

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

FRAMES = 6
OPENVINO = "from serving.inference.engine import openvino_core; openvino_core().available_devices"
ONNXRUNTIME = (
    "import sys, time; from serving.inference import silent_libraries; runtime = silent_libraries.onnxruntime();"
    "runtime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])"
)
HOMELESS = "import pwd\ndef nobody(number): raise KeyError(number)\npwd.getpwuid = nobody\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The user's empty home folder."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """This environment without proxies, and without variables that switch libraries' reports off."""
    hushed = ("CI", "TF_BUILD", "JENKINS_URL", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY")
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and name not in hushed}
    return kept | {"HOME": str(home)}


@pytest.mark.parametrize(
    ("code", "names", "packets"),
    [
        ("import socket; socket.getaddrinfo('stats.example.org', 443)", {"stats.example.org"}, False),
        ("import socket; socket.create_connection(('192.0.2.1', 443), 5)", set(), True),
        ("import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 53))", set(), True),
        ("import socket; socket.socket(socket.AF_INET6).connect(('2001:db8::1', 443))", set(), True),
        ("import socket; socket.getaddrinfo('localhost', 443); raise OSError", set(), False),
        (
            "import subprocess; raise OSError(subprocess.run(['getent', 'hosts', 'another.example.org']))",
            {"another.example.org"},
            False,
        ),
    ],
)
def test_the_watch_sees_every_call_home(code: str, names: set[str], packets: bool) -> None:
    """Name look-ups and packets to other hosts, from any process in any language; loopback is ignored."""
    wanted = secluded([sys.executable, "-c", code])
    assert wanted.code == 1, "it could not be done"
    assert set(wanted.names) == names
    assert (wanted.packets > 0) == packets


def test_openvino_reports_nothing(environment: dict[str, str], home: Path) -> None:
    """Its import contacts no host and leaves nothing in the user's home folder."""
    wanted = secluded([sys.executable, "-c", OPENVINO], environment=environment)
    assert (wanted.code, wanted.names, wanted.packets) == (0, [], 0), wanted.said
    assert not list(home.iterdir())


def test_onnxruntime_reports_nothing(environment: dict[str, str], home: Path, tmp_path: Path) -> None:
    """A session contacts no host; it leaves no machine identity and no event store in the user's home folder."""
    model = tiny_network(tmp_path / "network.onnx", ("one", "other"), "both", 8, 0)
    wanted = secluded([sys.executable, "-c", ONNXRUNTIME, str(model)], environment=environment)
    assert (wanted.code, wanted.names, wanted.packets) == (0, [], 0), wanted.said
    assert not list(home.iterdir())


@pytest.mark.parametrize("where", [None, "/proc/nowhere"])
def test_no_home_is_needed(environment: dict[str, str], tmp_path: Path, where: str | None) -> None:
    """Without HOME and without a user entry, or with a read-only HOME, both can still be imported."""
    environment.pop("HOME")
    if where is not None:
        environment["HOME"] = where
    model = tiny_network(tmp_path / "network.onnx", ("one", "other"), "both", 8, 0)
    wanted = secluded(
        [sys.executable, "-c", f"{HOMELESS}{OPENVINO}\n{ONNXRUNTIME}", str(model)], environment=environment
    )
    assert (wanted.code, wanted.names, wanted.packets) == (0, [], 0), wanted.said


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_whole_dance_stays_on_this_machine(
    root: Path, environment: dict[str, str], home: Path, tmp_path: Path
) -> None:
    """`dance transfer` with all that it starts: pose, normalize, face, the agent, Triton and its stub, orchestrator."""
    clip = tmp_path / "clip.mp4"
    with VideoReader(str(root / "samples" / "source_clip.mp4")) as reader, av.open(str(clip), "w") as container:
        frames = [frame.pixels for _, frame in zip(range(FRAMES), reader.frames(), strict=False)]
        stream = container.add_stream("libx264", rate=15)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    out = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "client", "transfer", str(clip), "--actor", "sample", "--out", str(out)]
    command += ["--actors", str(root / "samples" / "actors"), "--logs", str(tmp_path / "logs")]
    wanted = secluded(command, environment=environment, timeout_seconds=240)
    assert wanted.code == 0, wanted.said
    assert out.is_file()
    assert (wanted.names, wanted.packets) == ([], 0)
    assert not [path for path in home.rglob("*") if path.is_file() and "matplotlib" not in path.parts], (
        "whose are they?"
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_training_stays_on_this_machine(environment: dict[str, str], home: Path, tmp_path: Path) -> None:
    """From footage to a published actor."""
    pod = Pod(job(), tmp_path)
    (tmp_path / "footage" / "uploads" / "footage.mp4").write_bytes(b"footage")
    wanted = secluded(pod.command, environment=environment | pod.environment, timeout_seconds=240)
    assert wanted.code == 0, wanted.said
    assert (tmp_path / "actors" / "bar" / "1" / "actor.json").is_file()
    assert (wanted.names, wanted.packets) == ([], 0)
    assert not [path for path in home.rglob("*") if path.is_file() and "matplotlib" not in path.parts], (
        "whose are they?"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["client", "--help"], 0),
        (["client", "actors"], 0),
        (["client", "doctor"], 1),
        (["samples.make", "--help"], 0),
        (["training", "--help"], 0),
        (["serving.actors.rollout_cli", "rollback", "nobody"], 1),
    ],
)
def test_a_command_stays_on_this_machine(
    root: Path, environment: dict[str, str], tmp_path: Path, words: list[str], code: int
) -> None:
    """Its imports are silent too."""
    shutil.copytree(root / "samples" / "actors" / "sample", tmp_path / "actors" / "sample")
    environment["DANCE_ACTORS"] = str(tmp_path / "actors")
    wanted = secluded([sys.executable, "-m", *words], environment=environment)
    assert (wanted.code, wanted.names, wanted.packets) == (code, [], 0), wanted.said
