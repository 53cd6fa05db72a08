"""Settings: frozen dataclasses, read once from the environment when a process starts.

The field `max_in_flight: int` of a settings class with the prefix `POSE_` is the variable `POSE_MAX_IN_FLIGHT`. No
other code reads `os.environ`.
"""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from serving.errors import BadSettings

Settings = TypeVar("Settings")


def from_environment(
    settings_type: type[Settings], prefix: str, environment: Mapping[str, str] | None = None
) -> Settings:
    """Return an instance of the dataclass `settings_type` with every field that the environment sets.

    Raises BadSettings, naming the variable, for a value of the wrong type, for a value that `__post_init__` refuses
    with ValueError, and for a variable with our prefix that is not a field: a misspelt setting must not be silent.
    """
    environment = os.environ if environment is None else environment
    hints = typing.get_type_hints(settings_type)
    fields = {f"{prefix}{field.name.upper()}": field.name for field in dataclasses.fields(settings_type)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(prefix):
            continue
        # For a Service named "pose", Kubernetes adds POSE_SERVICE_HOST, POSE_PORT_50051_TCP and the like.
        if variable not in fields:
            if _set_by_kubernetes(variable.removeprefix(prefix)):
                continue
            raise BadSettings(variable, f"is not a setting; the settings are {', '.join(sorted(fields))}")
        values[fields[variable]] = _parsed(variable, text, hints[fields[variable]])
    try:
        return settings_type(**values)
    except ValueError as error:
        raise BadSettings(f"{prefix}*", str(error)) from error


def _set_by_kubernetes(rest: str) -> bool:
    return rest.startswith(("SERVICE_HOST", "SERVICE_PORT", "PORT_")) or rest == "PORT"


def _parsed(variable: str, text: str, hint: Any) -> Any:
    if isinstance(hint, types.UnionType):
        if text == "":
            return None
        hint = next(option for option in hint.__args__ if option is not types.NoneType)
    if hint is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise BadSettings(variable, f"expected true or false, got {text!r}")
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError as error:
            raise BadSettings(variable, f"expected {hint.__name__}, got {text!r}") from error
    if hint is Path:
        return Path(text)
    if hint is str:
        return text
    raise TypeError(f"{variable}: settings of type {hint} cannot be read from the environment")
