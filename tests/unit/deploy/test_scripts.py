"""The shell scripts in the manifests, run unchanged except for their folders."""

from __future__ import annotations

import asyncio
import io
import random
import re
import shlex
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.client.cluster.containerd import Exec
from tests.unit.deploy.manifests import ROOT, applied, pods


def script(pod_name: str, container_name: str) -> str:
    """Return the script that the container passes to a shell with `-euc`."""
    (pod,) = [pod for pod in pods(applied()) if pod.name == pod_name]
    (container,) = [container for container in pod.containers() if container["name"] == container_name]
    command = [*container.get("command", []), *container.get("args", [])]
    assert command[0] in ("sh", "bash")
    assert command[1] == "-euc"
    return str(command[2])


def seeding_below(folder: Path) -> str:
    """Return the seeding script with its folders inside another folder."""
    return re.sub(r"((?:/app/samples)?/actors/)", rf"{folder}\1", script("orchestrator", "sample-actor"))


def run(text: str) -> int:
    """Run a script and return its exit code."""
    return subprocess.run(["sh", "-euc", text], check=False, capture_output=True).returncode


@pytest.fixture
def seeding(tmp_path: Path) -> Callable[[], int]:
    """Seeds a volume at actors/ from an image at app/; returns the exit code."""
    sample = tmp_path / "app" / "samples" / "actors" / "sample" / "1"
    sample.mkdir(parents=True)
    (sample / "actor.json").write_text("new")
    (tmp_path / "actors").mkdir()
    return lambda: run(seeding_below(tmp_path))


def test_an_empty_volume_gets_the_sample_actor(seeding, tmp_path: Path):
    """The whole actor is copied, without leftovers; a second run changes nothing."""
    assert seeding() == 0
    assert (tmp_path / "actors" / "sample" / "1" / "actor.json").read_text() == "new"
    assert sorted(path.name for path in (tmp_path / "actors").iterdir()) == [".seeded", "sample"]
    (tmp_path / "actors" / "sample" / "1" / "actor.json").write_text("trained again")
    assert seeding() == 0
    assert (tmp_path / "actors" / "sample" / "1" / "actor.json").read_text() == "trained again"


def test_an_existing_actor_is_left_alone(seeding, tmp_path: Path):
    """An existing actor of that name is not mixed with ours."""
    own = tmp_path / "actors" / "sample" / "7"
    own.mkdir(parents=True)
    (own / "actor.json").write_text("old")
    assert seeding() == 0
    assert [path.name for path in (tmp_path / "actors" / "sample").iterdir()] == ["7"]


def test_a_deleted_actor_stays_away(seeding, tmp_path: Path):
    """A deleted sample actor does not come back, because the volume is seeded once."""
    assert seeding() == 0
    subprocess.run(["rm", "-r", str(tmp_path / "actors" / "sample")], check=True)
    assert seeding() == 0
    assert not (tmp_path / "actors" / "sample").exists()


def test_of_two_at_the_same_time_one_wins(seeding, tmp_path: Path):
    """A pod that finds another pod's copy keeps it and removes its own."""
    theirs = tmp_path / "actors" / "sample" / "1"
    slow_copy = tmp_path / "copy"
    slow_copy.write_text(f'#!/bin/sh\ncp "$@"\nmkdir -p {theirs}\necho theirs > {theirs}/actor.json\n')
    slow_copy.chmod(0o755)
    assert run(seeding_below(tmp_path).replace("cp -R", f"{slow_copy} -R")) == 0
    assert (tmp_path / "actors" / "sample" / "1" / "actor.json").read_text() == "theirs\n"
    assert sorted(path.name for path in (tmp_path / "actors").iterdir()) == [".seeded", "sample"]


def test_a_volume_that_cannot_be_written_is_an_error(seeding, tmp_path: Path):
    """A failed copy fails the pod, instead of starting a deployment without actors."""
    (tmp_path / "actors").rmdir()
    assert seeding() != 0


def test_each_pod_has_its_own_key(tmp_path: Path):
    """The key has 64 hexadecimal digits, and only its owner can read it."""
    keys = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        text = script("triton", "repository-key").replace("/run/repository-key", str(folder))
        subprocess.run(["sh", "-euc", text], check=True)
        keys.append((folder / "key").read_text())
        assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert len(set(keys)) == 2
    assert all(len(key) == 64 and int(key, 16) >= 0 for key in keys)


async def test_actors_come_back_whole_by_the_commands_of_the_page(tmp_path: Path):
    """The upload works under containerd, which closes stdin as soon as an output of the command ends."""
    page = (ROOT / "docs" / "deploy.md").read_text()
    words = [
        shlex.split(line, comments=True) for line in page.splitlines() if " exec " in line and "actors-shell" in line
    ]
    unpack, move = ([part.replace("/actors", str(tmp_path)) for part in line[line.index("--") + 1 :] if part != "<"]
                    for line in words)  # fmt: skip
    network = random.Random(3).randbytes(2_000_000)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        about = tarfile.TarInfo("./me/1/generator.pt")
        about.size = len(network)
        tar.addfile(about, io.BytesIO(network))
    command = await Exec.of(*unpack[:3])
    sent = archive.getvalue()

    async def feed() -> None:
        for begun in range(0, len(sent), 2**15):
            await command.write(sent[begun : begun + 2**15])
        command.end_input()

    (_, err, code), _ = await asyncio.gather(command.result(), feed())
    assert (err, code) == (b"", 0)
    assert await (await Exec.of(*move[:3])).ended() == 0
    assert (tmp_path / "me" / "1" / "generator.pt").read_bytes() == network


@pytest.mark.parametrize(
    "more", ["", "--grpc-use-ssl-mutual=true --grpc-server-cert=/run/tls/tls.crt"], ids=["plaintext", "tls"]
)
def test_triton_gets_additional_arguments_as_words(tmp_path: Path, more: str):
    """The arguments of overlays/tls come between Triton's own and the key; if there are none, no empty word appears."""
    (tmp_path / "key").write_text("0f1e")
    (tmp_path / "tritonserver").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "tritonserver").chmod(0o755)
    text = script("triton", "triton").replace("/run/repository-key", str(tmp_path)).replace("/dev/shm", str(tmp_path))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TRITON_TLS": more}
    command = ["bash", "-euc", text, "tritonserver", "--model-repository=/models"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    key = "--grpc-restricted-protocol=model-repository,shared-memory,trace,logging:dance=0f1e"
    assert ended.stdout.splitlines() == ["--model-repository=/models", *more.split(), key]
