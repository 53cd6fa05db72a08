"""Writes docs/settings.md from the settings that the code has; `--check` fails where the page lags behind.

python scripts/generate_settings_page.py [--check]
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "settings.md"
EVERY: Final = ("serving/rpc/server.py", "ServerSettings")
PROCESSES: Final = (
    ("ORCHESTRATOR_", "orchestrator/settings.py", "OrchestratorSettings"),
    ("POSE_", "services/pose/settings.py", "PoseSettings"),
    ("NORMALIZE_", "services/normalize/settings.py", "NormalizeSettings"),
    ("FACE_", "services/face/settings.py", "FaceSettings"),
    ("GENERATOR_", "services/generator/settings.py", "GeneratorSettings"),
)
OTHERS: Final = (("TRAINING_METRICS_", "training/reporting/metrics.py", "TrainingMetricsSettings"),)
"""Processes that are no servers, so that what every process can be told does not go for them."""
INTRODUCTION: Final = """\
# Settings

Look up a setting here. [operations.md](operations.md) explains which ones to change when.

A process reads its environment once, at its start. It prints one line on stderr and exits with code 2 if a value has \
the wrong type, if a value is out of range, or if a variable has the process's prefix but is not a setting. An empty \
cell means that the setting needs no explanation beyond its name.

`python scripts/generate_settings_page.py` writes this page from the code; a test keeps the two together.
"""
EVERY_SERVER: Final = (
    "Put the prefix of the process in front, as in `POSE_PORT`. "
    "A port of 0 takes a free one, which the ready line names."
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its field, type and default as the code has them, and what is said of it."""

    name: str
    kind: str
    default: str
    meaning: str


def settings_of(path: str, class_name: str) -> list[Setting]:
    """The fields of a settings class, in their order, with the string that follows each."""
    tree = ast.parse((ROOT / path).read_text())
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    found: list[Setting] = []
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    defaults = {field.name: field.default for field in dataclasses.fields(getattr(module, class_name))}
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign):
            continue
        name = ast.unparse(node.target)
        said = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            said = " ".join(str(following.value.value).split())
        found.append(Setting(name, ast.unparse(node.annotation), _shown(defaults[name]), said))
    return found


def _shown(default: Any) -> str:
    if default is None:
        return "none"
    return (
        str(default).lower()
        if isinstance(default, bool)
        else f"{default:g}"
        if isinstance(default, float)
        else str(default)
    )


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION, "## Every server", "", EVERY_SERVER, ""]
    lines += _table("", settings_of(*EVERY))
    for prefix, path, class_name in (*PROCESSES, *OTHERS):
        lines += ["", f"## {prefix}*", "", *_table(prefix, settings_of(path, class_name))]
    return "\n".join(lines) + "\n"


def _table(prefix: str, settings: list[Setting]) -> list[str]:
    rows = [
        f"| `{prefix}{one.name.upper()}` | {one.kind.replace(' | None', '')} | {one.default} | {one.meaning} |"
        for one in settings
    ]
    return ["| variable | type | default | |", "|---|---|---|---|", *rows]


def main() -> None:
    """Writes the page, or compares it."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        raise SystemExit(f"error: {PAGE.name} lags behind the code: python scripts/{Path(__file__).name} writes it")


if __name__ == "__main__":
    main()
