from dataclasses import replace

import numpy as np
import pytest

from benchmarks.slim_preset import slim_256
from benchmarks.training_recipe import VARIANTS, Measurement, seen_on, table_of
from motion.crop import Crop, whole_frame_crop
from motion.frame import FrameSize
from serving.errors import BadInput
from training import preset_setup
from training.loop.trainer import Budget, TrainingStopped


@pytest.fixture
def measurement(prepared, tiny, tmp_path, monkeypatch):
    """Begins a measurement on the walking bar in one folder; `said` collects what it says."""
    monkeypatch.setattr(preset_setup, "prepare", lambda *arguments, **options: prepared)
    (tmp_path / "footage.mp4").write_bytes(b"footage")

    def begin(pictures=2, said=None, should_stop=lambda: False):
        return Measurement(
            tmp_path / "footage.mp4",
            tmp_path / "work",
            Budget(pictures=pictures),
            seed=0,
            preset=tiny,
            say=(said if said is not None else []).append,
            should_stop=should_stop,
        )

    return begin


NAMES = [variant.name for variant in VARIANTS]


def test_every_element_taken_out_is_another_recipe():
    """No two trainings are the same, and without a plate nothing is left that needs one."""
    presets = {v.name: v.change(slim_256(), FrameSize(1280, 720)) for v in VARIANTS if v.training == v.name}
    assert len({repr(preset) for preset in presets.values()}) == len(presets) == len(VARIANTS) - 1
    assert (presets["plate"].jitter, presets["plate"].targets, presets["plate"].weights.opacity) == (None, "filmed", 0)


def test_whole_frame_takes_as_many_pixels_in_the_frame_s_shape():
    """1280x720 is drawn at 344x192: 0.8 % more pixels than 256x256, in multiples of 8."""
    (variant,) = (v for v in VARIANTS if v.name == "stage")
    preset = variant.change(slim_256(), FrameSize(1280, 720))
    assert (preset.width_px, preset.height_px, preset.whole_frame) == (344, 192, True)


def test_whole_frame_drawings_are_compared_where_the_stage_is(prepared):
    """What is drawn at the footage's own size shows on the crop just what the footage shows there."""
    crop = Crop(4, 2, 24, 24, 12, 12)
    whole = replace(prepared, crop=whole_frame_crop(prepared.frame_size, 32, 32))
    np.testing.assert_array_equal(seen_on(crop, whole, prepared.pictures[5]), crop.cut(prepared.pictures[5]))


def test_every_row_comes_out_and_is_not_measured_again(measurement):
    """All rows are in the table; the same call once more, in a new process, neither trains nor draws."""
    first = measurement()
    first.run(NAMES)
    assert list(first.results.rows) == NAMES
    assert len(table_of(first.results.rows).splitlines()) == 2 + len(NAMES)
    said = []
    again = measurement(said=said)
    again.run(NAMES)
    assert again.results.rows == first.results.rows
    assert not said


def test_one_row_is_measured_again_and_gives_the_same(measurement):
    """The repeated row is trained anew and, with the same seed, scored the same; the others are left alone."""
    first = measurement()
    first.run(["full", "moving"])
    said = []
    second = measurement(said=said)
    second.again("moving")
    assert all(line.startswith("moving") for line in said)
    assert any("pictures" in line for line in said)
    assert second.results.rows["moving"].body_ssim == first.results.rows["moving"].body_ssim


def test_stopped_measurement_goes_on(measurement):
    """What was stopped in the middle of a training goes on from its checkpoint."""
    said = []
    with pytest.raises(TrainingStopped):
        measurement(4, said, lambda: bool(said)).run(["full"])
    assert not measurement(4).results.rows
    rest = []
    measurement(4, rest).run(["full"])
    assert [line for line in rest if "pictures" in line] == [line for line in rest if "100%" in line]


def test_rows_of_another_budget_are_refused(measurement):
    """Rows that were trained for less are never put beside new ones."""
    measurement(2).run(["full"])
    with pytest.raises(BadInput, match="another footage, recipe, seed or budget"):
        measurement(4).run(["full", "opacity"])
