"""compose.yaml and docker-bake.hcl match the code and each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.session.checkpoint import CheckpointSealer
from scripts.images import EXTRAS, dockerfile_of
from serving.actors.store import ActorStore
from serving.process.settings import from_environment
from serving.rpc.server import VERSION
from tests.unit.images.dockerfiles import Dockerfile
from tests.unit.images.test_dockerfiles import SETTINGS


@pytest.fixture(scope="module")
def compose(root: Path) -> dict[str, Any]:
    """The content of compose.yaml."""
    read: dict[str, Any] = yaml.safe_load((root / "compose.yaml").read_text())
    return read


def names_of(service: dict[str, Any], name: str) -> set[str]:
    """Return the names by which other containers reach the service."""
    networks = service.get("networks", [])
    aliases = (
        [alias for one in networks.values() for alias in one.get("aliases", [])] if isinstance(networks, dict) else []
    )
    return {name, *aliases}


def test_every_container_has_the_restrictions_of_a_pod(compose: dict[str, Any]):
    """Containers only write to /tmp and volumes, are not root, and have and gain no privileges."""
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["user"] == "10001:10001"
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["tmpfs"][0].startswith("/tmp:")
        for one in service.get("ports", []):
            assert one.startswith("127.0.0.1:")


def test_every_image_is_one_of_ours_and_is_built_from_its_dockerfile(compose: dict[str, Any]):
    """compose.yaml builds all images at the project's version, each from its own target with its extras."""
    seen = set()
    for service in compose["services"].values():
        found = re.fullmatch(rf"everybody-dance/([a-z-]+):{re.escape(VERSION)}", service["image"])
        assert found is not None
        expected = {"context": ".", "target": found[1], "args": {"EXTRAS": EXTRAS[found[1]]}}
        if dockerfile_of(found[1]) != "Dockerfile":
            expected["dockerfile"] = dockerfile_of(found[1])
        assert service["build"] == expected
        seen.add(found[1])
    assert seen == set(EXTRAS)


def test_settings_are_read_as_the_processes_read_them(root: Path, compose: dict[str, Any]):
    """Together with the images' own settings, there is no misspelt variable, and plaintext is allowed where needed."""
    for name, (settings, prefix, _) in SETTINGS.items():
        environment = Dockerfile(root, name).environment | compose["services"][name]["environment"]
        from_environment(settings, prefix, environment)


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_the_orchestrator_finds_each_stage(root: Path, compose: dict[str, Any], profile: str):
    """Each address names a running container on the same network and a port on which it listens."""
    services = compose["services"]
    running = {n: s for n, s in services.items() if not s.get("profiles") or profile in s["profiles"]}
    ports: dict[str, set[str]] = {}
    for name, service in running.items():
        if name == "seed":
            continue
        (exposed,) = Dockerfile(root, name).all("EXPOSE")
        owner = service.get("network_mode", f"service:{name}").removeprefix("service:")
        for called in names_of(running[owner], owner):
            ports.setdefault(called, set()).update(exposed.split())
    for variable, address in services["orchestrator"]["environment"].items():
        if variable.endswith("_ADDRESS"):
            called, _, port = address.removeprefix("dns:///").rpartition(":")
            assert port in ports[called], f"{variable} {address}"


def test_the_page_finds_the_orchestrator(root: Path, compose: dict[str, Any]):
    """The page is on a network with the orchestrator and not with the stages, and its files are on a volume."""
    services = compose["services"]
    name, _, port = services["web"]["environment"]["WEB_SERVER"].rpartition(":")
    assert port in Dockerfile(root, name).all("EXPOSE")[0].split()
    assert services["web"]["networks"] == ["clients"]
    assert "clients" in services[name]["networks"]
    assert services["web"]["volumes"] == [f"web:{Dockerfile(root, 'web').environment['WEB_DATA_FOLDER']}"]
    assert "web" in compose["volumes"]


def test_a_cpu_is_the_default(root: Path, compose: dict[str, Any]):
    """`docker compose up` reads the CPU profile from .env; each profile has one Triton."""
    assert "COMPOSE_PROFILES=cpu" in (root / ".env").read_text().splitlines()
    tritons = {name: s["profiles"] for name, s in compose["services"].items() if "triton" in name}
    assert tritons == {"triton-cpu": ["cpu"], "triton": ["gpu"]}


def test_the_first_start_seeds_empty_volumes_and_the_next_changes_nothing(
    root: Path, compose: dict[str, Any], tmp_path: Path
):
    """Seeding writes the whole sample actor and a valid key, even if an earlier start was interrupted."""
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
    """docker-bake.hcl has the names, extras, Dockerfiles and version of scripts/images.py."""
    text = (root / "docker-bake.hcl").read_text()
    assert dict(re.findall(r'\{ name = "([a-z-]+)", extras = "([a-z,]+)" \}', text)) == EXTRAS
    (image, one, others) = re.findall(r'image\.name == "(.*)" \? "(.*)" : "(.*)"\n', text)[0]
    assert {name: one if name == image else others for name in EXTRAS} == {name: dockerfile_of(name) for name in EXTRAS}
    assert f'default = "{VERSION}"' in text


def test_only_triton_and_its_agent_share_its_key(root: Path, compose: dict[str, Any]):
    """The key is in memory and only for their user; Triton's image makes a new one at each start."""
    services, volume = compose["services"], "repository-key:/run/repository-key"
    mounted = {name: one for name, service in services.items() for one in service.get("volumes", []) if "key:" in one}
    assert mounted == {"triton": volume, "agent": f"{volume}:ro"}
    options = compose["volumes"]["repository-key"]["driver_opts"]
    assert options["type"] == "tmpfs"
    assert {"uid=10001", "mode=0700"} <= set(options["o"].split(","))
    assert not {"command", "entrypoint"} & (
        set(services["triton"]) | set(services["triton-cpu"]) | set(services["agent"])
    )
    (command,) = Dockerfile(root, "triton").all("CMD")
    words = json.loads(command)
    assert "--allow-http=false" in words
    assert re.search(r"/dev/urandom \| tr .* > \.key; mv -f \.key key; key=\$\(cat key\)", words[2])
    assert 'exec tritonserver "$@" --grpc-restricted-protocol=' in words[2]
    read = Dockerfile(root, "agent").environment["GENERATOR_TRITON_REPOSITORY_KEY_FILE"]
    assert read == "/run/repository-key/key"
