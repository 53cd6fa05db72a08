"""Reading --background, and pictures of a video behind the dancer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from client.errors import CommandError, UsageError
from client.media.background import BackgroundVideo, chosen_background
from motion.frame import FrameSize
from serving.pictures.background import Background
from serving.pictures.codec import decode_picture

SIZE = FrameSize(48, 64)


def picture_file(path: Path, width_px: int, height_px: int) -> Path:
    """A picture whose upper half is white."""
    pixels = np.zeros((height_px, width_px, 3), np.uint8)
    pixels[: height_px // 2] = 255
    cv2.imwrite(str(path), pixels)
    return path


def test_words_and_colours_are_read():
    """Without the option it is the actor's own place; only `transparent` keeps an opacity in the output."""
    assert chosen_background(None).for_server.is_own_place
    assert chosen_background("green").for_server == Background(colour=(0, 177, 64))
    assert chosen_background("#0a10FF").for_server == Background(colour=(10, 16, 255))
    assert chosen_background("transparent").keeps_opacity
    assert not chosen_background("green").keeps_opacity


@pytest.mark.parametrize("name", ["back.png", "back.jpg"])
def test_a_picture_is_sent_as_a_jpeg_of_bounded_size(tmp_path: Path, name: str):
    """A large picture is shrunk to a long side of 1920 pixels before it is sent."""
    chosen = chosen_background(str(picture_file(tmp_path / name, 3000, 1500)))
    sent = chosen.for_server.picture
    assert sent is not None
    assert (sent.width_px, sent.height_px) == (1920, 960)
    assert len(sent.data) < 2**20
    assert chosen.video is None


def test_a_photo_stands_upright(tmp_path: Path):
    """A camera that was turned stores the turn in EXIF: it is applied before the picture is sent."""
    photo = picture_file(tmp_path / "photo.jpg", 40, 20)
    data = photo.read_bytes()
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"  # orientation: turn by 90 degrees, clockwise
    turned = b"\xff\xe1\x00\x22Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + bytes(4)
    photo.write_bytes(data[:2] + turned + data[2:])
    sent = chosen_background(str(photo)).for_server.picture
    assert sent is not None
    pixels = decode_picture(sent)
    assert pixels.shape[:2] == (40, 20)
    assert pixels[20, 17].min() > 200
    assert pixels[20, 2].max() < 50


def test_a_video_is_laid_behind_here(make_video: Callable[..., Path]):
    """The server is asked for the person alone, and the output is an ordinary video."""
    video = make_video(frames=3)
    chosen = chosen_background(str(video))
    assert chosen.video == video
    assert chosen.for_server.transparent
    assert not chosen.keeps_opacity


def test_what_is_neither_is_refused_in_words(tmp_path: Path):
    """A missing file, a text and a cut picture are named, with what was expected."""
    with pytest.raises(
        UsageError, match=r"--background blue: there is no file of that name; expected transparent, green"
    ):
        chosen_background("blue")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(CommandError, match=r"notes\.txt is neither a JPEG or PNG picture nor a video that can"):
        chosen_background(str(tmp_path / "notes.txt"))
    cut = picture_file(tmp_path / "cut.png", 400, 400)
    cut.write_bytes(cut.read_bytes()[:60])
    with pytest.raises(CommandError, match=r"cut\.png is not a valid PNG: it (is cut off|has a chunk)"):
        chosen_background(str(cut))
    wide = picture_file(tmp_path / "wide.png", 20_000, 1)
    with pytest.raises(CommandError, match=r"wide\.png is 20000x1, sides from 1 to 16384 pixels are accepted"):
        chosen_background(str(wide))
    (tmp_path / "header.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(CommandError, match=r"header\.png: its header is damaged"):
        chosen_background(str(tmp_path / "header.png"))


def test_a_still_gif_is_refused_before_the_dance(tmp_path: Path):
    """The reader of videos refuses it only after its one frame, which would be in the middle of the work."""
    with av.open(str(tmp_path / "still.gif"), "w") as container:
        stream = container.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb8"
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24").reformat(format="rgb8")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(
        CommandError, match=r"still\.gif is neither a JPEG or PNG picture nor a video that can be decoded; convert it"
    ):
        chosen_background(str(tmp_path / "still.gif"))


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Another user's file is an error of one line."""
    picture = picture_file(tmp_path / "theirs.png", 8, 8)

    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(CommandError, match=r"theirs\.png cannot be read: Permission denied"):
        chosen_background(str(picture))


def test_a_video_shows_the_picture_of_each_time_and_begins_again(make_video: Callable[..., Path]):
    """Each picture stays until the next one is due; after the last one the first follows, however often and late."""
    path = make_video(frames=4)
    with BackgroundVideo(path, SIZE) as video:
        assert video.at(0.0).shape == (64, 48, 3)
        step_s = 0.1
        first_round = [video.at((number + 0.5) * step_s) for number in range(4)]
        assert video.at(3.6 * step_s) is first_round[3]
        second_round = [video.at((number + 0.5) * step_s) for number in range(4, 8)]
        much_later = video.at((4 * 10**6 + 2.5) * step_s)
    for first, second in zip(first_round, second_round, strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(much_later, first_round[2])
    assert len({picture.tobytes() for picture in first_round}) == 4
