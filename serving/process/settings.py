"""Settings: frozen dataclasses, read once from the environment when a process starts.

The field `max_in_flight: int` of a settings class with the prefix `POSE_` is the variable `POSE_MAX_IN_FLIGHT`. No
other code reads `os.environ`. The type of a field may limit its values: `threads: AtLeastOne = 2`.
"""

from __future__ import annotations

import dataclasses
import math
import os
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from serving.errors import BadInput, BadSettings

Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit on a setting, in the form `Annotated[type, Rule(...)]`. must: the words after "must" in the error."""

    must: str
    holds: Callable[[Any], bool]


NOT_NEGATIVE: Final = Rule("not be negative", lambda value: 0 <= value < math.inf)
AtLeastOne = Annotated[int, Rule("be at least 1", lambda value: value >= 1)]
Port = Annotated[int, Rule("lie in 0 to 65535", lambda value: 0 <= value <= 65535)]
Positive = Annotated[float, Rule("be positive", lambda value: value > 0)]
FinitePositive = Annotated[float, Rule("be positive", lambda value: 0 < value < math.inf)]


def check(settings: Any) -> None:
    """Raise ValueError for a field that breaks a rule of its type or is not a value of its `Literal`."""
    for name, hint in typing.get_type_hints(type(settings), include_extras=True).items():
        rules = [one_of(*typing.get_args(hint))] if typing.get_origin(hint) is Literal else ()
        for rule in (*rules, *getattr(hint, "__metadata__", ())):
            value = getattr(settings, name)
            if not rule.holds(value):
                raise ValueError(f"{name} must {rule.must}, got {value!r}")


def one_of(*choices: str) -> Rule:
    """Return the rule that a setting must be one of `choices`."""
    return Rule(f"be {', '.join(choices[:-1])} or {choices[-1]}", choices.__contains__)


def from_environment(
    settings_type: type[Settings], prefix: str, environment: Mapping[str, str] | None = None
) -> Settings:
    """Return an instance of the dataclass `settings_type` with every field that the environment sets.

    Raises BadSettings, naming the variable, for a value of the wrong type, for a value that `__post_init__` refuses
    with ValueError or BadInput, and for a variable with our prefix that is not a field: a misspelt setting must be
    noticed.
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
    except (ValueError, BadInput) as error:
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
    if hint is str or typing.get_origin(hint) is Literal:
        return text
    raise TypeError(f"{variable}: settings of type {hint} cannot be read from the environment")
