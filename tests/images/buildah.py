"""Build and run our images without a container engine: buildah in chroots, on a base that debootstrap makes.

Nothing is pulled. This machine's settings for pip and apt, such as a package index and its certificates, are mounted
into the builds, so they do not end up in any image.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.images import EXTRAS, dockerfile_of

USER = "10001:10001"
MACHINE = "/machine"
"""The mount point of the machine's settings."""
PIP_KEYS = (
    "cert",
    "client-cert",
    "default-timeout",
    "extra-index-url",
    "find-links",
    "index-url",
    "proxy",
    "timeout",
    "trusted-host",
)
PACKAGES = "python3,python3-venv,libpython3.11,ca-certificates"
NEEDED = ("buildah", "debootstrap")


def missing() -> str:
    """Return the reason why this machine cannot build images, or an empty string."""
    tools = [tool for tool in NEEDED if shutil.which(tool) is None]
    if tools:
        return f"{' and '.join(tools)} {'is' if len(tools) == 1 else 'are'} not installed"
    return "" if os.geteuid() == 0 else "debootstrap needs root to make a base"


@dataclass
class MachineSettings:
    """This machine's settings of pip and apt, copied to `folder` for a build. mounts: source and target."""

    folder: Path
    mounts: list[tuple[Path, str]] = field(default_factory=list)
    _files: int = 0

    def write(self) -> None:
        """Find the settings and write `pip.conf` and `apt.conf`; both may be empty."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.mounts = [(self.folder, MACHINE)]
        lines = [f"{key} = {self._inside(value, key)}" for key, value in sorted(_pip_settings().items())]
        (self.folder / "pip.conf").write_text("\n".join(["[global]", *lines, ""]))
        (self.folder / "apt.conf").write_text("".join(self._inside(line, "apt") + "\n" for line in _apt_settings()))

    def _inside(self, value: str, key: str) -> str:
        """Return the setting with paths of this machine replaced by the paths where they are mounted."""

        def replaced(match: re.Match[str]) -> str:
            scheme, path = match.group(1) or "", Path(match.group(2))
            if path.is_file():
                self._files += 1
                copy = self.folder / f"file{self._files}{path.suffix}"
                shutil.copyfile(path, copy)
                return f"{scheme}{MACHINE}/{copy.name}"
            if not path.is_dir():
                return match.group(0)
            # The pages of an index may link to files next to it.
            source = path.parent if key.endswith("index-url") and path.parent != Path("/") else path
            target = f"{MACHINE}{len(self.mounts)}"
            self.mounts.append((source, target))
            return f"{scheme}{target}" if source == path else f"{scheme}{target}/{path.name}"

        return re.sub(r"(?<![^\s\"])(file://)?(/[^\s\"]+)", replaced, value)


def _pip_settings() -> dict[str, str]:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, str] = {}
    environment: dict[str, str] = {}
    for line in listed.splitlines():
        section, _, rest = line.partition(".")
        key, _, value = rest.partition("=")
        if key in PIP_KEYS:
            (environment if section == ":env:" else found)[key] = " ".join(str(ast.literal_eval(value)).split())
    return found | environment


def _apt_settings() -> list[str]:
    if shutil.which("apt-config") is None:
        return []
    dumped = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    return [line for line in dumped.splitlines() if re.match(r"Acquire::(?:Check-|https?::|Retries)", line)]


class Buildah:
    """A private store of images in `folder`; `remove` deletes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machine = MachineSettings(folder / "machine")
        self.machine.write()

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a buildah command on this store."""
        store = ["--root", str(self.folder / "store"), "--runroot", str(self.folder / "run"), "--storage-driver", "vfs"]
        return [shutil.which("buildah") or "buildah", *store, *arguments]

    def run(self, *arguments: str, timeout_s: float = 1800.0) -> str:
        """Run a command and return its output. Raises AssertionError with the end of the output."""
        environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(self.folder)}
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=timeout_s, env=environment, check=False
        )
        assert done.returncode == 0, f"buildah {arguments[0]}: {(done.stdout + done.stderr)[-4000:]}"
        return done.stdout

    def has(self, image: str) -> bool:
        """Return whether the store contains the image."""
        return image in self.run("images", "--format", "{{.Name}}:{{.Tag}}").split()

    def make_base(self, name: str) -> None:
        """Commit a minimal Debian bookworm with Python 3.11 under the name that a FROM uses."""
        container = self.run("from", "scratch").strip()
        root = self.run("mount", container).strip()
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root],
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        assert made.returncode == 0, f"debootstrap: {(made.stdout + made.stderr)[-4000:]}"
        shutil.rmtree(Path(root) / "var" / "cache" / "apt" / "archives", ignore_errors=True)
        self.run("umount", container)
        settings = (f"PIP_CONFIG_FILE={MACHINE}/pip.conf", f"APT_CONFIG={MACHINE}/apt.conf")
        self.run("config", *(word for setting in settings for word in ("--env", setting)), container)
        self.run("commit", "--format", "docker", "--rm", container, name)

    def build(self, root: Path, name: str, image: str, **build_arguments: str) -> float:
        """Build the image `name` of the checkout `root` as `image`; return the seconds it took."""
        build_arguments["EXTRAS"] = EXTRAS[name]
        arguments = [f"--build-arg={key}={value}" for key, value in build_arguments.items()]
        began_s = time.monotonic()
        self.run(
            *("bud", "--pull-never", "--network", "host", "--isolation", "chroot", "--format", "docker"),
            *(*arguments, *(f"--volume={source}:{target}:ro" for source, target in self.machine.mounts)),
            *("--file", str(root / dockerfile_of(name)), "--target", name, "--tag", image),
            str(root),
        )
        return time.monotonic() - began_s

    def size_bytes(self, container: str) -> int:
        """Return the size of all files in the container's root."""
        du = subprocess.run(
            ["du", "--summarize", "--bytes", str(self.root_of(container))], capture_output=True, text=True, check=True
        )
        return int(du.stdout.split()[0])

    def config(self, image: str) -> Mapping[str, Any]:
        """Return the image's configuration in Docker's format: User, Entrypoint, Healthcheck, Labels, ..."""
        described = json.loads(self.run("inspect", "--type", "image", image))
        found: Mapping[str, Any] = described["Docker"]["config"]
        return found

    def container(self, image: str) -> str:
        """Create a container of the image without starting it."""
        return self.run("from", "--pull-never", image).strip()

    def root_of(self, container: str) -> Path:
        """Mount the container and return its root folder."""
        return Path(self.run("mount", container).strip())

    def inside(
        self,
        container: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        volumes: Sequence[str] = (),
    ) -> list[str]:
        """Return the command line that runs `command` in the container as our images' user, on the host's network.

        volumes: `source:target:ro` or `:rw`.
        """
        settings = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        return self.command(
            *(
                "run",
                "--isolation",
                "chroot",
                "--user",
                USER,
                *settings,
                *(f"--volume={one}" for one in volumes),
                container,
                "--",
            ),
            *command,
        )

    def remove_images(self, *images: str) -> None:
        """Remove the images and all containers; other images stay."""
        self.run("rm", "--all")
        self.run("rmi", "--force", *images)

    def remove(self) -> None:
        """Remove the whole store."""
        self.run("rm", "--all")
        self.run("rmi", "--all", "--force")
        shutil.rmtree(self.folder, ignore_errors=True)
