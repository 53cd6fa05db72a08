"""Evaluations of tiny actors: the comparisons made, and the files written."""

import csv
import json
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from motion import skeleton
from motion.crop import Crop
from motion.face_region import FaceRule
from serving.actors.store import ActorStore
from serving.errors import BadInput
from serving.process.atomic_files import write_picture
from tests.tiny_actors import publish_tiny
from training.data.footage import Footage
from training.evaluation import self_reconstruction, transfer
from training.evaluation.score_rows import measured
from training.evaluation.self_reconstruction import evaluate_held_out, footage_of
from training.evaluation.tables import draw_pose_bars, footnotes, markdown, tables_of, write_evaluation
from training.evaluation.transfer import evaluate_transfer
from training.evaluation.unseen_poses.scores import UnseenScores


def told(what, done, of):
    pass


def likeness(row):
    assert row.pictures is not None
    return row.pictures.body_ssim


@pytest.fixture
def actor(tmp_path, prepared):
    """An actor of 32 pixels whose record names the footage."""
    actor = publish_tiny(ActorStore(tmp_path / "actors"), tmp_path, "kind", bias=40)
    trained = {"footage_fingerprint": "known", "held_out_blocks": [[4, 8], [14, 18]]}
    whole = Crop(0, 0, 32, 32, 32, 32)
    write_picture(actor.plate_path, prepared.plate)
    return replace(actor, trained=trained, crop=whole, frame_size=prepared.frame_size)


@pytest.fixture
def detector(monkeypatch, prepared):
    """Replaces the detector: finds in every picture the pose that was asked for, one pixel to the right."""
    asked = {}

    def detected(runs):
        known = [[asked.get(picture.tobytes()) for picture in run] for run in runs]
        return [[None if pose is None else pose.transformed(1, 1, 1, 0) for pose in run] for run in known]

    prepared.pictures[:, 0, 0, 0] = np.arange(len(prepared))  # so that no two are equal
    for frame, picture in enumerate(prepared.pictures):
        asked[picture.tobytes()] = prepared.poses[frame]
    monkeypatch.setattr("training.evaluation.score_rows.detected", detected)
    monkeypatch.setattr(transfer, "detected", detected)
    return detected


def test_held_out_frames_are_measured_beside_their_baselines(actor, prepared, detector):
    """Only the frames that training held out are measured: for the actor, without its face, and for the baselines."""
    evaluation = evaluate_held_out(actor, prepared, None, None, told)
    rows = {row.drawn_by: row for row in evaluation.rows}
    assert list(rows) == [
        "the actor", "the actor without its face network", "nearest training frame", "the footage itself",
    ]  # fmt: skip
    assert {row.frames for row in rows.values()} == {8}
    assert (rows["the actor"].frames_per_second or 0) > 0
    assert rows["the actor"].frames_with_a_pose == 0
    assert rows["the actor"].parts["body"].missed == 7
    real = rows["the footage itself"]
    assert real.pictures is None
    assert real.parts["overall"].distance_px == pytest.approx(1, abs=1e-5)
    nearest = rows["nearest training frame"]
    assert likeness(nearest) > likeness(rows["the actor"])
    assert (nearest.parts["body"].distance_px or 0) > 1  # it shows another frame than the one asked for
    assert "the frames are those that training held out" in evaluation.notes
    assert len(evaluation.shown) == 8


@pytest.mark.parametrize("phase", ["drawing", "measuring"])
def test_an_evaluation_can_be_stopped_between_two_frames(actor, prepared, detector, phase):
    """Progress is reported before each frame, and an exception in the callback ends the evaluation."""
    told_of = []

    def on_step(what, done, of):
        told_of.append(what)
        if told_of.count(phase) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_held_out(actor, prepared, None, None, on_step)
    assert told_of.count(phase) == 3


@pytest.mark.parametrize("listed", [True, False])
def test_files_that_were_trained_on_are_named(actor, prepared, detector, tmp_path, listed):
    """Footage with a file from the training is noted, also if the record of one file has no list of files."""
    learned, new = tmp_path / "learned.mp4", tmp_path / "new.mp4"
    learned.write_bytes(b"learned"), new.write_bytes(b"new")
    fingerprint = Footage(files=(learned,)).fingerprint()
    record = {"footage_fingerprint": "joint", "footage_file_fingerprints": [fingerprint, "more"]}
    trained = replace(actor, trained=record if listed else {"footage_fingerprint": fingerprint})
    for files, note in (
        (
            (learned, new),
            "the actor was trained on learned.mp4: its frames may have been learned, so scores may be too good",
        ),
        ((new,), "not the footage of the actor's training"),
    ):
        evaluation = evaluate_held_out(trained, prepared, Footage(files=files), None, told)
        assert evaluation.notes[0] == note


def test_missing_values_are_reported(actor, prepared, detector, tmp_path):
    """Metrics without weights and undetected parts are n/a, with the reason; files and plots are written."""
    evaluation = evaluate_held_out(actor, prepared, None, None, told)
    evaluation.not_available["LPIPS"] = "no weights"
    likeness, distance, rests_on, missed, motion = tables_of(evaluation)
    (drawn, *_) = likeness.rows
    assert drawn[likeness.headings.index("body LPIPS")] == "n/a"
    assert distance.rows[0][1:] == ("n/a",) * 5
    assert distance.rows[-1][1] == "1.00"
    assert missed.rows[0][-1] == "0/8"
    assert rests_on.rows[0][1] == "0/56 (0)"
    assert rests_on.rows[-1][1] == "56/56 (8)"
    assert motion.headings == (
        "drawn by",
        "sharpness",
        "face sharpness",
        "flicker",
        "drawn / real",
        "frames per second",
    )
    assert "" not in motion.rows[0]
    assert motion.rows[-1][1:3] == ("", "")
    assert motion.rows[-1][-2:] == ("1.00", "")
    still, unknown = (replace(evaluation.rows[0], flicker_levels=None, has_motion=motion) for motion in (False, True))
    motion = tables_of(replace(evaluation, rows=[still, unknown]))[-1]
    assert [row[3:5] for row in motion.rows] == [("", ""), ("n/a", "")]
    text = markdown(evaluation, [likeness])
    assert "- LPIPS is not available: no weights" in text
    assert "| the actor |" in text
    paths = write_evaluation(evaluation, tmp_path / "out", "held-out", write_picture)
    assert [path.name for path in paths] == [
        "held-out.csv", "held-out.md", "held-out.json", "held-out-plots.png", "held-out-pictures.png",
    ]  # fmt: skip
    with paths[0].open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["body_lpips"] == "not available"
    assert rows[0]["face_distance_px"] == "not available"
    assert [rows[3][name] for name in ("body_lpips", "face_ssim", "frames_per_second")] == ["", "", ""]
    assert float(rows[3]["overall_distance_px"]) == pytest.approx(1, abs=1e-5)
    assert json.loads(paths[2].read_text())["not_available"] == {"LPIPS": "no weights"}
    assert cv2.imread(str(paths[4])).shape == (20 + 3 * 32, 8 * 32, 3)
    assert cv2.imread(str(paths[3])).shape[0] > 300


def test_an_undetected_part_has_no_bar(actor, prepared, detector):
    """A bar of height 0 would look like the best value; n/a is written instead."""
    missed, _, _, real = evaluate_held_out(actor, prepared, None, None, told).rows
    axes = Figure().subplots()
    draw_pose_bars(axes, [missed, real])
    heights_px = [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)]
    assert np.isnan(heights_px[:4]).all()
    assert heights_px[4] == pytest.approx(1, abs=1e-5)
    written = [text.get_position()[0] for text in axes.texts if text.get_text() == "n/a"]
    assert written[:4] == [0, 1, 2, 3]
    assert len(written) == int(np.isnan(heights_px).sum())


def test_footage_that_is_not_there_is_asked_for(actor, tmp_path):
    """Without the prepared footage of the training, the footage must be given."""
    with pytest.raises(BadInput, match=r"the footage of kind's training is not prepared in .*: name the files"):
        footage_of(actor, None, tmp_path / "work", told, print)


def test_footage_of_another_size_is_refused(actor, prepared, tmp_path, monkeypatch):
    """Self-reconstruction needs the same camera in the same place."""
    monkeypatch.setattr(self_reconstruction, "prepare", lambda *_, **__: prepared)
    other = replace(actor, frame_size=replace(actor.frame_size, width_px=64))
    with pytest.raises(BadInput, match="is 32x32, kind was filmed at 64x32"):
        footage_of(other, Footage.of(tmp_path), tmp_path, told, print)


@pytest.mark.parametrize("onto_plate", [True, False])
def test_footage_is_prepared_as_the_actor_was_trained(actor, prepared, tmp_path, monkeypatch, onto_plate):
    """No wardrobe is made, and no still camera asked for, for an actor that draws its place itself."""
    asked = {}

    def prepare(*_, **options):
        asked.update(options)
        return prepared

    monkeypatch.setattr(self_reconstruction, "prepare", prepare)
    drawing = replace(actor, generator=replace(actor.generator, plate=onto_plate))
    footage_of(drawing, Footage.of(tmp_path), tmp_path, told, print)
    assert asked["onto_plate"] == onto_plate


def film(path, pictures):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.options = 32, 32, "rgb24", {"crf": "0"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_poses_that_the_footage_lacks_have_a_table_and_pictures(actor, prepared, detector, tmp_path):
    """Each made-up pose has its distance; the drawn pictures are below the held-out frames, as many side by side."""
    evaluation = evaluate_held_out(actor, prepared, None, None, told)
    scores = UnseenScores(poses=9, found=8, distance=0.05, missed=0.1, each={"arms up": 0.05, "squat": None})
    evaluation = replace(evaluation, unseen=scores, unseen_shown=[evaluation.shown[0][1]] * 9)
    table = tables_of(evaluation)[-1]
    assert table.rows == [
        ("arms up", "0.050"),
        ("squat", "n/a"),
        ("all (found in 8 of 9, 10% of the joints missed, second heads in 0)", "0.050"),
    ]
    paths = write_evaluation(evaluation, tmp_path / "out", "held-out", write_picture)
    assert json.loads(paths[2].read_text())["unseen_poses"]["each"]["arms up"] == 0.05
    assert cv2.imread(str(paths[4])).shape == (2 * 20 + 5 * 32, 8 * 32, 3)


@pytest.fixture
def truth(tmp_path, prepared):
    """The film of the right answer, and its true joints."""
    joints = np.stack([pose.joints_px[: skeleton.BODY_COUNT] for pose in prepared.poses[:4]])
    np.savez(tmp_path / "truth.npz", joints_px=joints)
    return film(tmp_path / "truth.mkv", prepared.pictures[:4])


def test_a_transfer_is_measured_against_its_right_answer(actor, prepared, detector, truth, tmp_path):
    """A perfect transfer without one frame scores perfectly on the others; the detector's own error is separate."""
    transferred = [*prepared.pictures[:3], None]
    evaluation = evaluate_transfer(actor, transferred, truth, tmp_path / "truth.npz", None, told)
    rows = {row.drawn_by: row for row in evaluation.rows}
    assert likeness(rows["the transfer"]) == pytest.approx(1)
    assert likeness(rows["the actor's place with nobody"]) < 0.9
    assert evaluation.facts["frames_compared"] == 3
    assert evaluation.notes == ["frames that were not drawn: 1 of 4"]
    assert evaluation.facts["sharpness_over_film"] == pytest.approx(1)
    assert evaluation.facts["flicker_over_film"] == pytest.approx(1)
    for name in ("transfer", "detector"):
        assert evaluation.facts[f"{name}_joint_error_px"] == pytest.approx(1, abs=1e-4)
        assert evaluation.facts[f"{name}_hips_offset_x_px"] == pytest.approx(1, abs=1e-4)
        assert evaluation.facts[f"{name}_joint_error_aligned_px"] == pytest.approx(0, abs=1e-4)


def test_a_film_of_another_transfer_is_refused(actor, prepared, detector, truth, tmp_path):
    """The number of frames, the frame size and the joints must match."""
    with pytest.raises(BadInput, match="has 4 frames, the transfer 2"):
        evaluate_transfer(actor, list(prepared.pictures[:2]), truth, None, None, told)
    other = replace(actor, frame_size=replace(actor.frame_size, width_px=64))
    with pytest.raises(BadInput, match="is 32x32, the actor's footage 64x32"):
        evaluate_transfer(other, list(prepared.pictures[:4]), truth, None, None, told)
    np.savez(tmp_path / "truth.npz", joints_px=np.zeros((3, 25, 2)))
    with pytest.raises(BadInput, match=r"holds joints \(3, 25, 2\)"):
        evaluate_transfer(actor, list(prepared.pictures[:4]), truth, tmp_path / "truth.npz", None, told)


@pytest.mark.parametrize(("joints", "marked"), [(1, True), (279, True), (280, False), (560, False)])
def test_a_distance_over_few_joints_is_marked(actor, prepared, detector, joints, marked):
    """A distance over fewer than half of the joints asked for has a mark and a footnote; n/a needs none."""
    evaluation = evaluate_held_out(actor, prepared, None, None, told)
    score = replace(evaluation.rows[-1].parts["face"], distance_px=1.0, joints=joints, asked=560, frames=1)
    parts = dict.fromkeys(evaluation.rows[-1].parts, replace(score, joints=560)) | {"face": score}
    evaluation.rows = [evaluation.rows[0], replace(evaluation.rows[-1], parts=parts)]
    _, distance, rests_on, *_ = tables_of(evaluation)
    assert distance.rows[1][1:5] == ("1.00", "1.00*" if marked else "1.00", "1.00", "1.00")
    assert rests_on.rows[1][2] == f"{joints}/560 (1)"
    assert distance.rows[0][2] == "n/a"
    assert any(note.startswith("*: fewer than half") for note in footnotes(evaluation)) == marked
    assert any(note.startswith("SSIM: Gaussian window") for note in footnotes(evaluation))
    axes = Figure().subplots()
    draw_pose_bars(axes, evaluation.rows[1:])
    assert [text.get_text() for text in axes.texts] == (["*"] if marked else [])


@pytest.mark.parametrize(
    ("distances", "mean"), [([0.0, 0.0], 0.0), ([0.0, 0.3], 0.15), ([None, 0.0], 0.0), ([None] * 2, None)]
)
def test_a_pose_distance_of_nothing_counts(prepared, monkeypatch, distances, mean):
    """A distance of 0 is the best value, not a missing one."""
    told_next = iter(distances)
    monkeypatch.setattr("training.evaluation.metrics.pose_distance", lambda one, other: next(told_next))
    runs, asked = [list(prepared.pictures[:2])], [prepared.poses[:2]]
    monkeypatch.setattr("training.evaluation.score_rows.detected", lambda runs: asked)
    rule = FaceRule(side_per_face_size=2.0, min_side_px=8)
    row = measured("these", runs, runs, asked, rule, None, is_real=True, has_motion=False)
    assert row.pose_distance == (None if mean is None else pytest.approx(mean))
    assert row.parts["body"].distance_px == 0.0
