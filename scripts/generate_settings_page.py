"""Write docs/settings.md from the settings classes; with `--check`, fail if the page is out of date.

python scripts/generate_settings_page.py [--check]
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
from dataclasses import dataclass
from typing import Any, Final

from scripts.generated_files import ROOT, write_or_check

PAGE: Final = ROOT / "docs" / "settings.md"
EVERY: Final = ("serving/server.py", "ServerSettings")
PROCESSES: Final = (
    ("ORCHESTRATOR_", "orchestrator/settings.py", "OrchestratorSettings"),
    ("POSE_", "services/pose/settings.py", "PoseSettings"),
    ("NORMALIZE_", "services/normalize/settings.py", "NormalizeSettings"),
    ("FACE_", "services/face/settings.py", "FaceSettings"),
    ("GENERATOR_", "services/generator/settings.py", "GeneratorSettings"),
)
OTHERS: Final = (("TRAINING_METRICS_", "training/telemetry.py", "TrainingMetricsSettings"),)
"""Processes without a server, which do not have the settings of every server."""
INTRODUCTION: Final = """\
# Settings

Generated from the code by `python scripts/generate_settings_page.py`; a test fails if the page is out of date.

A process reads its environment once, at its start. If a value has the wrong type or is out of range, or a variable \
has the process's prefix but names no setting, the process writes one line to stderr and exits with code 2. The name \
explains a setting whose description is empty. [operations.md](operations.md) explains which settings to change and \
when.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the code declares it: name, type, default and description."""

    name: str
    kind: str
    default: str
    meaning: str


def settings_of(path: str, class_name: str) -> list[Setting]:
    """Return the fields of a settings class in order, each with the string literal that follows it."""
    tree = ast.parse((ROOT / path).read_text())
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    found: list[Setting] = []
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    defaults = {field.name: field.default for field in dataclasses.fields(getattr(module, class_name))}
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign):
            continue
        name = ast.unparse(node.target)
        meaning = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            meaning = " ".join(str(following.value.value).split())
        found.append(Setting(name, ast.unparse(node.annotation), _shown(defaults[name]), meaning))
    return found


def _shown(default: Any) -> str:
    if default is None:
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def page() -> str:
    """Return the whole page."""
    lines = [
        INTRODUCTION,
        "## Every server",
        "",
        "Each variable starts with the prefix of its process, for example `POSE_PORT`.",
        "",
    ]
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


if __name__ == "__main__":
    write_or_check({PAGE: page()})
