from itertools import pairwise

import av
import numpy as np
import pytest

from serving.errors import UnreadableVideo
from training.data.footage import Footage, footage_facts, footage_fingerprint, footage_frames


@pytest.fixture
def make_film(tmp_path):
    """Writes a video of 64x48 pixels, 10 frames a second, each frame brighter than the one before."""

    def make(name, frames):
        path = tmp_path / name
        noise = np.random.default_rng(0).integers(0, 50, (48, 64, 3))
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for frame in range(frames):
                picture = (noise + 200 * frame // frames).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        return path

    return make


def test_every_frame_comes_in_order(make_film):
    """Frames come as RGB in order, at the frame rate of the file."""
    film = make_film("film.mp4", frames=5)
    frames = list(footage_frames(film))
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 5
    assert all(a.mean() < b.mean() for a, b in pairwise(frames))
    assert footage_facts(film).frame_rate_hz == 10


def test_truncated_footage_yields_what_decodes(make_film):
    """A truncated recording loses its last frames without raising an error."""
    film = make_film("film.mkv", frames=40)
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 2 // 3])
    lost = []
    decoded = len(list(footage_frames(film, lambda frames, notes: lost.append(frames))))
    assert 5 <= decoded < 40
    assert lost[0] > 0


@pytest.mark.parametrize("content", [None, b"", b"this is no video" * 100])
def test_files_without_video_are_refused(tmp_path, content):
    """The error for a missing, an empty or a foreign file is one line that names the file."""
    path = tmp_path / "not.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableVideo, match=r"not\.mp4"):
        list(footage_frames(path))


def test_fingerprints_identify_files_by_content(tmp_path):
    """The same bytes under another name are the same footage."""
    one, same, other = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    one.write_bytes(b"x"), same.write_bytes(b"x"), other.write_bytes(b"y")
    assert footage_fingerprint(one) == footage_fingerprint(same) != footage_fingerprint(other)
    assert Footage(files=(one,)).file_fingerprints() == [Footage(files=(same,)).fingerprint()]
    assert Footage(files=(one, other)).file_fingerprints() == [footage_fingerprint(one), footage_fingerprint(other)]


def test_whole_footage_loses_nothing(make_film):
    """A film that decodes to its end reports no lost frames."""
    lost = []
    list(footage_frames(make_film("film.mp4", frames=5), lambda frames, notes: lost.append(frames)))
    assert lost == [0]
