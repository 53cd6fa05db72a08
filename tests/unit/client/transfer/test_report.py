"""What `dance transfer` says at its end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from dance.v1 import transfer_pb2

from client.connection.messages import remark_name
from client.terminal.display import Display
from client.transfer.report import TransferReport, show_report


def test_frames_in_which_the_dancer_leaves_the_picture_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """The line counts the frames and says what to film, under the name that the server's remark has here."""
    outside = remark_name(transfer_pb2.FRAME_REMARK_OUT_OF_STAGE)
    show_report(TransferReport(answered=150, pictures=150, seconds=10, remarks=Counter({outside: 79})), Display())
    assert "in 79 of 150 frames part of the dancer is outside the actor's picture" in capsys.readouterr().out
    show_report(TransferReport(answered=150, pictures=150, seconds=10, remarks=Counter({"no face": 4})), Display())
    assert "outside" not in capsys.readouterr().out


def test_the_client_s_page_explains_every_remark(root: Path) -> None:
    """Its table has a row for each remark of the contract, by the name that the summary shows."""
    page = (root / "client" / "README.md").read_text()
    rows = page.split("| remark | meaning |")[1].split("\n\n")[0].splitlines()[2:]
    known = {remark_name(remark) for remark in transfer_pb2.FrameRemark.values() if remark}
    assert {row.split("`")[1] for row in rows} == known
