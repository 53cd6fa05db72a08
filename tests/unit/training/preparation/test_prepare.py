import csv
import errno
import json
import os
import shutil
import signal
from dataclasses import replace
from itertools import count

import cv2
import numpy as np
import pytest

from serving.errors import BadInput, NoBody
from training.data import footage as reading
from training.data import prepared_footage
from training.data.footage import Footage, FootageFacts
from training.data.prepared_footage import ARRAYS, load_prepared
from training.data.resumable_array import RowWriter
from training.footage_report.findings import finding_of
from training.preparation import detections
from training.preparation import prepare as preparation
from training.preparation.prepare import FootageRefused, prepare
from training.process.work_folder import DiskFull

FRAMES = 20


@pytest.fixture
def footage(tmp_path, monkeypatch, fake_estimator):
    """Files with generated frames; returns the first one's path, all frames, and the names of opened files."""
    noise = np.random.default_rng(5).integers(90, 160, (32, 40, 3)).astype(np.uint8)
    frames = {"footage.mp4": [noise.copy() for _ in range(FRAMES)], "more.mp4": [noise.copy() for _ in range(FRAMES)]}
    for name in frames:
        (tmp_path / name).write_bytes(name.encode())
    opened = []

    def read(path, on_end=lambda lost_frames, notes: None):
        opened.append(path.name)
        yield from frames[path.name]
        on_end(3, ["it is interlaced & its frames are deinterlaced"])

    monkeypatch.setattr(reading, "footage_frames", read)
    monkeypatch.setattr(reading, "footage_facts", lambda path: FootageFacts(24.0, len(frames[path.name])))
    return tmp_path / "footage.mp4", frames, opened


def arrays(prepared):
    return {name: np.array(getattr(prepared, name)) for name in ARRAYS}


def assert_same(one, other):
    for name, values in arrays(one).items():
        np.testing.assert_array_equal(values, getattr(other, name))
    np.testing.assert_array_equal(one.plate, other.plate)
    assert (one.crop, one.body, one.report, one.starts) == (other.crop, other.body, other.report, other.starts)


def test_preparation_gives_what_training_reads(footage, tmp_path):
    """Arrays have one entry per frame at the network's size, and the crop contains all poses."""
    path, frames, _ = footage
    prepared = prepare(path, tmp_path / "work", 32, 32)
    assert prepared.pictures.shape == prepared.labels.shape == prepared.targets.shape == (FRAMES, 32, 32, 3)
    assert prepared.masks.shape == prepared.props.shape == (FRAMES, 32, 32)
    assert prepared.plate.shape == frames["footage.mp4"][0].shape
    assert prepared.crop_plate.shape == (32, 32, 3)
    assert all(pose is not None and prepared.crop.contains(pose) for pose in prepared.poses)
    assert prepared.body.frames == FRAMES
    assert prepared.report["frames_with_a_person"] == FRAMES
    assert prepared.report["frames_lost"] == 3
    assert prepared.labels[0].min() < 255


def test_what_the_footage_does_not_show_is_filled_like_the_place(footage, tmp_path):
    """A crop larger than the frame shows the filled place there, in every picture; it counts as not seen."""
    path, *_ = footage
    prepared = prepare(path, tmp_path / "work", 40, 40, whole_frame=True, anyway=True)
    outside = np.ones((40, 40), bool)
    outside[4:36] = False
    assert prepared.filled_plate is not None
    np.testing.assert_array_equal(prepared.crop_plate, prepared.filled_plate)
    np.testing.assert_array_equal(prepared.crop_plate[4:36], prepared.plate)
    for frame in (0, FRAMES - 1):
        np.testing.assert_array_equal(prepared.pictures[frame][outside], prepared.crop_plate[outside])
        np.testing.assert_array_equal(prepared.targets[frame][outside], prepared.crop_plate[outside])
        assert (prepared.props[frame][outside] == prepared_footage.UNSEEN).all()
        assert not prepared.masks[frame][outside].any()
    again = load_prepared(prepared.folder.parent, prepared.crop)
    np.testing.assert_array_equal(again.crop_plate, prepared.crop_plate)


def test_second_preparation_reads_nothing(footage, tmp_path):
    """Everything is kept, so that a later run starts at once; it can be loaded without the footage."""
    path, _, opened = footage
    first = prepare(path, tmp_path / "work", 32, 32)
    opened.clear()
    assert_same(first, prepare(path, tmp_path / "work", 32, 32))
    path.unlink()
    assert_same(first, load_prepared(first.folder.parent, first.crop))
    assert not opened
    assert not (first.folder.parent / "kept").exists()


def test_another_version_of_the_preparation_prepares_anew(footage, tmp_path, monkeypatch):
    """The results of an older version of preparation are neither used nor mixed with new ones."""
    path, _, opened = footage
    prepare(path, tmp_path / "work", 32, 32)
    opened.clear()
    monkeypatch.setattr(prepared_footage, "PREPARATION_VERSION", prepared_footage.PREPARATION_VERSION + 1)
    prepare(path, tmp_path / "work", 32, 32)
    assert opened
    assert len(list((tmp_path / "work").iterdir())) == 2


def test_every_pass_over_the_footage_is_reported_to_its_end(footage, tmp_path):
    """The progress of every phase counts up to its total."""
    path, _, _ = footage
    last = {}
    prepare(path, tmp_path / "work", 32, 32, lambda what, done, of: last.update({what: (done, of)}))
    assert last == {
        "looking for poses": (FRAMES, FRAMES),
        "making the plate": (1, 1),
        "looking for other people": (FRAMES, FRAMES),
        "cutting out the crop": (FRAMES, FRAMES),
        "painting over props": (FRAMES, FRAMES),
        "making the wardrobe": (17, 17),
    }


def killed_after(steps, prepare_it):
    """Runs it in a child process that is killed (SIGKILL) at its n-th step; returns whether it was killed."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        cv2.setNumThreads(0)  # a fork has none of OpenCV's threads
        numbers = count(1)
        code = 1
        try:
            prepare_it(lambda *_: os.kill(os.getpid(), signal.SIGKILL) if next(numbers) == steps else None)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    return status == signal.SIGKILL


def test_killed_preparation_goes_on_and_ends_with_the_same(footage, tmp_path, monkeypatch):
    """After kill -9 in every phase, in one folder, the result is that of an undisturbed run."""
    path, _, _ = footage
    both = Footage(files=(path, path.with_name("more.mp4")))
    monkeypatch.setattr(detections, "CHUNK_FRAMES", 8)
    undisturbed = prepare(both, tmp_path / "undisturbed", 32, 32)
    work = tmp_path / "work"
    kills = 0
    for steps in (5, 13, 27, *[50] * 10):  # from 50 on every run comes past the phase that begins anew
        if not killed_after(steps, lambda kill: prepare(both, work, 32, 32, kill)):
            break
        kills += 1
    assert kills >= 6
    again = prepare(both, work, 32, 32)
    assert_same(undisturbed, again)
    assert not [left for left in work.rglob(".*") if "partial" in left.name]


def test_a_stop_need_not_wait_for_the_plate(footage, tmp_path):
    """The plate takes a while: a stop ends it between two of its frames, and the next call makes it whole."""
    path, _, _ = footage
    heard = []

    def stopping(what, done, of):
        heard.append((what, done))
        if heard.count(("making the plate", 0)) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(path, tmp_path / "work", 32, 32, stopping)
    assert ("making the plate", 1) not in heard
    assert_same(prepare(path, tmp_path / "work", 32, 32), prepare(path, tmp_path / "undisturbed", 32, 32))


def test_several_files_are_one_footage(footage, tmp_path):
    """The frames of several files follow in the given order; the second file's first frame follows nothing."""
    path, _, opened = footage
    both = Footage(files=(path, path.with_name("more.mp4")))
    prepared = prepare(both, tmp_path / "work", 32, 32)
    assert (len(prepared), prepared.starts) == (2 * FRAMES, frozenset({0, FRAMES}))
    assert prepared.report["frames_lost"] == 6
    assert opened.count("more.mp4") == 2
    assert prepared_footage.preparation_name(both) != prepared_footage.preparation_name(Footage(files=both.files[::-1]))


def test_files_of_different_sizes_are_refused(footage, tmp_path):
    """The error names the file and both sizes."""
    path, frames, _ = footage
    frames["more.mp4"] = [np.full((16, 40, 3), 100, np.uint8)] * FRAMES
    with pytest.raises(BadInput, match=r"more.mp4 is 40x16, .*footage.mp4 is 40x32"):
        prepare(Footage(files=(path, path.with_name("more.mp4"))), tmp_path / "work", 32, 32)


def test_files_of_different_rates_are_warned_of(footage, tmp_path, monkeypatch):
    """The warning lists every file's rate, unless they differ as little as cameras do."""
    path, _, _ = footage
    rates_hz = {"footage.mp4": 30.0, "more.mp4": 29.97}
    monkeypatch.setattr(reading, "footage_facts", lambda path: FootageFacts(rates_hz[path.name], FRAMES))
    both, notes = Footage(files=(path, path.with_name("more.mp4"))), []
    prepare(both, tmp_path / "work", 32, 32, say=notes.append)
    assert not any("frame rates" in note for note in notes)
    rates_hz["more.mp4"] = 60.0
    prepare(both, tmp_path / "work", 32, 32, say=notes.append)
    assert any(note.startswith("warning: frame rates: the files have 30, 60 frames per second; film") for note in notes)


def test_a_high_rate_can_be_thinned(footage, tmp_path):
    """A limit of 12 frames per second keeps every second frame of 24, in a folder of its own."""
    path, frames, _ = footage
    frames["footage.mp4"] *= 2
    thin = Footage(files=(path,), most_frames_per_second=12)
    prepared = prepare(thin, tmp_path / "work", 32, 32)
    assert (len(prepared), prepared.frame_rate_hz) == (FRAMES, 12.0)
    assert prepared_footage.preparation_name(thin) != prepared_footage.preparation_name(path)


def test_the_report_says_what_was_measured(footage, tmp_path):
    """The report is one self-contained HTML file; there is a row for every frame, and notes on what to improve."""
    path, _, _ = footage
    notes = []
    prepared = prepare(path, tmp_path / "work", 32, 32, say=notes.append)
    home = prepared.folder.parent
    page = (home / "report-32x32.html").read_text()
    assert "a person in 20 of 20 frames" in page
    assert page.count("data:image/jpeg") > 3
    assert "http" not in page
    with (home / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == FRAMES
    assert {row["part"] for row in rows} == {"training", "held out", "gap"}
    assert rows[0]["face_side_px"] == "16"
    assert any(note.startswith(("warning: length: 1 seconds", "refused: length: 1 seconds")) for note in notes)
    assert any(note.startswith("preparation needs about ") for note in notes)
    assert any(note == f"report: {home / 'report-32x32.html'}" for note in notes)


def test_the_report_shows_the_wardrobe(footage, tmp_path):
    """The report shows the person from each side and the pieces of all limbs; a network without a plate has none."""
    path, _, _ = footage
    notes = []
    home = prepare(path, tmp_path / "work", 32, 32, say=notes.append).folder.parent
    page = (home / "report-32x32.html").read_text()
    assert "<h2>Wardrobe</h2>" in page
    assert "<td>left upper arm<td>" in page
    assert any(note.startswith("wardrobe: limbs from 17 frames; it shows the ") for note in notes)
    home = prepare(path, tmp_path / "other", 32, 32, onto_plate=False).folder.parent
    assert "<h2>Wardrobe</h2>" not in (home / "report-32x32.html").read_text()


def test_what_was_decided_about_a_file_is_said_and_reported(footage, tmp_path):
    """The reader's decisions are reported once per file, also by a later run, and are in the facts for programs."""
    path, _, _ = footage
    said = "footage.mp4: it is interlaced & its frames are deinterlaced"
    for _ in range(2):
        notes = []
        prepared = prepare(path, tmp_path / "work", 32, 32, say=notes.append)
        assert notes.count(said) == 1
        assert prepared.report["notes"] == [said]
    page = (prepared.folder.parent / "report-32x32.html").read_text()
    assert page.count("<li>footage.mp4: it is interlaced &amp; its frames are deinterlaced") == 1


def test_footage_without_people_is_refused(footage, tmp_path):
    """Footage without people is one clear error, with a report, and a note that a program can read."""
    path, frames, _ = footage
    notes = []
    for frame in frames["footage.mp4"]:
        frame[:] = 0
    with pytest.raises(NoBody, match=r"in 0 of 20 frames; film one person, whole body in .* \(report: .*html\)"):
        prepare(path, tmp_path / "work", 32, 32, say=notes.append)
    assert [finding.what for note in notes if (finding := finding_of(note))] == ["poses"]
    (report,) = (tmp_path / "work").glob("*/report-32x32.html")
    assert "Not worth training on" in report.read_text()


def test_footage_that_would_waste_training_is_refused_unless_told_so(footage, tmp_path):
    """The refusal has reasons, advice and the way out; with `anyway` the footage is prepared."""
    path, frames, _ = footage
    short = Footage(files=(path, path.with_name("more.mp4")))
    for frame in frames["more.mp4"]:
        frame[:] = 0
    frames["more.mp4"] *= 2
    notes = []
    with pytest.raises(FootageRefused, match=r"poses: a person in 20 of 60 frames \(film one person.*--anyway"):
        prepare(short, tmp_path / "work", 32, 32, say=notes.append)
    assert [found.what for note in notes if (found := finding_of(note)) and found.level == "refused"] == ["poses"]
    prepared = prepare(short, tmp_path / "work", 32, 32, anyway=True)
    assert prepared.report["frames_with_a_person"] == FRAMES
    assert json.dumps(prepared.report["findings"]).count("refused") == 1


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["chunk", "kept", "stage"])
def test_a_full_disk_is_one_line_and_the_job_goes_on_later(footage, tmp_path, monkeypatch, where):
    """Wherever the disk fills up, no work is lost or damaged."""
    path, _, _ = footage
    undisturbed = prepare(path, tmp_path / "undisturbed", 32, 32)
    with monkeypatch.context() as patched:
        target = {
            "chunk": (detections, "_store"),
            "kept": (preparation, "write_array"),
            "stage": (RowWriter, "append"),
        }[where]
        patched.setattr(*target, full)
        with pytest.raises(DiskFull, match=r"the disk of .* is full; what was done is kept"):
            prepare(path, tmp_path / "work", 32, 32)
    assert_same(undisturbed, prepare(path, tmp_path / "work", 32, 32))


def test_too_little_room_is_told_before_anything_is_done(footage, tmp_path, monkeypatch):
    """The error has the space needed, the free space and the ways out."""
    path, _, _ = footage
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DiskFull, match=r"preparation needs about 1 MB in .*; 0 MB are free: free some.*--frame-rate"):
        prepare(path, tmp_path / "work", 32, 32)


def test_arrays_of_another_size_do_not_count_as_done(footage, tmp_path, monkeypatch):
    """Arrays of one size do not count for another size; detections count for both."""
    path, _, _ = footage
    small = prepare(path, tmp_path / "work", 32, 32)
    with (small.folder / "pictures.npy").open("r+b") as file:
        file.truncate(2**30)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=300_000))
    with pytest.raises(DiskFull, match=r"preparation needs about 1 MB in .*; 0 MB are free"):
        prepare(path, tmp_path / "work", 64, 64)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_100_000))
    seen = small.folder.parent / "seen" / "padding"
    seen.write_bytes(bytes(200_000))  # in the place of larger detections
    prepare(path, tmp_path / "work", 64, 64)


def openpose_folder(tmp_path, poses):
    folder = tmp_path / "poses"
    folder.mkdir()
    for frame, people in enumerate(poses):
        values = [{"pose_keypoints_2d": np.c_[p.joints_px, p.confidence][:25].ravel().tolist()} for p in people]
        (folder / f"film_{frame:012d}_keypoints.json").write_text(json.dumps({"version": 1.3, "people": values}))
    return folder


def test_openposes_files_replace_our_own_detector(footage, tmp_path, fake_estimator, monkeypatch, pose_at):
    """The same person is followed among two; a mask of another person is replaced by one around the joints."""
    path, _, _ = footage
    near, far = pose_at(28), pose_at(6)
    folder = openpose_folder(tmp_path, [[near], *[[far, near]] * 9, *[[near]] * 10])

    whole = type(fake_estimator).estimate

    def half(self, picture):
        estimate = whole(self, picture)
        estimate.mask[:, 20:] = 0
        return estimate

    monkeypatch.setattr(type(fake_estimator), "estimate", half, raising=False)
    prepared = prepare(Footage(files=(path,), keypoints=(folder,)), tmp_path / "work", 32, 32, anyway=True)
    for pose in prepared.poses:
        assert pose is not None
        np.testing.assert_allclose(pose.joints_px[:25], near.joints_px[:25], atol=1e-3)
    said = {finding["what"]: finding["measured"] for finding in prepared.report["findings"]}
    assert said["other people"] == "more than one person in 9 of 20 frames"
    assert said["outlines"] == "in 20 of 20 frames the person was cut out around the joints"


def test_poses_of_another_film_are_refused(footage, tmp_path, pose_at):
    """Poses for another number of frames, no file, a foreign file and a wrong number of folders are refused."""
    path, _, _ = footage
    folder = openpose_folder(tmp_path, [[pose_at(16)]] * 9)
    with pytest.raises(BadInput, match="poses of 9 frames, the footage has 20"):
        prepare(Footage(files=(path,), keypoints=(folder,)), tmp_path / "work", 32, 32)
    (tmp_path / "none").mkdir()
    with pytest.raises(BadInput, match="none contains no "):
        prepare(Footage(files=(path,), keypoints=(tmp_path / "none",)), tmp_path / "work", 32, 32)
    for frame in range(9, FRAMES):
        (folder / f"film_{frame:012d}_keypoints.json").write_text("{}")
    (folder / "film_000000000000_keypoints.json").write_text("{")
    with pytest.raises(BadInput, match=r"film_000000000000_keypoints.json: is not JSON"):
        prepare(Footage(files=(path,), keypoints=(folder,)), tmp_path / "work", 32, 32)
    with pytest.raises(BadInput, match="one folder for every file, got 1 for 2"):
        replace(Footage(files=(path, path)), keypoints=(folder,))
