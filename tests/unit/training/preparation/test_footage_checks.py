"""The findings about footage."""

from dataclasses import replace

import numpy as np
import pytest

from motion.crop import Crop
from motion.frame import FrameSize
from training.footage_report.coverage import View
from training.place.steady_camera import SteadyCamera
from training.preparation.footage_checks import CheckedFootage, check_footage, refusals
from training.preparation.frame_table import FrameTable

FRAMES = 3000
YES, NO = np.ones(FRAMES, bool), np.zeros(FRAMES, bool)


@pytest.fixture
def good():
    """Two minutes of good footage."""
    table = FrameTable(
        frame_rate_hz=25.0,
        seen=YES,
        whole_body=YES,
        body_height_px=np.full(FRAMES, 600, np.float32),
        face_box_px=np.full((FRAMES, 3), 90, np.int32),
        left_hand=YES,
        right_hand=YES,
        views=dict.fromkeys(View, YES),
        people=np.ones(FRAMES, np.int16),
        camera_shift_px=np.full(FRAMES, 0.1, np.float32),
        light_levels=np.zeros(FRAMES, np.float32),
        sharpness=np.full(FRAMES, 500, np.float32),
        starts=frozenset({0}),
        leaps=frozenset(),
        file_starts=[0],
        measures=[],
    )
    return CheckedFootage(
        table=table,
        frame_size=FrameSize(1920, 1080),
        crop=Crop(400, 20, 1000, 1000, 256, 256),
        onto_plate=True,
        looked_for_others=80,
        never_seen=0.001,
        props=0,
    )


def level_of(checked, what):
    (finding,) = [finding for finding in check_footage(checked) if finding.what == what]
    assert bool(finding.advice) == (finding.level in ("warning", "refused"))
    return finding.level, finding.measured


def with_table(checked, **columns):
    return replace(checked, table=replace(checked.table, **columns))


def part(share):
    """True in this fraction of the frames."""
    return np.arange(FRAMES) < share * FRAMES


def test_good_footage_is_good(good):
    """Good footage has no warning and needs no advice."""
    assert {finding.level for finding in check_footage(good)} == {"good"}
    assert not refusals(check_footage(good))


@pytest.mark.parametrize(
    ("what", "columns", "level", "words"),
    [
        ("poses", {"seen": part(0.9)}, "warning", "a person in 2700 of 3000 frames"),
        ("poses", {"seen": part(0.4)}, "refused", "1200 of 3000"),
        ("poses", {"seen": NO}, "refused", "0 of 3000"),
        ("length", {"seen": part(0.1)}, "warning", "12 seconds"),
        ("whole body", {"whole_body": part(0.8)}, "warning", "80%"),
        ("whole body", {"whole_body": part(0.3)}, "refused", "30%"),
        ("size", {"body_height_px": np.full(FRAMES, 300, np.float32)}, "warning", "77 of 256 as drawn"),
        ("size", {"body_height_px": np.full(FRAMES, 120, np.float32)}, "refused", "31 of 256 as drawn"),
        ("size", {"body_height_px": np.full(FRAMES, 700, np.float32)}, "warning", "179 of 256 as drawn"),
        ("faces", {"face_box_px": np.zeros((FRAMES, 3), np.int32)}, "warning", "0%"),
        ("hands", {"left_hand": NO, "right_hand": part(0.3)}, "warning", "left in 0%, right in 30%"),
        ("sides", {"views": dict.fromkeys(View, YES) | {View.LEFT_SIDE: NO}}, "warning", "left side not shown"),
        ("camera", {"camera_shift_px": np.full(FRAMES, np.nan, np.float32)}, "unknown", "not measured"),
        ("light", {"light_levels": np.linspace(0, 30, FRAMES, dtype=np.float32)}, "warning", "changes by 29"),
        ("light", {"light_levels": np.linspace(0, 90, FRAMES, dtype=np.float32)}, "refused", "changes by 86"),
        ("cuts", {"starts": frozenset({0, 700})}, "warning", "1 within the files"),
        ("cuts", {"starts": frozenset(range(0, FRAMES, 20))}, "refused", "149 within the files"),
        ("leaps", {"starts": frozenset({0, 700}), "leaps": frozenset({700})}, "warning", "1 within the files"),
        ("leaps", {"leaps": frozenset(range(20, FRAMES, 20))}, "refused", "149 within the files"),
        ("frame rate", {"frame_rate_hz": 10.0}, "warning", "10 frames per second"),
        ("sharpness", {"sharpness": np.where(part(0.2), 50, 500).astype(np.float32)}, "warning", "20%"),
    ],
)
def test_problems_are_reported_with_numbers_and_advice(good, what, columns, level, words):
    """A small problem is a warning, a large one makes training a waste of time."""
    said = level_of(with_table(good, **columns), what)
    assert said[0] == level
    assert words in said[1]


def test_the_start_of_a_file_is_not_a_cut(good):
    """The start of a file is not a cut."""
    assert level_of(with_table(good, starts=frozenset({0, 900}), file_starts=[0, 900]), "cuts") == ("good", "none")


def test_a_leap_is_not_a_cut(good):
    """A leap has its own finding and advice."""
    leaping = with_table(good, starts=frozenset({0, 700}), leaps=frozenset({700}))
    assert level_of(leaping, "cuts") == ("good", "none")


@pytest.mark.parametrize(
    ("share", "unknown", "level", "words"),
    [
        (0.01, 0.0, "good", "moved by 19 pixels, 1.0% of the frame's width; every frame was held still"),
        (0.05, 0.02, "warning", "every frame was held still; in 2% of the frames it could not be followed"),
        (0.2, 0.0, "refused", "moved by 384 pixels, 20.0% of the frame's width"),
        (0.01, 0.5, "refused", "in 50% of the frames it could not be followed"),
    ],
)
def test_a_camera_that_shakes_is_held_still_and_one_that_pans_is_refused(good, share, unknown, level, words):
    """Small movements are no reason to refuse; the paper's network, which draws the place too, takes any."""
    moves = np.tile(np.eye(3), (50, 1, 1))
    moves[::2, 0, 2] = share * 1920
    moving = replace(good, camera=SteadyCamera(moves, FrameSize(1920, 1080), unknown))
    said = level_of(moving, "camera")
    assert said[0] == level
    assert words in said[1]
    assert level_of(replace(moving, onto_plate=False), "camera")[0] == "good"


def test_other_people_are_counted_where_known(good):
    """Other people are counted in the frames searched again, or in all frames, or reported as not checked."""
    assert level_of(replace(good, others_found=3), "other people")[0] == "warning"
    assert level_of(replace(good, others_found=60), "other people")[0] == "refused"
    crowd = with_table(replace(good, looked_for_others=None), people=np.where(part(0.1), 2, 1).astype(np.int16))
    assert level_of(crowd, "other people") == ("warning", "more than one person in 300 of 3000 frames")
    assert level_of(replace(good, looked_for_others=0), "other people") == ("unknown", "not checked")


def test_props_damage_and_hidden_places_are_warnings(good):
    """Props, damage and hidden places are warnings and never a refusal."""
    odd = replace(good, props=400, lost_frames=7, never_seen=0.05, drawn_masks=9)
    assert {what: level_of(odd, what)[0] for what in ("props", "damage", "place", "outlines")} == dict.fromkeys(
        ("props", "damage", "place", "outlines"), "warning"
    )
    assert not refusals(check_footage(odd))
