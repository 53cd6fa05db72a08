"""`dance transfer` with an unreliable server: the output equals that of an unbroken run, and outages are reported."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from client.errors import ServerError
from client.media.source import Source
from client.terminal.display import Display
from client.terminal.signals import Interrupts
from client.transfer.body_pass import fit
from client.transfer.job import TransferJob
from client.transfer.report import TransferReport, show_report
from client.transfer.run import transfer
from tests.unit.client.breakable import Breakable, Mishap, breakable
from video.reader import VideoReader


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the first wait two milliseconds, and open no window."""
    monkeypatch.setattr("client.connection.retry._FIRST_WAIT_SECONDS", 0.002)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


async def transferred(service: Breakable, source: Path, out: Path, **more) -> TransferReport:
    task = asyncio.current_task()
    assert task is not None
    job = TransferJob(source=Source(str(source)), actor="juggler", out=out, checkpoint_every_frames=5, **more)
    display = Display()
    report = await transfer(job, service.address, display, Interrupts(task))
    show_report(report, display)
    return report


def pictures(path: Path) -> np.ndarray:
    with VideoReader(str(path)) as reader:
        return np.stack([frame.pixels for frame in reader.frames()])


async def test_file_has_every_frame_once_whatever_happens_on_the_way(make_video, tmp_path, capsys):
    """The pictures equal those of an unbroken run; outages are reported as they happen and counted at the end."""
    source = make_video(frames=24)
    async with breakable() as service:
        await transferred(service, source, tmp_path / "unbroken.mp4", one_pass=True)
    assert "reconnect" not in "".join(capsys.readouterr())
    mishaps = (Mishap("full"), Mishap("cut", 3), Mishap("drain", 9), Mishap("cut late", 16))
    async with breakable(*mishaps) as service:
        report = await transferred(service, source, tmp_path / "broken.mp4", one_pass=True)
    assert report.reconnects == 3
    assert np.array_equal(pictures(tmp_path / "broken.mp4"), pictures(tmp_path / "unbroken.mp4"))
    said = capsys.readouterr()
    assert said.err.count("reconnecting: ") == said.err.count("connected again") == 4
    assert f"reconnecting: {service.address} is shutting down" in said.err
    assert "24 frames" in said.out
    assert "reconnected 3 times" in said.out


async def test_measuring_of_a_body_begins_again(make_video, tmp_path, capsys):
    """The first pass has no checkpoints; losing the server there costs only time."""
    source = make_video(frames=12)
    async with breakable(fit_cut_at=deque([7])) as service:
        report = await transferred(service, source, tmp_path / "out.mp4")
    assert service.fitted_frames == [7, 12]
    assert report.pictures == 12
    assert "reconnecting: " in capsys.readouterr().err


async def test_server_that_was_never_there_is_told_at_once(make_video):
    """A wrong address is not an outage, so it is not retried."""
    with pytest.raises(ServerError, match=r"^no server answers at 127\.0\.0\.1:1 \([^)]*\)"):
        await fit(Source(str(make_video(frames=2))), "127.0.0.1:1", Display(), 640)


async def test_patience_that_has_run_out_leaves_nothing_behind(make_video, tmp_path):
    """The error states how long the client retried; no partial file stays, and the old output is untouched."""
    source, out = make_video(frames=12), tmp_path / "out.mp4"
    out.write_bytes(b"precious")
    async with breakable(Mishap("fail", 6), always=True) as service:
        with pytest.raises(ServerError, match=r"stage pose failed at frame 6: it died; tried again for 0\.05 s"):
            await transferred(service, source, out, one_pass=True, patience_seconds=0.05, replace_out=True)
    assert out.read_bytes() == b"precious"
    assert set(tmp_path.iterdir()) == {source, out}


async def test_live_recording_goes_on_after_an_outage(make_video, tmp_path, capsys):
    """Frames in flight are lost and reported; later frames are in the file at their own times."""
    source, out = make_video(frames=40, rate=100), tmp_path / "out.mp4"
    async with breakable(Mishap("fail", 10)) as service:
        report = await transferred(service, source, out, live=True)
    assert report.reconnects == 1
    assert report.lost_under_way >= 1
    assert report.answered + report.skipped + report.lost_under_way == 40
    assert len(pictures(out)) == report.pictures
    with VideoReader(str(out)) as reader:
        assert round([frame.seconds for frame in reader.frames()][-1] * 100) == 39
    assert f"{report.lost_under_way} lost with the connection" in capsys.readouterr().out
