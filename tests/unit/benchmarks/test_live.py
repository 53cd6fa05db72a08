"""`benchmarks.live`: which cases it offers, and which it refuses before anything starts."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import live
from benchmarks.cases import CASES, QUICK_256

APP = typer.Typer()
APP.command()(live.main)
ADAPTIVE = [setting for setting in live.SETTINGS if setting.adaptive]


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch):
    """A measurement that begins fails the test."""
    monkeypatch.setattr(live, "_measure_all", lambda *arguments: pytest.fail("a measurement began"))


@pytest.mark.parametrize("setting", ADAPTIVE, ids=lambda setting: setting.name)
def test_a_case_that_the_size_does_not_have_is_refused_with_the_size_that_has_it(setting):
    """Also beside a case that exists: what was asked for by name is never left out silently."""
    for cases in ([setting.name], ["pixels", setting.name]):
        with pytest.raises(typer.BadParameter, match=f"the case '{setting.name}' exists only with --size 512$"):
            live.main(size=[256], case=cases)


def test_a_refused_case_ends_with_the_status_of_a_wrong_command_line():
    """So that a script notices."""
    result = CliRunner().invoke(APP, ["--size", "256", "--case", "adaptive pixels"])
    assert result.exit_code == 2
    assert "512" in result.output


def test_an_unknown_case_is_refused_with_the_known_ones():
    """The docs say pictures; the option's word is pixels."""
    with pytest.raises(typer.BadParameter, match=r"known cases: pixels, poses, .*; not pictures"):
        live.main(case=["pictures"])


def test_only_an_actor_of_several_sizes_adapts():
    """The sample actor has smaller sizes, its half has none; a fixed size is measured with both."""
    for setting in live.SETTINGS:
        assert live.exists(setting, CASES[0])
        assert live.exists(setting, QUICK_256) != setting.adaptive


def test_the_help_lists_the_cases():
    """Every name that --case takes."""
    result = CliRunner().invoke(APP, ["--help"], env={"COLUMNS": "400", "TERMINAL_WIDTH": "400"})
    assert result.exit_code == 0
    for setting in live.SETTINGS:
        assert setting.name in result.output
