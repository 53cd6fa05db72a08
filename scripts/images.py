#!/usr/bin/env python3
"""Build the images, push them to your registry, or load them into kind or k3s.

    python scripts/images.py build [NAME ...]
    python scripts/images.py push --registry registry.example/me   # build, push, and write the names into the manifests
    python scripts/images.py load-kind [--cluster NAME]
    python scripts/images.py load-k3s
    python scripts/images.py names [--registry R]                  # only write the names into the manifests

This needs only Python and docker, podman or buildah. docs/images.md describes the images.
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
EXTRAS: Final = {
    "pose": "pose",
    "normalize": "normalize",
    "face": "face",
    "orchestrator": "orchestrator",
    "agent": "generator",
    "triton": "generator,gpu",
    "triton-cpu": "generator,triton",
    "training": "training",
    "web": "web,deploy",
}
"""The images, and the extras of pyproject.toml that each one installs."""
ENGINES: Final = ("docker", "podman", "buildah")
_FOLDERS: Final = ("deploy", "overlays")
_HOST: Final = r"[a-z0-9][a-z0-9.-]*(?::\d+)?"
_FOLDER: Final = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_REGISTRY: Final = re.compile(rf"{_HOST}(?:/{_FOLDER})*")
# One of our images: with its plain name, or with the name that `image_name` makes for a registry. Without a registry,
# `everybody-dance-training` may be the name of something else.
_IMAGE: Final = re.compile(
    rf"(?<![\w./:-])(?:{PROJECT}/|{_HOST}/(?:{_FOLDER}/)*?{PROJECT}-)"
    rf"(?P<name>{'|'.join(sorted(EXTRAS, key=len, reverse=True))})(?P<tag>:[\w.-]+)?(?![\w/-])"
)


class Mistake(Exception):
    """An error message for the user, in one line."""


Run = Callable[[Sequence[str]], None]


def run(command: Sequence[str]) -> None:
    """Run a command with its output on the terminal. Raises Mistake."""
    print("+ " + " ".join(command), flush=True)
    try:
        subprocess.run(command, check=True, cwd=ROOT)
    except FileNotFoundError as error:
        raise Mistake(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise Mistake(f"`{' '.join(command[:3])} ...` failed with exit code {error.returncode}") from error


def version_of(root: Path) -> str:
    """Return the project's version, the tag of every image."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def image_name(name: str, version: str, registry: str = "") -> str:
    """Return `everybody-dance/pose:0.2.0`, or with a registry `registry.example/me/everybody-dance-pose:0.2.0`.

    With a registry, the name has one path segment, because some registries do not allow folders below an account.
    """
    return f"{registry}/{PROJECT}-{name}:{version}" if registry else f"{PROJECT}/{name}:{version}"


def dockerfile_of(name: str) -> str:
    """Return the path of the image's Dockerfile; the image is its target of the same name."""
    return "services/generator/Dockerfile.triton" if name == "triton" else "Dockerfile"


def set_names(root: Path, version: str, registry: str) -> list[Path]:
    """Write the image names for `registry` ("" for the plain names) into every manifest in deploy/ and overlays/.

    Returns the changed files. A second call changes nothing; another registry replaces an earlier one.
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
    """Return every manifest, including Kustomize's."""
    files = (path for folder in _FOLDERS for path in (root / folder).rglob("*") if path.is_file())
    return sorted(p for p in files if p.suffix in (".yaml", ".yml") or p.name == "Kustomization")


@dataclass(frozen=True, slots=True)
class Engine:
    """docker, podman or buildah."""

    program: str
    run: Run

    def build(self, name: str, version: str, revision: str) -> None:
        """Build one image under its plain name."""
        words = ["bud", "--format", "docker"] if self.program == "buildah" else ["build"]
        if self.program == "podman":
            words += ["--format", "docker"]  # the OCI format has no health command
        arguments = {"EXTRAS": EXTRAS[name], "VERSION": version, "REVISION": revision}
        words += [f"--build-arg={key}={value}" for key, value in arguments.items()]
        words += ["--file", dockerfile_of(name), "--target", name, "--tag", image_name(name, version), "."]
        self.run([self.program, *words])

    def push(self, name: str, version: str, registry: str) -> None:
        """Push a built image under its name in `registry`."""
        there = image_name(name, version, registry)
        self.run([self.program, "tag", image_name(name, version), there])
        self.run([self.program, "push", there])

    def save(self, name: str, version: str, path: Path) -> None:
        """Write a built image to an archive under the name that Kubernetes expects: at docker.io."""
        image, there = image_name(name, version), f"docker.io/{image_name(name, version)}"
        if self.program == "buildah":
            self.run(["buildah", "push", image, f"docker-archive:{path}:{there}"])
        elif self.program == "podman":
            self.run(["podman", "tag", image, there])
            self.run(["podman", "save", "--format", "docker-archive", "--output", str(path), there])
        else:
            self.run(["docker", "save", "--output", str(path), image])


def engine(wanted: str | None, runs: Run = run) -> Engine:
    """Return the wanted engine, or else the first installed one. Raises Mistake."""
    for program in ENGINES if wanted is None else (wanted,):
        if shutil.which(program) is not None:
            return Engine(program, runs)
    raise Mistake(f"{wanted} is not installed" if wanted else f"none of {', '.join(ENGINES)} is installed")


def revision_of(root: Path) -> str:
    """Return the commit, with the suffix "-dirty" if files differ from it; "unknown" outside a checkout."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
    )
    return described.stdout.strip() if described.returncode == 0 else "unknown"


def load(names: Iterable[str], version: str, made: Engine, into: Callable[[Path], Sequence[str]]) -> None:
    """Save each image and run the command that `into` makes for its archive; one by one, because archives are large."""
    for name in names:
        with tempfile.TemporaryDirectory(prefix="dance-image-") as folder:
            archive = Path(folder) / f"{name}.tar"
            made.save(name, version, archive)
            made.run(into(archive))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = argparse.ArgumentParser(prog="python scripts/images.py", description=(__doc__ or "").splitlines()[0])
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command, what in (
        ("build", "build images"),
        ("push", "build, push to a registry, and write the names into the manifests in deploy/ and overlays/"),
        ("load-kind", "load built images into a kind cluster"),
        ("load-k3s", "load built images into this machine's k3s"),
        ("names", "only write the names into the manifests; without a registry, the plain names"),
    ):
        one = commands.add_parser(command, help=what, description=what)
        if command != "names":
            one.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(EXTRAS)}")
            one.add_argument("--engine", choices=ENGINES, help="default: the first installed one")
        if command in ("push", "names"):
            one.add_argument("--registry", required=command == "push", default="", help="registry.example/me")
        if command == "load-kind":
            one.add_argument("--cluster", default="kind", help="default: %(default)s")
    return whole


def main(arguments: Sequence[str] | None = None, runs: Run = run, root: Path = ROOT) -> int:
    """Run one command line and return the exit code."""
    options = parser().parse_args(arguments)
    try:
        carry_out(options, runs, root)
    except Mistake as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 1
    return 0


def carry_out(options: argparse.Namespace, runs: Run, root: Path) -> None:
    """Run the chosen command. Raises Mistake."""
    version = version_of(root)
    registry = getattr(options, "registry", "").removesuffix("/")
    if (registry or options.command == "push") and _REGISTRY.fullmatch(registry) is None:
        raise Mistake(f"--registry {registry!r} is invalid: expected host[:port][/path] in lower case")
    if options.command == "names":
        _report(set_names(root, version, registry), root)
        return
    unknown = [name for name in options.names if name not in EXTRAS]
    if unknown:
        raise Mistake(f"unknown image {unknown[0]}; the images are {', '.join(EXTRAS)}")
    names = options.names or list(EXTRAS)
    made = engine(options.engine, runs)
    if options.command in ("build", "push"):
        for name in names:
            made.build(name, version, revision_of(root))
    if options.command == "push":
        for name in names:
            made.push(name, version, registry)
        _report(set_names(root, version, registry), root)
    elif options.command == "load-kind":
        load(names, version, made, lambda path: ["kind", "load", "image-archive", str(path), "--name", options.cluster])
    elif options.command == "load-k3s":
        load(names, version, made, lambda path: ["k3s", "ctr", "images", "import", str(path)])


def _report(changed: Sequence[Path], root: Path) -> None:
    for path in changed:
        print(f"wrote the image names into {path.relative_to(root)}")
    if not changed:
        print("all manifests already had these image names")


if __name__ == "__main__":
    raise SystemExit(main())
