"""Groups of command-line options: dataclasses whose fields typer sees as parameters of a command.

A field `name: Annotated[type, typer.Option(...)] = default` is an option; with `typer.Argument` it is an argument. A
field without `Annotated` is neither: the command sets it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import partial, wraps
from typing import Annotated, Any, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

P = ParamSpec("P")
R = TypeVar("R")


def option_groups(command: Callable[P, R]) -> Callable[P, R]:
    """Decorate a typer command whose parameters include groups of options.

    A parameter `group: Group` receives the finished dataclass. A parameter `group: Callable[..., Group]` receives a
    constructor that already has the options: the command calls it with the remaining fields. These are the fields that
    are not options, and those that share their name with a parameter of the command itself.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters, groups = [], {}
    for name, parameter in inspect.signature(command).parameters.items():
        group: type[Any] = get_args(hints[name])[-1] if get_origin(hints[name]) is Callable else hints[name]
        if is_dataclass(group):
            options = {key: hint for key, hint in option_hints(group).items() if key not in hints}
            groups[name] = (hints[name] is group, group, options)
            by_name = {field.name: field for field in fields(group)}
            parameters += [_parameter(key, hint, _default(by_name[key])) for key, hint in options.items()]
        else:
            parameters.append(_parameter(name, hints[name], parameter.default))

    @wraps(command)
    def grouped(*given: P.args, **options: P.kwargs) -> R:
        for name, (whole, group, own) in groups.items():
            made = partial(group, **{key: options.pop(key) for key in own})
            options[name] = made() if whole else made
        return command(*given, **options)

    setattr(grouped, "__signature__", inspect.Signature(parameters))  # noqa: B010
    grouped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return grouped


def option_hints(group: type) -> dict[str, Any]:
    """Return the annotated types of a group's options, by field name.

    Required options come first, then those of the class itself, then inherited ones.
    """
    hints = get_type_hints(group, include_extras=True)
    own = inspect.get_annotations(group)
    options = [field for field in fields(group) if get_origin(hints[field.name]) is Annotated]
    options.sort(key=lambda field: (_default(field) is not inspect.Parameter.empty, field.name not in own))
    return {field.name: hints[field.name] for field in options}


def words_of(group: object, always: Collection[str] = ()) -> Iterator[str]:
    """Yield the words of a command line that sets these options.

    Arguments are left out, and options at their default unless `always` names their field. Every option must be
    declared with its name, as in `typer.Option("--batch")`; a flag that is on by default as "--mirror/--no-mirror".
    """
    by_name = {field.name: field for field in fields(group)}  # type: ignore[arg-type]
    for name, hint in option_hints(type(group)).items():
        option, value, default = get_args(hint)[1], getattr(group, name), _default(by_name[name])
        if not isinstance(option.default, str) or (value == default and name not in always):
            continue
        on, _, off = option.default.partition("/")
        if isinstance(value, bool):
            assert value or off or not default, f"{on} has no form that turns it off: declare {on}/--no-..."
            yield from filter(None, [on if value else off])
        else:
            yield from (f"{option.default}={one}" for one in (value if isinstance(value, list) else [value]))


def _parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return inspect.Parameter.empty if field.default is MISSING else field.default
