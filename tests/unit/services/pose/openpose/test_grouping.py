"""Grouping finds exactly the people from which the maps were drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from benchmarks.drawn_people import HEIGHT, LIMBS, PAIRS, PARTS, STANDING, WIDTH, draw_maps
from services.pose.openpose.grouping import Grouped, find_peaks, group

NEAREST_CELLS = 3.0
"""Two joints of one part that are closer than this form one maximum in a map of this width."""
MOST_OFF_CELLS = 0.3


def unambiguous(person: np.ndarray, others: list[np.ndarray]) -> bool:
    """Whether the maps are unambiguous: they determine which joint belongs to whom.

    Two joints of one part must form two maxima. And if a line from one person's joint to another's runs along both of
    their limbs, as with two arms in one line, the fields support the right and the wrong pair alike.
    """
    if not others:
        return True
    rest = np.stack(others)
    if np.nanmin(np.append(np.hypot(*np.moveaxis(rest - person, -1, 0)), np.inf)) < NEAREST_CELLS:
        return False
    a, b = np.array(PAIRS).T
    mine, theirs = (person[b] - person[a])[None], rest[:, b] - rest[:, a]
    for wrong in (rest[:, b] - person[a], person[b] - rest[:, a]):
        length = np.hypot(wrong[..., 0], wrong[..., 1])
        for limb in (np.broadcast_to(mine, wrong.shape), theirs):
            limb_length = np.hypot(limb[..., 0], limb[..., 1])
            turned = np.abs(limb[..., 0] * wrong[..., 1] - limb[..., 1] * wrong[..., 0]) / (limb_length * length + 1e-9)
            same_way = (limb * wrong).sum(axis=-1) > 0
            if ((turned < 0.5) & same_way & (length < 2.5 * limb_length)).any():
                return False
    return True


def check_exact(people: list[np.ndarray], grouped: Grouped) -> None:
    """Assert that the same number of people is found, each with exactly their own joints."""
    assert len(grouped) == len(people)
    cost = np.zeros((len(people), len(people)))
    for i, person in enumerate(people):
        known = ~np.isnan(person[:, 0])
        for j in range(len(grouped)):
            found = grouped.confidence[j] > 0
            wrong = (known != found).sum()
            off = np.hypot(*(person - grouped.positions[j]).T)[known & found]
            cost[i, j] = wrong + (off > MOST_OFF_CELLS).sum()
    rows, columns = linear_sum_assignment(cost)
    assert cost[rows, columns].sum() == 0, cost[rows, columns]


def at(x: float, y: float, height: float) -> np.ndarray:
    """Return a standing person with the top of the head at (x, y), in cells."""
    return STANDING * height + (x, y)


def turned(joints: np.ndarray, shoulder: int, arm: tuple[int, ...], degrees: float) -> np.ndarray:
    """Turn an arm about its shoulder."""
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    joints = joints.copy()
    joints[list(arm)] = (joints[list(arm)] - joints[shoulder]) @ matrix.T + joints[shoulder]
    return joints


@st.composite
def crowds(draw) -> list[np.ndarray]:
    """1 to 20 people of different sizes and arm poses, who overlap and cross; some lack joints."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    wanted = draw(st.integers(1, 20))
    people: list[np.ndarray] = []
    for _ in range(40 * wanted):
        if len(people) == wanted:
            break
        height = rng.uniform(22, 40) if wanted <= 6 else rng.uniform(14, 22)
        person = at(
            rng.uniform(0.3 * height, WIDTH - 0.3 * height), rng.uniform(0.5, HEIGHT - 2 - 0.96 * height), height
        )
        person = turned(person, 2, (3, 4), rng.uniform(-60, 150))
        person = turned(person, 5, (6, 7), rng.uniform(-150, 60))
        if not (person[:, 0].min() >= 0.5 and person[:, 0].max() <= WIDTH - 1.5 and person[:, 1].min() >= 0.5):
            continue
        # Only end points of limbs may be missing: hands, feet and ears.
        person[rng.permutation([4, 7, 10, 13, 16, 17])[: rng.integers(0, 4)]] = np.nan
        if unambiguous(person, people):
            people.append(person)
    return people


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(crowds())
def test_a_drawn_crowd_is_found_exactly(people):
    """1 to 20 people with crossing limbs, missing joints and touching bodies are found, each with their own joints."""
    check_exact(people, group(*draw_maps(people), LIMBS))


def test_crossed_arms_stay_with_their_owners():
    """Two people whose forearms cross at a right angle keep their own hands."""
    left, right = at(30, 4, 36), at(46, 4, 36)
    left[[6, 7]] = (36, 14), (42, 20)
    right[[3, 4]] = (42, 14), (36, 20)
    check_exact([left, right], group(*draw_maps([left, right]), LIMBS))


def test_touching_people_are_separate():
    """Two people shoulder to shoulder, whose fields are side by side, are found as two."""
    people = [at(30, 4, 36), at(30 + 0.36 * 36, 4, 36)]
    check_exact(people, group(*draw_maps(people), LIMBS))


def test_an_empty_map_has_no_people():
    """Maps without peaks cause no error."""
    found = group(np.zeros((PARTS, HEIGHT, WIDTH), np.float32), np.zeros((38, HEIGHT, WIDTH), np.float32), LIMBS)
    assert len(found) == 0
    assert found.positions.shape == (0, PARTS, 2)


def test_peaks_lie_between_cells():
    """A Gaussian's centre is found to a hundredth of a cell; a plateau is one peak; a faint maximum is none."""
    maps = np.zeros((PARTS, HEIGHT, WIDTH), np.float32)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    maps[3] = np.exp(-((columns - 20.31) ** 2 + (rows - 11.77) ** 2) / 2)
    maps[5, 30:32, 40:42] = 0.8
    maps[6, 30, 40] = 0.05
    peaks = find_peaks(maps)
    assert peaks.part.tolist() == [3, 5]
    assert (peaks.x[0], peaks.y[0]) == pytest.approx((20.31, 11.77), abs=0.01)
    assert peaks.first.tolist() == [0, 0, 0, 0, 1, 1, *[2] * 13]


def test_a_limb_needs_the_field_along_most_of_its_line():
    """Two joints whose field ends half-way do not form a limb, so the person falls apart and is dropped."""
    person = at(40, 4, 36)
    heatmaps, fields = draw_maps([person])
    whole = group(heatmaps, fields, LIMBS)
    assert (whole.confidence[0] > 0).sum() == PARTS
    fields[:, 12:, :] = 0
    broken = group(heatmaps, fields, LIMBS)
    assert all((confidence[8:14] == 0).all() for confidence in broken.confidence)


def test_faint_people_and_pieces_are_dropped():
    """People with fewer joints than `MIN_PARTS`, or a lower score than `MIN_PERSON_SCORE`, are dropped."""
    person = at(40, 4, 36)
    piece = np.full_like(person, np.nan)
    piece[[1, 2, 3]] = person[[1, 2, 3]]
    assert len(group(*draw_maps([piece]), LIMBS)) == 0
    assert len(group(*draw_maps([piece]), LIMBS, min_parts=3)) == 1
    heatmaps, fields = draw_maps([person])
    assert len(group(heatmaps * 0.2, fields * 0.1, LIMBS)) == 0
