"""`dance transfer` against a service on a real port."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from client.__main__ import run
from client.transfer.run import WARM_UP_FRAMES
from video.reader import VideoReader


def frames_of(path: Path):
    with VideoReader(str(path)) as reader:
        return [(frame.seconds, frame.pixels) for frame in reader.frames()]


def grey_levels(path: Path) -> list[int]:
    """The grey level of each picture, converted to the number of its frame."""
    return [round((float(np.median(pixels)) - 20) / 10) for _, pixels in frames_of(path)]


def transfer(source: Path | str, out: Path, address: str, *more: str) -> int:
    return run(["transfer", str(source), "--actor", "juggler", "-o", str(out), "--server", address, *more])


def test_every_frame_becomes_a_picture_in_order_at_the_same_times(serve, make_video, tmp_path):
    """The output has the source's number of frames, their times, and the answers in order."""
    source, out = make_video(frames=15), tmp_path / "out.mp4"
    assert transfer(source, out, serve().address) == 0
    assert grey_levels(out) == list(range(15))
    assert [seconds for seconds, _ in frames_of(out)] == [seconds for seconds, _ in frames_of(source)]


def test_variable_frame_rate_is_kept(serve, make_video, tmp_path):
    """Frames at uneven times keep exactly these times."""
    times_ms = [0, 40, 90, 300, 310, 700, 1000]
    source, out = make_video(frames=7, times_ms=times_ms), tmp_path / "out.mkv"
    assert transfer(source, out, serve().address) == 0
    assert [round(seconds * 1000) for seconds, _ in frames_of(out)] == times_ms


def test_frames_without_a_person_repeat_the_last_picture(serve, make_video, tmp_path, capsys):
    """Without a person, the last picture repeats, so that rate and number of frames stay; the summary counts it."""
    source, out = make_video(frames=8), tmp_path / "out.mp4"
    assert transfer(source, out, serve(no_person=frozenset({3, 4, 7})).address) == 0
    assert grey_levels(out) == [0, 1, 2, 2, 2, 5, 6, 6]
    assert "5 pictures, 3 no person" in capsys.readouterr().out


@pytest.mark.parametrize("compare", [(), ("--compare",)])
def test_a_beginning_without_a_person_is_held_back_for_the_first_picture(serve, make_video, tmp_path, compare):
    """A remote server provides no plate, so the first picture is also shown for the frames before it."""
    source, out = make_video(frames=6), tmp_path / "out.mp4"
    assert transfer(source, out, serve(no_person=frozenset({0, 1})).address, *compare) == 0
    pictures = [pixels for _, pixels in frames_of(out)]
    assert len(pictures) == 6
    levels = [round((float(np.median(pixels[-20:, -40:])) - 20) / 10) for pixels in pictures]
    assert levels == [2, 2, 2, 3, 4, 5]


def test_comparison_shows_source_skeleton_and_actor(serve, make_video, tmp_path):
    """--compare writes three panels of one height, 6 pixels apart: the source, the label map and the actor."""
    source, out = make_video(frames=3, width=96, height=64), tmp_path / "out.mp4"
    fake = serve()
    assert transfer(source, out, fake.address, "--compare") == 0
    picture = frames_of(out)[0][1]
    assert picture.shape == (256, 384 + 6 + 256 + 6 + 256, 3)
    source_panel, skeleton, actor = picture[:, :384], picture[:, 390:646], picture[:, 652:]
    assert source_panel[20, 20, 0] > 200
    assert source_panel[20, 20, 2] < 60
    assert skeleton[10, 10].min() > 240
    assert skeleton[128, 128, 0] > 150
    assert skeleton[128, 128, 1] < 90
    assert abs(int(np.median(actor)) - 20) < 6
    assert fake.behaviour.seen_configs[0].return_options.label_map


def test_comparison_shows_the_moved_limbs_of_an_actor_with_a_wardrobe(serve, make_video, tmp_path):
    """--compare has a fourth panel, before the actor's: the reference over white, and white without a person."""
    source, out = make_video(frames=3, width=96, height=64), tmp_path / "out.mp4"
    fake = serve(has_wardrobe=True, no_person=frozenset({2}))
    assert transfer(source, out, fake.address, "--compare") == 0
    assert fake.behaviour.seen_configs[0].return_options.reference
    pictures = [pixels for _, pixels in frames_of(out)]
    assert {picture.shape for picture in pictures} == {(256, 384 + 3 * (6 + 256), 3)}
    reference, actor = pictures[0][:, 652:908], pictures[0][:, 914:]
    assert reference[10, 10].min() > 240
    assert reference[128, 128, 2] > 150
    assert reference[128, 128, 0] < 90
    assert abs(int(np.median(actor)) - 20) < 6
    assert pictures[2][:, 652:908].min() > 230


def test_the_body_is_fitted_in_a_first_pass(serve, make_video, tmp_path):
    """A file is read twice: the first pass provides the body stats for the session's config."""
    fake = serve()
    assert transfer(make_video(frames=5), tmp_path / "out.mp4", fake.address) == 0
    assert fake.behaviour.fitted_frames == 5
    assert fake.behaviour.seen_configs[0].source_body.near_height == 0.7


def test_one_pass_leaves_the_body_to_the_server(serve, make_video, tmp_path):
    """--one-pass sends no stats and reads the file once."""
    fake = serve()
    assert transfer(make_video(frames=5), tmp_path / "out.mp4", fake.address, "--one-pass") == 0
    assert fake.behaviour.fitted_frames == 0
    assert not fake.behaviour.seen_configs[0].HasField("source_body")


def test_a_fitted_body_can_be_given(serve, make_video, tmp_path):
    """`dance transfer --body` accepts the output of `dance fit -o`, and skips the first pass."""
    fake, source, stats = serve(), make_video(frames=4), tmp_path / "body.json"
    assert run(["fit", str(source), "-o", str(stats), "--server", fake.address]) == 0
    fake.behaviour.fitted_frames = 0
    assert transfer(source, tmp_path / "out.mp4", fake.address, "--body", str(stats)) == 0
    assert fake.behaviour.fitted_frames == 0
    assert fake.behaviour.seen_configs[0].source_body.far_ankle_y == 0.6


def test_large_frames_are_shrunk_and_it_is_said(serve, make_video, tmp_path, capsys):
    """Frames beyond --max-side are sent smaller."""
    fake = serve()
    source = make_video(frames=2, width=320, height=160)
    assert transfer(source, tmp_path / "out.mp4", fake.address, "--max-side", "128") == 0
    assert fake.behaviour.seen_sizes == [(128, 64)] * 2
    assert "frames of 320x160 are shrunk to a long side of 128" in capsys.readouterr().err


def test_turned_video_is_sent_upright(serve, make_video, tmp_path):
    """A phone's portrait video, stored rotated with a display matrix, is sent upright."""
    fake = serve()
    assert transfer(make_video(frames=2, turned_degrees=90), tmp_path / "out.mp4", fake.address) == 0
    assert fake.behaviour.seen_sizes == [(64, 96)] * 2


def test_times_and_remarks_are_told_at_the_end(serve, make_video, tmp_path, capsys):
    """The table has a row for each stage, in pipeline order, and the summary counts the frames."""
    assert transfer(make_video(frames=4), tmp_path / "out.mp4", serve().address) == 0
    told = capsys.readouterr().out
    pose, generator = told.index("pose"), told.index("generator")
    assert pose < generator
    assert "40.0" in told[pose:generator]
    assert "16.0" in told[generator:]
    assert "remarks, in frames: no face 4" in told
    assert "generator in bf16" in told


def test_few_frames_under_way_are_enough(serve, make_video, tmp_path):
    """All frames arrive even if the server allows fewer in flight than the look-ahead needs."""
    out = tmp_path / "out.mp4"
    fake = serve(max_frames_in_flight=1)
    assert transfer(make_video(frames=9, rate=60), out, fake.address, "--look-ahead", "2") == 0
    assert grey_levels(out) == list(range(9))
    assert fake.behaviour.seen_configs[0].look_ahead_frames == 2


@pytest.mark.parametrize(("rate", "frames"), [(5, 0), (24, 1), (60, 3), (120, 3)])
def test_look_ahead_follows_the_frame_rate(serve, make_video, tmp_path, rate, frames):
    """The smoothing's window is about a tenth of a second."""
    fake = serve()
    assert transfer(make_video(frames=5, rate=rate), tmp_path / "out.mp4", fake.address) == 0
    assert fake.behaviour.seen_configs[0].look_ahead_frames == frames


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


@pytest.fixture
def web_address(tmp_path) -> Iterator[str]:
    """The address of a web server with this test's files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_stream_address_is_played_live(serve, make_video, tmp_path, web_address, no_display, capsys):
    """An address is opened as is, and does not need a file of that name."""
    make_video(frames=8, rate=60, options={"movflags": "faststart"})
    out = tmp_path / "out.mp4"
    assert transfer(f"{web_address}/clip.mp4", out, serve().address, "--live") == 0
    assert grey_levels(out)[-1] == WARM_UP_FRAMES + 7
    assert "no display was found, so no preview window is shown" in capsys.readouterr().err


def test_interrupt_ends_a_live_recording_and_keeps_it(serve, make_video, tmp_path, no_display, capsys):
    """Ctrl-C ends a live source, and the file contains everything until then. What was not played is not damaged."""
    out = tmp_path / "out.mp4"
    fake = serve(interrupt_at=WARM_UP_FRAMES + 2, answers_after_interrupt=True)
    assert transfer(make_video(frames=600, rate=30), out, fake.address, "--live") == 0
    assert 2 <= len(grey_levels(out)) < 100
    said = capsys.readouterr()
    assert "damaged" not in said.err
    assert "lost in the source" not in said.out


def test_a_live_recording_begins_at_its_first_picture(serve, make_video, tmp_path, no_display):
    """The file has no empty time for what its source showed before: the warm-up of a camera, or an empty room."""
    first, out = WARM_UP_FRAMES + 4, tmp_path / "out.mp4"
    fake = serve(no_person=frozenset(range(WARM_UP_FRAMES, first)))
    assert transfer(make_video(frames=8, rate=20), out, fake.address, "--live") == 0
    with av.open(str(out)) as container:
        times_s = [frame.time for frame in container.decode(video=0)]
    assert times_s[0] == 0
    assert 0 < times_s[-1] < 0.2


def test_interrupt_before_the_first_live_picture_says_so(serve, make_video, tmp_path, no_display, capsys):
    """Ctrl-C during the warm-up leaves nothing behind, and blames no frame."""
    out = tmp_path / "out.mp4"
    fake = serve(interrupt_at=2, answers_after_interrupt=True)
    assert transfer(make_video(frames=600, rate=30), out, fake.address, "--live") == 1
    assert "it ended before the first picture, so there is nothing to write" in capsys.readouterr().err
    assert not out.exists()


def test_live_without_display_and_output_is_refused(serve, make_video, no_display, capsys):
    """A live session without a display or an output is refused."""
    command = ["transfer", str(make_video()), "--actor", "juggler", "--live", "--server", serve().address]
    assert run(command) == 1
    assert "there is no display" in capsys.readouterr().err


def test_live_file_plays_at_its_own_rate(serve, make_video, tmp_path, no_display):
    """--live asks for LIVE and no look-ahead, and records without a display."""
    fake, out = serve(), tmp_path / "out.mp4"
    assert transfer(make_video(frames=6, rate=60), out, fake.address, "--live") == 0
    config = fake.behaviour.seen_configs[0]
    assert (config.mode, config.look_ahead_frames) == (2, 0)
    levels = grey_levels(out)
    assert levels == sorted(set(levels))
    assert levels[0] >= WARM_UP_FRAMES
    assert levels[-1] == WARM_UP_FRAMES + 5
