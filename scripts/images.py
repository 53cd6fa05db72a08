#!/usr/bin/env python3
"""Builds our images, pushes them to a registry of yours, or loads them into kind or k3s.

    python scripts/images.py build [NAME ...]
    python scripts/images.py push --registry registry.example/me   # builds, pushes, and names them in the manifests
    python scripts/images.py load-kind [--cluster NAME]
    python scripts/images.py load-k3s
    python scripts/images.py names [--registry R]                  # names them in the manifests, nothing else

Needs nothing but Python and docker, podman or buildah. docs/images.md says more.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PROJECT: Final = "everybody-dance"
DOCKERFILES: Final = {
    "pose": "services/pose/Dockerfile",
    "normalize": "services/normalize/Dockerfile",
    "face": "services/face/Dockerfile",
    "orchestrator": "orchestrator/Dockerfile",
    "agent": "services/generator/Dockerfile.agent",
    "triton": "services/generator/Dockerfile.triton",
    "triton-cpu": "services/generator/Dockerfile.triton-cpu",
    "training": "training/Dockerfile",
}
ENGINES: Final = ("docker", "podman", "buildah")
_FOLDERS: Final = ("deploy", "overlays")
_HOST: Final = r"[a-z0-9][a-z0-9.-]*(?::\d+)?"
_FOLDER: Final = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_REGISTRY: Final = re.compile(rf"{_HOST}(?:/{_FOLDER})*")
# An image of ours: as it is named first, or as `image_name` names it for a registry. `everybody-dance-training` without
# a registry may be the name of anything.
_IMAGE: Final = re.compile(
    rf"(?<![\w./:-])(?:{PROJECT}/|{_HOST}/(?:{_FOLDER}/)*?{PROJECT}-)"
    rf"(?P<name>{'|'.join(sorted(DOCKERFILES, key=len, reverse=True))})(?P<tag>:[\w.-]+)?(?![\w/-])"
)


class Mistake(Exception):
    """What the user is told, in one line."""


Run = Callable[[Sequence[str]], None]


def run(command: Sequence[str]) -> None:
    """Runs it, its output to the terminal. Raises Mistake."""
    print("+ " + " ".join(command), flush=True)
    try:
        subprocess.run(command, check=True, cwd=ROOT)
    except FileNotFoundError as error:
        raise Mistake(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise Mistake(f"`{' '.join(command[:3])} ...` ended with exit code {error.returncode}") from error


def version_of(root: Path) -> str:
    """The project's version, which is every image's tag."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def image_name(name: str, version: str, registry: str = "") -> str:
    """`everybody-dance/pose:0.2.0`, or with a registry `registry.example/me/everybody-dance-pose:0.2.0`.

    With a registry the name is one word, since some registries allow no folders below an account.
    """
    return f"{registry}/{PROJECT}-{name}:{version}" if registry else f"{PROJECT}/{name}:{version}"


def set_names(root: Path, version: str, registry: str) -> list[Path]:
    """Names the images of `registry` ("" for none) in every manifest below deploy/ and overlays/.

    Returns the files that changed. Doing it again changes nothing; another registry takes the place of an earlier one.
    """

    def named(match: re.Match[str]) -> str:
        whole = image_name(match["name"], version, registry)
        # Kustomize's `images:` names images without their tags.
        return whole if match["tag"] else whole.rpartition(":")[0]

    changed = []
    for path in manifests(root):
        old = path.read_text()
        new = _IMAGE.sub(named, old)
        if new != old:
            path.write_text(new)
            changed.append(path)
    return changed


def manifests(root: Path) -> list[Path]:
    """Every manifest, also Kustomize's."""
    files = (path for folder in _FOLDERS for path in (root / folder).rglob("*") if path.is_file())
    return sorted(p for p in files if p.suffix in (".yaml", ".yml") or p.name == "Kustomization")


@dataclass(frozen=True, slots=True)
class Engine:
    """docker, podman or buildah."""

    program: str
    run: Run

    def build(self, name: str, version: str, revision: str) -> None:
        """Builds one image under its plain name."""
        words = ["bud", "--format", "docker"] if self.program == "buildah" else ["build"]
        if self.program == "podman":
            words += ["--format", "docker"]  # the other format has no health command
        labels = [f"--build-arg=VERSION={version}", f"--build-arg=REVISION={revision}"]
        self.run([self.program, *words, *labels, "--file", DOCKERFILES[name], "--tag", image_name(name, version), "."])

    def push(self, name: str, version: str, registry: str) -> None:
        """Pushes a built image under its name at `registry`."""
        there = image_name(name, version, registry)
        self.run([self.program, "tag", image_name(name, version), there])
        self.run([self.program, "push", there])

    def save(self, name: str, version: str, path: Path) -> None:
        """Writes a built image as an archive that says where Kubernetes looks for it: at docker.io."""
        image, there = image_name(name, version), f"docker.io/{image_name(name, version)}"
        if self.program == "buildah":
            self.run(["buildah", "push", image, f"docker-archive:{path}:{there}"])
        elif self.program == "podman":
            self.run(["podman", "tag", image, there])
            self.run(["podman", "save", "--format", "docker-archive", "--output", str(path), there])
        else:
            self.run(["docker", "save", "--output", str(path), image])


def engine(wanted: str | None, runs: Run = run) -> Engine:
    """The engine that was asked for, or the first one that is installed. Raises Mistake."""
    for program in ENGINES if wanted is None else (wanted,):
        if shutil.which(program) is not None:
            return Engine(program, runs)
    raise Mistake(f"{wanted} is not installed" if wanted else f"none of {', '.join(ENGINES)} is installed")


def revision_of(root: Path) -> str:
    """The commit, "unknown" outside a checkout; "-dirty" behind it when files differ."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
    )
    return said.stdout.strip() if said.returncode == 0 else "unknown"


def load(names: Iterable[str], version: str, made: Engine, into: Callable[[Path], Sequence[str]]) -> None:
    """Saves each image and hands the archive to the command that `into` makes; archives are large, so one at a time."""
    for name in names:
        with tempfile.TemporaryDirectory(prefix="dance-image-") as folder:
            archive = Path(folder) / f"{name}.tar"
            made.save(name, version, archive)
            made.run(into(archive))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(prog="python scripts/images.py", description=(__doc__ or "").splitlines()[0])
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command, what in (
        ("build", "build"),
        ("push", "build, push to a registry, and name them in the manifests below deploy/ and overlays/"),
        ("load-kind", "load built images into a kind cluster"),
        ("load-k3s", "load built images into the k3s of this machine"),
        ("names", "name them in the manifests, nothing else; without a registry as they are first"),
    ):
        one = commands.add_parser(command, help=what, description=what)
        if command != "names":
            one.add_argument("names", nargs="*", metavar="NAME", help=f"default: all: {', '.join(DOCKERFILES)}")
            one.add_argument("--engine", choices=ENGINES, help="default: the first that is installed")
        if command in ("push", "names"):
            one.add_argument("--registry", required=command == "push", default="", help="registry.example/me")
        if command == "load-kind":
            one.add_argument("--cluster", default="kind", help="default: %(default)s")
    return whole


def main(arguments: Sequence[str] | None = None, runs: Run = run, root: Path = ROOT) -> int:
    """The exit code."""
    options = parser().parse_args(arguments)
    try:
        carry_out(options, runs, root)
    except Mistake as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 1
    return 0


def carry_out(options: argparse.Namespace, runs: Run, root: Path) -> None:
    """What the command line asks for. Raises Mistake."""
    version = version_of(root)
    registry = getattr(options, "registry", "").removesuffix("/")
    if (registry or options.command == "push") and _REGISTRY.fullmatch(registry) is None:
        raise Mistake(f"--registry {registry!r} is none: expected host[:port][/path] in small letters")
    if options.command == "names":
        _tell(set_names(root, version, registry), root)
        return
    unknown = [name for name in options.names if name not in DOCKERFILES]
    if unknown:
        raise Mistake(f"there is no image {unknown[0]}; there are: {', '.join(DOCKERFILES)}")
    names = options.names or list(DOCKERFILES)
    made = engine(options.engine, runs)
    if options.command in ("build", "push"):
        for name in names:
            made.build(name, version, revision_of(root))
    if options.command == "push":
        for name in names:
            made.push(name, version, registry)
        _tell(set_names(root, version, registry), root)
    elif options.command == "load-kind":
        load(names, version, made, lambda path: ["kind", "load", "image-archive", str(path), "--name", options.cluster])
    elif options.command == "load-k3s":
        load(names, version, made, lambda path: ["k3s", "ctr", "images", "import", str(path)])


def _tell(changed: Sequence[Path], root: Path) -> None:
    for path in changed:
        print(f"named the images in {path.relative_to(root)}")
    if not changed:
        print("no manifest had to be changed")


if __name__ == "__main__":
    raise SystemExit(main())
