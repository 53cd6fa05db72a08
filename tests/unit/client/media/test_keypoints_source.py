"""Folders of keypoints as sources of `dance transfer`, and as written by `dance pose`."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from dance.v1 import pose_pb2

from client.__main__ import run
from client.errors import UnwritableVideo
from client.media.video_writer import Recording
from motion import skeleton
from motion.frame import FrameSize
from motion.keypoint_files.folder import read_folder
from motion.keypoint_files.openpose_json import KeypointsPerson, KeypointsWriter, SourceFacts, file_name
from motion.pose import Pose
from tests.tiny_pose_networks import paf_card, two_hands, write_card, write_paf_network
from tests.unit.video.films import size_changing
from video.reader import VideoReader


def body(x_px: float, size_px: float = 100, y_px: float = 40) -> Pose:
    """A body with its joints in five columns."""
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    place = np.arange(25)
    joints_px[:25] = np.stack([x_px + place % 5 * size_px / 10, y_px + place // 5 * size_px / 4], axis=1)
    confidence[:25] = 0.8
    return Pose(joints_px, confidence)


def written(folder: Path, *frames: list[KeypointsPerson], size: FrameSize = FrameSize(320, 240)) -> Path:
    """A folder with these frames, at uneven times."""
    writer = KeypointsWriter(folder, "clip", SourceFacts(size, Fraction(25), Fraction(1, 1000)))
    for number, people in enumerate(frames):
        writer.write(people, 40 * number + number % 2)
    writer.close()
    return folder


def transfer(source: Path, out: Path, address: str, *more: str) -> int:
    return run(["transfer", str(source), "--actor", "juggler", "-o", str(out), "--server", address, *more])


def times_of(path: Path) -> list[float]:
    with VideoReader(str(path)) as reader:
        return [round(frame.seconds, 3) for frame in reader.frames()]


def test_keypoints_are_danced_at_their_own_times(serve, tmp_path):
    """Poses are sent instead of pictures, in order and unchanged; a frame without a person is sent too."""
    source = written(tmp_path / "poses", [KeypointsPerson(body(20), 1)], [], [KeypointsPerson(body(30), 1)])
    fake = serve()
    assert transfer(source, tmp_path / "out.mp4", fake.address) == 0
    assert times_of(tmp_path / "out.mp4") == [0.0, 0.041, 0.08]
    first, nobody, last = fake.behaviour.seen_poses
    assert nobody is None
    np.testing.assert_array_equal(first.joints_px, body(20).joints_px)
    np.testing.assert_array_equal(last.joints_px, body(30).joints_px)
    assert set(fake.behaviour.seen_sizes) == {(320, 240)}
    (config,) = fake.behaviour.seen_configs
    assert config.pose_backend == pose_pb2.POSE_BACKEND_UNSPECIFIED
    assert fake.behaviour.fitted_frames == 3


def test_poses_of_every_third_frame_are_danced_at_a_third_of_the_rate(serve, tmp_path, capsys):
    """25 poses make 25 pictures, and a note says so; macOS sidecar files beside them change nothing."""
    source = written(tmp_path / "poses", *[[KeypointsPerson(body(20 + t))] for t in range(73)])
    (source / "dance_source.json").unlink()
    for number in range(73):
        path = source / file_name("clip", number)
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
        if number % 3:
            path.unlink()
    fake, out = serve(), tmp_path / "out.mp4"
    given = ("--frame-size", "320x240", "--frame-rate", "30")
    assert transfer(source, out, fake.address, *given) == 0
    assert "poses of every 3rd frame: its 25 poses follow at 10 frames a second" in capsys.readouterr().err
    assert times_of(out) == [round(t / 10, 3) for t in range(25)]
    assert all(pose is not None for pose in fake.behaviour.seen_poses)
    assert fake.behaviour.fitted_frames == 25


def test_a_lonely_dancer_is_found_again_wherever_they_are(serve, tmp_path):
    """With at most one person per frame, that person is the dancer, even far away after a gap."""
    source = written(tmp_path / "poses", [KeypointsPerson(body(20))], *[[]] * 20, [KeypointsPerson(body(220, 60))])
    fake = serve()
    assert transfer(source, tmp_path / "out.mp4", fake.address, "--one-pass") == 0
    assert [number for number, pose in enumerate(fake.behaviour.seen_poses) if pose is not None] == [0, 21]


def test_a_list_of_alphapose_is_danced(serve, tmp_path):
    """A list of frames works like a folder."""
    joints = [number for x, y in body(20).joints_px[:17].tolist() for number in (x, y, 0.9)]
    source = tmp_path / "alphapose-results.json"
    source.write_text(json.dumps([{"image_id": f"{n}.jpg", "keypoints": joints, "score": 3} for n in range(3)]))
    fake, given = serve(), ("--frame-size", "320x240", "--frame-rate", "10")
    assert transfer(source, tmp_path / "out.mp4", fake.address, *given) == 0
    assert [pose is not None for pose in fake.behaviour.seen_poses] == [True] * 3


@pytest.mark.parametrize("is_list", [False, True])
def test_frames_without_numbers_follow_each_other_as_is_said(serve, tmp_path, capsys, is_list):
    """Frames of a folder follow their names; frames of a list keep its order."""
    frames = [json.dumps({"people": [{"pose_keypoints_2d": [x, 50, 0.9] * 25}]}) for x in (10, 20, 30)]
    source = tmp_path / "poses.json"
    if is_list:
        source.write_text(f"[{', '.join(frames)}]")
    else:
        source.mkdir()
        for name, text in zip("abc", frames, strict=True):
            (source / f"{name}_keypoints.json").write_text(text)
    given = ("--frame-size", "320x240", "--frame-rate", "10")
    assert transfer(source, tmp_path / "out.mp4", serve().address, *given) == 0
    order = "in the order of the list" if is_list else "in the order of their names"
    told = f"{source}: its 3 frames are not numbered, so they are taken {order}\n"
    assert told in capsys.readouterr().err


def test_large_frames_are_shrunk_as_pictures_are(serve, tmp_path):
    """With --max-side the poses are scaled to the shrunk frame."""
    source = written(tmp_path / "poses", [KeypointsPerson(body(20), 1)])
    fake = serve()
    assert transfer(source, tmp_path / "out.mp4", fake.address, "--max-side", "160", "--one-pass") == 0
    assert fake.behaviour.seen_sizes == [(160, 120)]
    np.testing.assert_allclose(fake.behaviour.seen_poses[0].joints_px, body(20).joints_px / 2)


@pytest.mark.parametrize(("rule", "x_px"), [("largest", 20), ("id=7", 220), ("nearest=0.9,0.5", 220)])
def test_the_dancer_is_chosen_among_several(serve, tmp_path, capsys, rule, x_px):
    """The rule and the numbers in the files choose the dancer, who then stays the same person."""
    people = [KeypointsPerson(body(220, 60), 7), KeypointsPerson(body(20), 3)]
    dancer, other = people if x_px == 220 else people[::-1]
    source = written(tmp_path / "poses", people, [other, dancer], [dancer], [other])
    fake = serve()
    assert transfer(source, tmp_path / "out.mp4", fake.address, "--dancer", rule, "--one-pass") == 0
    *danced, lost = fake.behaviour.seen_poses
    assert [round(float(pose.joints_px[0, 0])) for pose in danced] == [x_px] * 3
    assert lost is None
    assert "the dancer is lost in 1 frames" in capsys.readouterr().err


def test_a_folder_of_openpose_s_own_needs_size_and_rate(serve, tmp_path, capsys):
    """OpenPose stores neither, so options give them; without an option, the error names it."""
    source = written(tmp_path / "poses", *[[KeypointsPerson(body(20 + t))] for t in range(4)])
    (source / "dance_source.json").unlink()
    (source / file_name("clip", 2)).unlink()
    out, fake = tmp_path / "out.mp4", serve()
    assert transfer(source, out, fake.address) == 2
    assert "add --frame-size" in capsys.readouterr().err
    assert transfer(source, out, fake.address, "--frame-size", "320x240") == 2
    assert "add --frame-rate" in capsys.readouterr().err
    assert transfer(source, out, fake.address, "--frame-size", "320x240", "--frame-rate", "10") == 0
    assert "1 frames have no poses" in capsys.readouterr().err
    assert times_of(out) == [0.0, 0.1, 0.2, 0.3]
    assert [pose is None for pose in fake.behaviour.seen_poses] == [False, False, True, False]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "clip_000000000001_keypoints.json: is not JSON"),
        ('{"version":1.3,"people":[{"pose_keypoints_2d":[1,2]}]}', "people[0].pose_keypoints_2d: expected 75"),
        ('{"version":9,"people":[]}', "version: expected"),
    ],
)
def test_damaged_keypoints_are_told_before_anything_is_started(serve, tmp_path, capsys, content, told):
    """The error is one line with file and field, the exit code is 1, and no session is opened."""
    source = written(tmp_path / "poses", *[[KeypointsPerson(body(20), 1)]] * 3)
    (source / file_name("clip", 1)).write_text(content)
    fake = serve()
    assert transfer(source, tmp_path / "out.mp4", fake.address) == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert told in errors[0]
    assert fake.behaviour.seen_configs == []
    assert not (tmp_path / "out.mp4").exists()


def test_an_empty_folder_and_live_keypoints_are_refused(serve, tmp_path, capsys):
    """Each error is one line."""
    (tmp_path / "empty").mkdir()
    given = ("--frame-size", "9x9", "--frame-rate", "9")
    assert transfer(tmp_path / "empty", tmp_path / "o.mp4", serve().address, *given) == 1
    assert f"{tmp_path / 'empty'} contains no *_keypoints.json file" in capsys.readouterr().err
    assert transfer(tmp_path / "empty", tmp_path / "o.mp4", serve().address) == 1
    assert f"{tmp_path / 'empty'} contains no *_keypoints.json file" in capsys.readouterr().err
    source = written(tmp_path / "poses", [KeypointsPerson(body(20), 1)])
    assert transfer(source, tmp_path / "o.mp4", serve().address, "--live") == 2
    assert "is keypoints: --live is for" in capsys.readouterr().err
    assert transfer(source, tmp_path / "o.mp4", serve().address, "--pose-backend", "openpose") == 2
    assert "holds poses already" in capsys.readouterr().err


def test_compared_keypoints_show_their_skeletons(serve, tmp_path):
    """A source without pictures is shown as drawn skeletons."""
    source = written(tmp_path / "poses", [], [KeypointsPerson(body(100), 1)])
    assert transfer(source, tmp_path / "out.mp4", serve().address, "--compare", "--one-pass") == 0
    with VideoReader(str(tmp_path / "out.mp4")) as reader:
        panels = [frame.pixels[:, :300] for frame in reader.frames()]
    assert np.ptp(panels[1].astype(int)) > 100


def film(path: Path, *pictures: np.ndarray) -> Path:
    """A lossless video of these pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = "rgb24", {"crf": "0"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def two_dancers(tmp_path) -> Path:
    """Four frames: two people in the first three, one in the last."""
    left, right = (12.0, 36.0, 16.0), (84.0, 116.0, 44.0)
    return film(tmp_path / "two.mkv", *[two_hands(left, right)] * 3, two_hands(right))


@pytest.fixture
def card(tmp_path) -> Path:
    return write_card(tmp_path, paf_card(write_paf_network(tmp_path / "paf.onnx")))


def test_dance_pose_writes_openpose_s_json_and_an_overlay(two_dancers, card, tmp_path, capsys):
    """Writes one file per frame with all people, numbered, a video with them drawn, and a note about the licence."""
    folder, overlay = tmp_path / "json", tmp_path / "overlay.mp4"
    asked = ["pose", str(two_dancers), "--pose-model", str(card), "--dancer", "nearest=0.1,0.2"]
    assert run([*asked, "--json", str(folder), "--overlay", str(overlay)]) == 0
    said = capsys.readouterr()
    assert "by using it you accept its licence, Apache-2.0" in said.err
    assert "4 frames: people in 4, 2 people in all, the dancer in 3, lost in 1" in " ".join(said.out.split())
    assert (folder / "two_000000000003_keypoints.json").is_file()
    document = json.loads((folder / "two_000000000000_keypoints.json").read_text())
    assert sorted(person["person_id"][0] for person in document["people"]) == [1, 2]
    read = read_folder(folder)
    assert [len(frame.people) for frame in read.frames] == [2, 2, 2, 1]
    assert read.facts is not None
    assert read.facts.size == FrameSize(128, 64)
    assert len(times_of(overlay)) == 4
    assert run([*asked, "--json", str(folder)]) == 1
    assert "--force replaces" in capsys.readouterr().err
    assert run([*asked, "--json", str(folder), "--force"]) == 0


def test_pose_options_that_make_no_sense_are_told(two_dancers, card, tmp_path, capsys):
    """Each error is one line, with exit code 2."""
    for arguments, told in (
        ([], "nothing to write"),
        (["--json", "j", "--pose-backend", "openpose"], "needs --pose-model"),
        (["--json", "j", "--pose-backend", "rtmpose", "--pose-model", str(card)], "the card is for openpose"),
        (["--json", "j", "--pose-model", str(card), "--pose-model", str(card)], "are both cards of openpose"),
        (["--json", "j", "--dancer", "centre"], "mediapipe finds one person"),
        (["--json", "j", "--pose-model", str(card), "--dancer", "left"], "--dancer: expected largest"),
        (["--json", "j", "--frame-rate", "25"], "are only for keypoints"),
        (["--json", "j", "--frame-rate", "fast"], "--frame-rate: expected frames a second"),
        (["--json", "j", "--frame-rate", "1/2000"], "--frame-rate: expected frames a second, 0.001 to 1000"),
        (["--json", "j", "--pose-model", str(tmp_path / "none.json")], "the model card cannot be read"),
    ):
        assert run(["pose", str(two_dancers), *arguments]) == 2
        assert told in " ".join(capsys.readouterr().err.split())


def test_dance_pose_finds_people_in_frames_that_change_their_size(card, tmp_path, capsys):
    """The overlay and the folder are complete, and the note appears once."""
    folder, overlay = tmp_path / "json", tmp_path / "overlay.mp4"
    asked = ["pose", str(size_changing(tmp_path)), "--pose-model", str(card)]
    assert run([*asked, "--json", str(folder), "--overlay", str(overlay)]) == 0
    assert len(times_of(overlay)) == len(read_folder(folder).frames) == 6
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("its size changes from 64x48 to 32x32: all frames are fitted into 64x48") == 1


@pytest.mark.parametrize("kept", [False, True])
def test_an_abort_leaves_no_folder_that_looks_whole(two_dancers, card, tmp_path, monkeypatch, kept):
    """If the overlay fails halfway, the poses so far are deleted too; other files in the folder stay."""
    folder, write = tmp_path / "json", Recording.write
    if kept:
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")

    def fails_at_the_third(self, picture, pts):
        if self.pictures == 2:
            raise UnwritableVideo("the disk is full")
        write(self, picture, pts)

    monkeypatch.setattr(Recording, "write", fails_at_the_third)
    asked = ["pose", str(two_dancers), "--pose-model", str(card), "--json", str(folder), "--force"]
    assert run([*asked, "--overlay", str(tmp_path / "overlay.mp4")]) == 1
    assert not list(folder.glob("*.json"))
    assert folder.exists() == kept
    assert not kept or [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_an_abort_at_the_very_end_leaves_the_keypoints_that_were_there(two_dancers, card, tmp_path, monkeypatch):
    """If the overlay cannot be finished after the last frame, --force has deleted nothing."""
    folder = written(tmp_path / "json", *[[KeypointsPerson(body(20), 1)]] * 7)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fails(self):
        raise UnwritableVideo("the disk is full")

    asked = ["pose", str(two_dancers), "--pose-model", str(card), "--json", str(folder), "--force"]
    with monkeypatch.context() as patched:
        patched.setattr(Recording, "keep", fails)
        assert run([*asked, "--overlay", str(tmp_path / "overlay.mp4")]) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert run([*asked, "--overlay", str(tmp_path / "overlay.mp4")]) == 0
    assert len(read_folder(folder).frames) == 4
    assert not list(folder.glob("clip_*"))


def test_backend_and_dancer_reach_the_server(serve, make_video, tmp_path):
    """Both passes use the backend; a card works only for services started here."""
    fake = serve()
    asked = ("--pose-backend", "rtmpose", "--dancer", "centre")
    assert transfer(make_video(frames=2), tmp_path / "o.mp4", fake.address, *asked) == 0
    for config in (*fake.behaviour.seen_configs, *fake.behaviour.seen_fits):
        assert config.pose_backend == pose_pb2.POSE_BACKEND_RTMPOSE
        assert config.dancer.centre
    assert len(fake.behaviour.seen_fits) == 1
    assert transfer(make_video(frames=2), tmp_path / "p.mp4", fake.address, "--pose-model", "card.json") == 2


def test_backends_are_compared_with_the_truth(two_dancers, card, tmp_path, capsys):
    """Prints a Markdown table of frames, people, agreement and times. The truth has one person per file."""
    assert run(["pose", str(two_dancers), "--pose-model", str(card), "--json", str(tmp_path / "found")]) == 0
    everybody = read_folder(tmp_path / "found")
    truth = KeypointsWriter(tmp_path / "truth", "two", SourceFacts(FrameSize(128, 64), Fraction(25), Fraction(1, 25)))
    for frame in everybody.frames:
        truth.write(frame.people[:1], frame.index)
    truth.close()
    table = tmp_path / "table.md"
    asked = ["evaluate-pose", str(two_dancers), "--pose-model", str(card), "--backends", "openpose"]
    assert run([*asked, "--truth", str(tmp_path / "truth"), "-o", str(table)]) == 0
    heading, _, row = table.read_text().strip().splitlines()
    cells = dict(zip(heading.strip("| ").split(" | "), [c.strip() for c in row.strip("|").split("|")], strict=True))
    assert (cells["clip"], cells["backend"], cells["frames"], cells["with a pose"]) == ("two", "openpose", "4", "4")
    assert (cells["people a frame"], cells["ids"], cells["OKS"]) == ("1.75", "2", "1.00")
    table.write_text("kept")
    assert run([*asked, "-o", str(table)]) == 1
    assert "table.md exists already; --force overwrites it" in " ".join(capsys.readouterr().err.split())
    assert table.read_text() == "kept"
    assert run([*asked, "-o", str(table), "--force"]) == 0
    assert table.read_text().startswith("| clip")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []
    assert run([*asked, "--truth", str(tmp_path / "found")]) == 1
    assert "expected one person per file" in " ".join(capsys.readouterr().err.split())
    assert run([*asked[:-1], "openpose,openpose"]) == 2
