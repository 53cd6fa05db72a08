"""Tables are complete wherever they are printed."""

from __future__ import annotations

import pytest
from rich.console import Console

from client.terminal.display import Display

_HEADINGS = ("drawn by", "body SSIM", "body LPIPS", "body PSNR dB", "face SSIM", "face LPIPS", "face PSNR dB")
_ROW = ("the actor without its face network", "0.767", "0.131", "17.67", "0.586", "0.222", "20.01")


def test_no_number_is_cut_short_in_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Eighty characters fit a name and six numbers."""
    display = Display()
    display.out = Console(width=80, highlight=False, force_terminal=True)
    display.table(_HEADINGS, [_ROW], title="Likeness", names=1)
    told = capsys.readouterr().out
    assert all(number in told for number in _ROW[1:])
    assert "…" not in told


def test_a_row_is_one_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Other programs can read it."""
    Display().table(_HEADINGS, [_ROW], title="Likeness", names=1)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if _ROW[0] in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == list(_ROW)
