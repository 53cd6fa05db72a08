"""Videos are complete, of the right length, and resumable."""

from collections.abc import Iterator

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from samples.cast import ACTOR, SOURCE
from samples.make import Shot, app, render_frames, write_video
from samples.renderer.draw import Picture
from serving.actors.store import ActorStore
from tests.tiny_actors import publish_tiny


def test_help_names_every_command() -> None:
    answer = CliRunner().invoke(app, ["--help"])
    assert answer.exit_code == 0
    for command in ("clip", "footage", "truth", "stills"):
        assert command in answer.output


def test_an_odd_size_is_rejected() -> None:
    """An odd size is rejected before rendering, with an error that names it."""
    answer = CliRunner().invoke(app, ["clip", "--size", "255"])
    assert answer.exit_code == 2
    assert "255 is odd" in answer.output


def test_a_video_holds_every_picture(tmp_path) -> None:
    """The video has every picture in order, at the requested rate."""
    pictures = [np.full((64, 96, 3), 25 * k, np.uint8) for k in range(8)]
    write_video(tmp_path / "grey.mp4", iter(pictures), 15, crf=18)
    with av.open(str(tmp_path / "grey.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (96, 64)
        assert stream.average_rate == 15
        assert stream.codec_context.pix_fmt == "yuv420p"
        means = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
    np.testing.assert_allclose(means, [25 * k for k in range(8)], atol=3)


def test_a_video_that_is_not_finished_leaves_the_one_before_it(tmp_path) -> None:
    """If writing a video fails, the previous file stays, and no partial file is left."""
    (tmp_path / "grey.mp4").write_bytes(b"before")

    def broken() -> Iterator[Picture]:
        yield np.zeros((64, 96, 3), np.uint8)
        raise OSError("not a picture")

    with pytest.raises(OSError, match="not a picture"):
        write_video(tmp_path / "grey.mp4", broken(), 15, crf=18)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("grey.mp4", b"before")]


def test_finished_frames_are_kept(tmp_path) -> None:
    """If no frame is missing, nothing is rendered, and the joints are still returned."""
    shot = Shot(ACTOR, SOURCE.dance, 25, 3, 64)
    for index in range(3):
        (tmp_path / f"{index:06d}.png").write_bytes(b"finished before")
    joints_px = render_frames(shot, tmp_path, workers=2)
    assert joints_px.shape == (3, 25, 2)
    expected = ACTOR.renderer(64, 64).render(SOURCE.dance.pose_at(2 / 25)).joints_px
    np.testing.assert_array_equal(joints_px[2], expected)


def test_the_trained_actor_replaces_the_one_before_it(tmp_path) -> None:
    """The served version becomes version 1, with all of its files; the versions before it are gone."""
    trained, out = ActorStore(tmp_path / "trained"), ActorStore(tmp_path / "actors")
    for _ in range(2):
        publish_tiny(trained, tmp_path, "sample")
    for _ in range(3):
        publish_tiny(out, tmp_path, "sample")
    answer = CliRunner().invoke(app, ["actor", "--trained", str(trained.root), "-o", str(out.root)])
    assert answer.exit_code == 0, answer.output
    assert [path.name for path in (out.root / "sample").iterdir()] == ["1"]
    assert [path.name for path in out.root.iterdir()] == ["sample"]
    assert out.load("sample").read_plate().shape == trained.load("sample").read_plate().shape


def test_an_actor_that_is_not_served_is_not_taken(tmp_path) -> None:
    """Without a version that can be served, the actor in the repository stays."""
    out = ActorStore(tmp_path / "actors")
    publish_tiny(out, tmp_path, "sample")
    answer = CliRunner().invoke(app, ["actor", "--trained", str(tmp_path / "none"), "-o", str(out.root)])
    assert answer.exit_code == 2
    assert out.load("sample").version == 1


@pytest.mark.slow
def test_a_short_clip_end_to_end(tmp_path) -> None:
    """Two workers make a video with joints beside it; a second run reuses the frames and makes the same file."""
    out = tmp_path / "truth.mp4"
    options = ["truth", "-o", str(out), "--size", "64", "--frames", "4", "--work", str(tmp_path / "frames")]
    assert CliRunner().invoke(app, options).exit_code == 0
    first = out.read_bytes()
    with np.load(out.with_suffix(".npz")) as beside:
        assert beside["joints_px"].shape == (4, 25, 2)
    assert CliRunner().invoke(app, options).exit_code == 0
    assert out.read_bytes() == first
    assert len(list((tmp_path / "frames").rglob("*.png"))) == 4
