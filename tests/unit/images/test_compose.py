"""compose.yaml and docker-bake.hcl fit the code and each other."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.session.checkpoint import CheckpointSealer
from serving.actors.store import ActorStore
from serving.process.settings import from_environment
from serving.rpc.server import VERSION
from tests.unit.images.dockerfiles import DOCKERFILES, Dockerfile
from tests.unit.images.test_dockerfiles import SETTINGS


@pytest.fixture(scope="module")
def compose(root: Path) -> dict[str, Any]:
    """The file as Compose reads it."""
    read: dict[str, Any] = yaml.safe_load((root / "compose.yaml").read_text())
    return read


def names_of(service: dict[str, Any], name: str) -> set[str]:
    """What others call it."""
    networks = service.get("networks", [])
    aliases = (
        [alias for one in networks.values() for alias in one.get("aliases", [])] if isinstance(networks, dict) else []
    )
    return {name, *aliases}


def test_every_container_is_held_as_short_as_a_pod(compose: dict[str, Any]):
    """Nothing to write but /tmp and volumes, no capability, not root, nothing gained by a program with more rights."""
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["user"] == "10001:10001"
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["tmpfs"][0].startswith("/tmp:")
        for one in service.get("ports", []):
            assert one.startswith("127.0.0.1:")


def test_every_image_is_one_of_ours_and_is_built_from_its_dockerfile(compose: dict[str, Any]):
    """All of them are there, at the project's version."""
    seen = set()
    for service in compose["services"].values():
        found = re.fullmatch(rf"everybody-dance/([a-z-]+):{re.escape(VERSION)}", service["image"])
        assert found is not None
        assert service["build"] == {"context": ".", "dockerfile": DOCKERFILES[found[1]]}
        seen.add(found[1])
    assert seen == set(DOCKERFILES)


def test_settings_are_read_as_the_processes_read_them(root: Path, compose: dict[str, Any]):
    """On top of the images' own: no misspelt variable, and plaintext is wanted everywhere it is needed."""
    for name, (settings, prefix, _) in SETTINGS.items():
        environment = Dockerfile(root / DOCKERFILES[name]).environment | compose["services"][name]["environment"]
        from_environment(settings, prefix, environment)


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_the_orchestrator_finds_each_stage(root: Path, compose: dict[str, Any], profile: str):
    """By a name that one running container has on their network, at the port where it listens."""
    services = compose["services"]
    running = {n: s for n, s in services.items() if not s.get("profiles") or profile in s["profiles"]}
    ports: dict[str, set[str]] = {}
    for name, service in running.items():
        if name == "seed":
            continue
        (exposed,) = Dockerfile(root / DOCKERFILES[name]).all("EXPOSE")
        owner = service.get("network_mode", f"service:{name}").removeprefix("service:")
        for called in names_of(running[owner], owner):
            ports.setdefault(called, set()).update(exposed.split())
    for variable, address in services["orchestrator"]["environment"].items():
        if variable.endswith("_ADDRESS"):
            called, _, port = address.removeprefix("dns:///").rpartition(":")
            assert port in ports[called], f"{variable} {address}"


def test_a_cpu_is_the_default(root: Path, compose: dict[str, Any]):
    """`docker compose up` reads .env; each profile has one Triton."""
    assert "COMPOSE_PROFILES=cpu" in (root / ".env").read_text().splitlines()
    tritons = {name: s["profiles"] for name, s in compose["services"].items() if "triton" in name}
    assert tritons == {"triton-cpu": ["cpu"], "triton": ["gpu"]}


def test_the_first_start_seeds_what_is_empty_and_the_next_changes_nothing(
    root: Path, compose: dict[str, Any], tmp_path: Path
):
    """The sample actor, whole, and a key that the orchestrator takes; also when an earlier start was interrupted."""
    seed = compose["services"]["seed"]
    script = seed["command"][0].replace("$$", "$")
    script = re.sub(r"(?<=\s)/(app|actors|keys)/", lambda m: f"{root if m[1] == 'app' else tmp_path / m[1]}/", script)
    (tmp_path / "actors" / ".seeding" / "sample").mkdir(parents=True)
    (tmp_path / "keys").mkdir()
    keys = []
    for _ in range(2):
        subprocess.run([*seed["entrypoint"], script.replace("python ", f"{sys.executable} ")], check=True)
        assert ActorStore(tmp_path / "actors").load("sample").version == 1
        key = tmp_path / "keys" / "checkpoint.keys"
        CheckpointSealer.from_file(key, setting="KEY")
        assert key.stat().st_mode & 0o077 == 0
        keys.append(key.read_text())
    assert keys[0] == keys[1]
    assert [path.name for path in (tmp_path / "actors").iterdir()] == ["sample"]


def test_bake_and_the_script_build_the_same_images(root: Path):
    """The same names from the same Dockerfiles."""
    text = (root / "docker-bake.hcl").read_text()
    found = re.findall(
        r'target "([a-z-]+)" \{\s+inherits\s+= \["ours"\]\s+dockerfile = "([^"]+)"\s+tags\s+= tags\("([a-z-]+)"\)', text
    )
    assert {name: dockerfile for name, dockerfile, _ in found} == DOCKERFILES
    assert all(name == tag for name, _, tag in found)
    (listed,) = re.findall(r"targets = \[(.*)\]", text)
    assert re.findall(r'"([a-z-]+)"', listed) == list(DOCKERFILES)
    assert f'default = "{VERSION}"' in text
    assert runpy.run_path(str(root / "scripts" / "images.py"))["DOCKERFILES"] == DOCKERFILES


def test_triton_and_its_agent_alone_share_its_key(root: Path, compose: dict[str, Any]):
    """In memory, for their user; Triton is started by the words of its image, which make a key at each start."""
    services, volume = compose["services"], "repository-key:/run/repository-key"
    mounted = {name: one for name, service in services.items() for one in service.get("volumes", []) if "key:" in one}
    assert mounted == {"triton": volume, "agent": f"{volume}:ro"}
    options = compose["volumes"]["repository-key"]["driver_opts"]
    assert options["type"] == "tmpfs"
    assert {"uid=10001", "mode=0700"} <= set(options["o"].split(","))
    assert not {"command", "entrypoint"} & (
        set(services["triton"]) | set(services["triton-cpu"]) | set(services["agent"])
    )
    (command,) = Dockerfile(root / DOCKERFILES["triton"]).all("CMD")
    words = json.loads(command)
    assert "--allow-http=false" in words
    assert re.search(r"/dev/urandom \| tr .* > \.key; mv -f \.key key; key=\$\(cat key\)", words[2])
    assert 'exec tritonserver "$@" --grpc-restricted-protocol=' in words[2]
    read = Dockerfile(root / DOCKERFILES["agent"]).environment["GENERATOR_TRITON_REPOSITORY_KEY_FILE"]
    assert read == "/run/repository-key/key"
