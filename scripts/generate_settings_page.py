"""Write docs/settings.md from the settings and options in the code; with `--check`, fail if the page is out of date.

python scripts/generate_settings_page.py [--check]
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import typing
from dataclasses import dataclass
from typing import Any, Final

import typer

from client.commands.app import app
from scripts.generated_files import ROOT, write_or_check
from training.losses import LossWeights
from training.presets import PRESETS, Preset, preset_named

PAGE: Final = ROOT / "docs" / "settings.md"
EVERY: Final = ("serving/rpc/server.py", "ServerSettings")
PROCESSES: Final = (
    ("ORCHESTRATOR_", "orchestrator/settings.py", "OrchestratorSettings"),
    ("POSE_", "services/pose/settings.py", "PoseSettings"),
    ("NORMALIZE_", "services/normalize/settings.py", "NormalizeSettings"),
    ("FACE_", "services/face/settings.py", "FaceSettings"),
    ("GENERATOR_", "services/generator/settings.py", "GeneratorSettings"),
    ("WEB_", "web/settings.py", "WebSettings"),
)
OTHERS: Final = (("TRAINING_METRICS_", "training/reporting/metrics.py", "TrainingMetricsSettings"),)
"""Processes that are not servers, so the settings of every server do not apply to them."""
INTRODUCTION: Final = """\
# Settings

Look up a setting here. [operations.md](operations.md) explains which ones to change when.

- [Every server](#every-server), then each process: [orchestrator](#orchestrator_), [pose](#pose_), \
[normalize](#normalize_), [face](#face_), [generator](#generator_), [page](#web_), \
[metrics of a training](#training_metrics_)
- [The `dance` command](#the-dance-command)
- [Options of a training](#options-of-a-training), its [presets](#presets) and their [loss weights](#loss-weights)

A process reads its environment once, when it starts. It prints one line on stderr and exits with code 2 if a value \
has the wrong type, if a value is out of range, or if a variable has the process's prefix but is not a setting. An \
empty cell means that the setting needs no explanation beyond its name.

`python scripts/generate_settings_page.py` writes this page from the code; a test checks that the page is up to date.
"""
EVERY_SERVER: Final = (
    "Put the process's prefix before each name, as in `POSE_PORT`. "
    "A port of 0 takes a free one, which the ready line names."
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its field, type, default and description from the code."""

    name: str
    kind: str
    default: str
    meaning: str


def settings_of(path: str, class_name: str) -> list[Setting]:
    """Return the fields of a settings class in order, each with the string literal that follows it."""
    tree = ast.parse((ROOT / path).read_text())
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    found: list[Setting] = []
    settings_type = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), class_name)
    defaults = {field.name: field.default for field in dataclasses.fields(settings_type)}
    hints = typing.get_type_hints(settings_type)
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign):
            continue
        name = ast.unparse(node.target)
        meaning = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            meaning = " ".join(str(following.value.value).split())
        found.append(Setting(name, _kind(hints[name]), _shown(defaults[name]), meaning))
    return found


def _kind(hint: Any) -> str:
    """The name of a field's type, without its limits and without None."""
    if typing.get_origin(hint) is typing.Literal:
        return "str"
    return str((typing.get_args(hint) or (hint,))[0].__name__)


def _shown(default: Any) -> str:
    if default is None:
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def page() -> str:
    """Return the whole page."""
    lines = [INTRODUCTION, "## Every server", "", EVERY_SERVER, ""]
    lines += _table("", settings_of(*EVERY))
    for prefix, path, class_name in (*PROCESSES, *OTHERS):
        lines += ["", f"## {prefix}*", "", *_table(prefix, settings_of(path, class_name))]
    lines += ["", "## The `dance` command", "", *_variables_of_the_client()]
    lines += ["", "## Options of a training", "", *_training_options()]
    lines += ["", "## Presets", "", *_presets(), "", "## Loss weights", "", *_loss_weights()]
    return "\n".join(lines) + "\n"


def _table(prefix: str, settings: list[Setting]) -> list[str]:
    rows = [f"| `{prefix}{one.name.upper()}` | {one.kind} | {one.default} | {one.meaning} |" for one in settings]
    return ["| variable | type | default | |", "|---|---|---|---|", *rows]


def _commands(command: Any) -> list[Any]:
    return [command, *(one for sub in getattr(command, "commands", {}).values() for one in _commands(sub))]


def _variables_of_the_client() -> list[str]:
    options = [
        option for command in _commands(typer.main.get_command(app)) for option in command.params if option.envvar
    ]
    rows = {one.envvar: f"| `{one.envvar}` | `{one.opts[0]}` | {one.help} |" for one in reversed(options)}
    return [
        "An option on the command line takes precedence over its variable.", "",
        "| variable | the same as | |", "|---|---|---|", *(rows[name] for name in sorted(rows)),
    ]  # fmt: skip


def _training_options() -> list[str]:
    dance: Any = typer.main.get_command(app)
    options = [one for one in dance.commands["train"].params if one.param_type_name == "option"]
    rows = [f"| `{one.opts[0]}` | {_option_default(one)} | {' '.join((one.help or '').split())} |" for one in options]
    return [
        "Of `dance train`. `python -m training` has the same, without those that need a cluster.", "",
        "| option | default | |", "|---|---|---|", *rows,
    ]  # fmt: skip


def _option_default(option: Any) -> str:
    default = getattr(option.default, "value", option.default)
    if option.required:
        return "required"
    if default is False:
        return "off"
    return "none" if default in (None, "", []) else _shown(default)


def _presets() -> list[str]:
    rows = []
    for preset in map(preset_named, PRESETS):
        shape = preset.generator
        network = f"{shape.base_channels} channels, {shape.downsamplings} halvings, {shape.blocks} blocks"
        network += ", inside a local enhancer" if shape.enhanced else ""
        drawn = "the person, onto a plate" if shape.plate else "the whole picture"
        drawn += ", with a reference" if shape.reference else ""
        size = f"{preset.width_px}x{preset.height_px}"
        rows.append(f"| `{preset.name}` | {size} | {network} | {drawn} | {_length(preset)} | {shape.padding} |")
    return [
        "Padding is that of the convolutions that halve the size.", "",
        "| preset | picture | network | draws | length | padding |", "|---|---|---|---|---|---|", *rows,
    ]  # fmt: skip


def _length(preset: Preset) -> str:
    if preset.epochs is None:
        most = "" if preset.pictures is None else f"{preset.pictures} frames, at most "
        return f"{most}{preset.minutes:g} minutes"
    coarse = f"{preset.epochs.coarse:g} epochs coarse, " if preset.epochs.coarse else ""
    return f"{coarse}{preset.epochs.body:g} epochs body, {preset.epochs.face:g} face"


def _loss_weights() -> list[str]:
    terms = [field.name for field in dataclasses.fields(LossWeights)]
    rows = []
    for preset in map(preset_named, PRESETS):
        weights_of = {"body": preset.weights} | ({} if preset.face is None else {"face": preset.face_weights})
        for network, weights in weights_of.items():
            values = " | ".join(f"{getattr(weights, term):g}" for term in terms)
            rows.append(f"| `{preset.name}`, {network} | {values} |")
    return [
        "A term of weight 0 is not computed. [The losses](training-reference.md#the-losses) explains each.", "",
        f"| network | {' | '.join(term.replace('_', ' ') for term in terms)} |", "|---" * (len(terms) + 1) + "|", *rows,
    ]  # fmt: skip


if __name__ == "__main__":
    write_or_check({PAGE: page()})
