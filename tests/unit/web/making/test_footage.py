"""The frames of a camera: kept as they come, written as videos with their times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from motion.frame import FrameSize
from tests.unit.training.footage_report.people import SIZE, person
from tests.unit.web.making.conftest import jpeg
from web.access.refusals import Refused
from web.making.footage import Filming, FootageLimits, spooled, write_videos
from web.making.record import FootageRecord

LIMITS = FootageLimits(seconds=10.0, bytes=10**6, side_px=200)


def filming(tmp_path: Path, record: FootageRecord = FootageRecord(), **more) -> Filming:
    kept: list[FootageRecord] = []
    limits = replace(LIMITS, **more)
    return Filming(tmp_path / "frames", limits, record, kept.append)


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [round(float(frame.time or 0.0), 3) for frame in container.decode(video=0)]


def test_frames_become_a_video_with_their_times(tmp_path):
    """Also if the camera's rate varies."""
    times = [5.0, 5.04, 5.1, 5.2, 5.23, 5.3]
    with filming(tmp_path) as film:
        assert all(film.append(jpeg(100), at) for at in times)
    assert write_videos(tmp_path / "frames", tmp_path / "videos") == 1
    (video,) = (tmp_path / "videos").iterdir()
    assert times_of(video) == [round(at - 5.0, 3) for at in times]


def test_a_gap_begins_a_new_video(tmp_path):
    """Two frames that are far apart are not neighbours; a piece that is too short is left out."""
    times = [*np.arange(6) / 10, 3.0, *(5 + np.arange(7) / 10)]
    with filming(tmp_path) as film:
        for at in times:
            film.append(jpeg(100), float(at))
        assert film.record.seconds == pytest.approx(0.5 + 0.6)
    assert write_videos(tmp_path / "frames", tmp_path / "videos") == 2
    assert [len(times_of(path)) for path in sorted((tmp_path / "videos").iterdir())] == [6, 7]


def test_too_little_footage_gives_no_video(tmp_path):
    """Nothing that a training could fail on."""
    with filming(tmp_path) as film:
        film.append(jpeg(100), 1.0)
    assert write_videos(tmp_path / "frames", tmp_path / "videos") == 0


def test_frames_that_do_not_decode_are_left_out(tmp_path):
    """A page can send anything that begins like a JPEG."""
    broken = jpeg(100).replace(b"\xff\xdb", b"\xff\xec")  # its quantization tables become comments
    with filming(tmp_path) as film:
        for index in range(7):
            film.append(broken if index == 3 else jpeg(100), index / 10)
    assert write_videos(tmp_path / "frames", tmp_path / "videos") == 1


@pytest.mark.parametrize("data", [b"", b"GIF89a", jpeg(1, width_px=201)])
def test_other_pictures_are_refused(tmp_path, data):
    """What is no JPEG, or too large."""
    with filming(tmp_path) as film, pytest.raises(Refused, match="JPEG of at most 200"):
        film.append(data, 1.0)


def test_frames_of_another_size_are_not_kept(tmp_path):
    """A phone that is turned while it films; the page is told."""
    with filming(tmp_path) as film:
        assert film.append(jpeg(1), 1.0)
        assert not film.append(jpeg(1, 48, 64), 1.1)
        assert film.record.end == "size"


@pytest.mark.parametrize("limit", [{"seconds": 0.25}, {"bytes": 5 * (len(jpeg(1)) + 60)}])
def test_footage_has_an_end(tmp_path, limit):
    """Neither its seconds nor its bytes grow without a limit."""
    with filming(tmp_path, **limit) as film:
        for index in range(40):
            film.append(jpeg(1), index / 10)
        assert film.record.end == "full"
        assert 3 <= film.record.frames <= 5


def test_others_keep_their_room_on_the_disk(tmp_path):
    """Many visitors who film at once do not fill it."""
    with filming(tmp_path, disk_kept_bytes=2**62) as film:
        assert not film.append(jpeg(1), 1.0)
        assert film.record.end == "full"


def test_a_clock_that_stands_still_or_goes_back_is_ignored(tmp_path):
    """Frames are in order, and not of one moment."""
    with filming(tmp_path) as film:
        assert [film.append(jpeg(1), at) for at in (1.0, 1.0, 0.5, 1.1)] == [True, False, False, True]


def test_a_second_connection_goes_on(tmp_path):
    """After a kill in the middle of a frame too: the spool says what is there."""
    with filming(tmp_path) as film:
        for index in range(5):
            film.append(jpeg(1), index / 10, "front")
        size = film.record.bytes
    with (tmp_path / "frames").open("ab") as file:
        file.write(b"dnc1 torn")
    record, frame_size, last_s = spooled(tmp_path / "frames", FootageRecord(kind="camera", views={"front": 1.0}))
    assert (record.frames, record.bytes, last_s, frame_size) == (5, size, 0.4, FrameSize(64, 48))
    assert record.steps == {"front": pytest.approx(0.4)}
    assert record.views == {"front": 1.0}


def test_steps_and_views_are_counted(tmp_path):
    """For how long each step was filmed, and each view was seen."""
    with filming(tmp_path) as film:
        for index in range(6):
            film.append(jpeg(1), index / 10, "front" if index < 3 else "back")
            film.pose(person(), index / 10, SIZE)
        film.pose(None, 0.6, SIZE)
        assert film.record.steps == {"front": pytest.approx(0.2), "back": pytest.approx(0.3)}
        seen = {"front", "arms_away", "left_foot", "right_foot", "left_hand_open", "right_hand_open"}
        assert film.record.views == dict.fromkeys(seen, 0.5)


def test_what_was_taken_over_keeps_nothing(tmp_path):
    """The footage was dropped, or comes by another connection."""
    with filming(tmp_path) as film:
        film.supersede()
        assert not film.append(jpeg(1), 1.0)
