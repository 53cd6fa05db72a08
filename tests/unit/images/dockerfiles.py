"""The contents of our Dockerfiles, read without an engine."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from scripts.images import dockerfile_of


class Dockerfile:
    """The instructions of one image.

    stages: of the whole file, by name, with continued lines joined. own: the instructions that make the image: those of
    its stage and of the stages that it starts from, in order.
    """

    def __init__(self, root: Path, image: str) -> None:
        text = re.sub(r"^\s*#.*\n", "", (root / dockerfile_of(image)).read_text(), flags=re.MULTILINE)
        self.stages: dict[str, list[tuple[str, str]]] = {"": []}
        stage = ""
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            word, _, rest = line.partition(" ")
            if word == "FROM":
                _, stage = rest.split(" AS ")
                self.stages[stage] = []
            if word:
                self.stages[stage].append((word, rest))
        self.own: list[tuple[str, str]] = []
        parent = image
        while parent in self.stages:
            self.own = self.stages[parent] + self.own
            parent = self.stages[parent][0][1].split(" AS ")[0]
        self.origin = parent

    def all(self, word: str) -> list[str]:
        """Return every instruction of that kind in the image."""
        return [rest for kind, rest in self.own if kind == word]

    @property
    def base(self) -> str:
        """The default of BASE."""
        (found,) = [rest.removeprefix("BASE=") for _, rest in self.stages[""] if rest.startswith("BASE=")]
        return found

    @property
    def environment(self) -> dict[str, str]:
        """Every variable that the image sets."""
        return dict(re.findall(r"([A-Z_]+)=(\S+)", " ".join(self.all("ENV"))))

    @property
    def copied(self) -> list[str]:
        """The paths of the checkout that the image contains."""
        return [one for rest in self.all("COPY") if not rest.startswith("--from") for one in rest.split()[:-1]]


def imported_files(root: Path, *modules: str) -> set[str]:
    """Return the path of every file of ours that importing these modules reads, relative to the root."""
    found: set[str] = set()
    wanted = list(modules)
    while wanted:
        module = wanted.pop()
        parts = module.split(".")
        base = root / "protos" / "gen" if parts[0] == "dance" else root
        for depth in range(1, len(parts) + 1):
            place = base.joinpath(*parts[:depth])
            for path in (place.with_suffix(".py"), place / "__init__.py"):
                name = path.relative_to(root).as_posix()
                if not path.is_file() or name in found:
                    continue
                found.add(name)
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, ast.Import):
                        wanted += [alias.name for alias in node.names]
                    elif isinstance(node, ast.ImportFrom) and node.module:
                        wanted += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found
