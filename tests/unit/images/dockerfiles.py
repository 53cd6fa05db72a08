"""What our Dockerfiles say, read without an engine."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

DOCKERFILES = {
    "pose": "services/pose/Dockerfile",
    "normalize": "services/normalize/Dockerfile",
    "face": "services/face/Dockerfile",
    "orchestrator": "orchestrator/Dockerfile",
    "agent": "services/generator/Dockerfile.agent",
    "triton": "services/generator/Dockerfile.triton",
    "triton-cpu": "services/generator/Dockerfile.triton-cpu",
    "training": "training/Dockerfile",
}


@dataclass
class Dockerfile:
    """The instructions of the whole file and of its last stage, in order, with continued lines joined."""

    path: Path
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        text = re.sub(r"^\s*#.*\n", "", self.path.read_text(), flags=re.MULTILINE)
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            if line.strip():
                word, _, rest = line.partition(" ")
                self.instructions.append((word, rest))

    @property
    def last_stage(self) -> list[tuple[str, str]]:
        """What the image consists of."""
        begins = [i for i, (word, _) in enumerate(self.instructions) if word == "FROM"]
        return self.instructions[begins[-1] :]

    def all(self, word: str) -> list[str]:
        """Every instruction of that kind in the last stage."""
        return [rest for kind, rest in self.last_stage if kind == word]

    @property
    def base(self) -> str:
        """The default of BASE."""
        (found,) = [rest.removeprefix("BASE=") for word, rest in self.instructions if rest.startswith("BASE=")]
        return found

    @property
    def extras(self) -> list[str]:
        """What is installed."""
        (found,) = re.findall(r'"\.\[([a-z,]+)\]"', " ".join(rest for word, rest in self.instructions if word == "RUN"))
        return found.split(",")

    @property
    def environment(self) -> dict[str, str]:
        """Every variable that is set."""
        return dict(re.findall(r"([A-Z_]+)=(\S+)", " ".join(self.all("ENV"))))

    @property
    def copied(self) -> list[str]:
        """Paths of the checkout that are in the image."""
        return [one for rest in self.all("COPY") if not rest.startswith("--from") for one in rest.split()[:-1]]


def imported_files(root: Path, *modules: str) -> set[str]:
    """Every file of ours, from the root, that importing these modules reads."""
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
