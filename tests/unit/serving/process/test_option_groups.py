"""Dataclasses of options as parameters of commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from serving.process.option_groups import option_groups, option_hints, words_of


@dataclass(frozen=True, kw_only=True)
class Dance:
    """Options of a dance."""

    steps: Annotated[int, typer.Option("--steps", min=1)]
    music: Annotated[list[str], typer.Option("--music")] = field(default_factory=list)
    partner: str = "nobody"


@dataclass(frozen=True, kw_only=True)
class Waltz(Dance):
    """Adds an option to those of Dance."""

    left: Annotated[bool, typer.Option("--left", help="Turn left.")] = False


def called(command: Callable[..., None], *words: str) -> str:
    """The error or help text of the command."""
    app = typer.Typer(rich_markup_mode=None)
    app.command()(command)
    return CliRunner().invoke(app, list(words)).output


def test_a_group_arrives_with_its_options():
    """A field that is not annotated is not an option and keeps its default; others may be required or repeated."""
    seen = []

    @option_groups
    def command(name: str, waltz: Waltz, loud: bool = False) -> None:
        seen.append((name, waltz, loud))

    assert called(command, "blue", "--steps", "3", "--music", "a", "--music", "b", "--left", "--loud") == ""
    assert seen == [("blue", Waltz(steps=3, music=["a", "b"], left=True), True)]
    assert "Missing option '--steps'" in called(command, "blue")
    text = called(command, "--help")
    assert text.index("--steps") < text.index("--left") < text.index("--music")
    assert "--partner" not in text


def test_a_command_completes_a_group_itself():
    """It sets the fields that are not options, and those for which it has an option of its own."""
    seen = []

    @option_groups
    def command(waltz: Callable[..., Waltz], steps: int = 8) -> None:
        seen.append(waltz(steps=steps, partner="me"))

    assert called(command, "--left") == ""
    assert seen == [Waltz(steps=8, left=True, partner="me")]


def test_the_words_of_a_group_ask_for_it_again():
    """Options at their default are left out, unless they are always wanted."""
    assert list(option_hints(Waltz)) == ["steps", "left", "music"]
    assert list(words_of(Waltz(steps=2))) == ["--steps=2"]
    assert list(words_of(Waltz(steps=2, left=True, music=["a", "-b"]))) == [
        *("--steps=2", "--left", "--music=a", "--music=-b"),
    ]
    assert list(words_of(Dance(steps=1), always={"music"})) == ["--steps=1"]


def test_the_words_of_a_flag_that_is_on_turn_it_off():
    """A flag that is on by default needs a form that turns it off."""

    @dataclass(frozen=True, kw_only=True)
    class Tango:
        mirror: Annotated[bool, typer.Option("--mirror/--no-mirror")] = True
        slow: Annotated[bool, typer.Option("--slow")] = False

    assert list(words_of(Tango())) == []
    assert list(words_of(Tango(mirror=False, slow=True))) == ["--no-mirror", "--slow"]
    assert list(words_of(Tango(), always={"mirror", "slow"})) == ["--mirror"]

    @dataclass(frozen=True, kw_only=True)
    class Stuck:
        loud: Annotated[bool, typer.Option("--loud")] = True

    with pytest.raises(AssertionError, match="--loud has no form that turns it off"):
        list(words_of(Stuck(loud=False)))
