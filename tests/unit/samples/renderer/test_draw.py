"""Renderings and their ground truth, at a small size."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from samples.cast import ACTOR, SOURCE, Performer
from samples.renderer.draw import Picture, Renderer, Rendering, _expose

SIZE = 96
POSE = SOURCE.dance.pose_at(2.4)


@pytest.fixture(scope="module", params=[SOURCE, ACTOR], ids=["source", "actor"])
def drawn(request) -> tuple[Performer, Renderer, Rendering]:
    performer: Performer = request.param
    renderer = performer.renderer(SIZE, SIZE)
    return performer, renderer, renderer.render(POSE)


def empty_room(renderer: Renderer) -> Picture:
    """The room without a person."""
    return _expose(renderer._empty, 0)


def test_a_rendering_has_the_promised_shapes(drawn) -> None:
    rendering = drawn[2]
    assert (rendering.picture.shape, rendering.picture.dtype) == ((SIZE, SIZE, 3), np.uint8)
    assert (rendering.mask.shape, rendering.mask.dtype) == ((SIZE, SIZE), np.float32)
    assert (rendering.joints_px.shape, rendering.joints_px.dtype) == ((25, 2), np.float32)
    assert 0 <= rendering.mask.min() <= rendering.mask.max() <= 1


def test_joints_lie_on_the_person(drawn) -> None:
    """Every joint projects into the mask, within the one pixel that a rounded ear may miss."""
    rendering = drawn[2]
    around = cv2.dilate(rendering.mask, np.ones((3, 3), np.uint8))
    column, row = rendering.joints_px.astype(int).T
    assert around[row, column].min() > 0.5


def test_the_mask_is_where_the_person_is(drawn) -> None:
    """Outside the mask the picture is the empty room except for shadows; inside it is the person."""
    _, renderer, rendering = drawn
    change = np.abs(rendering.picture.astype(int) - empty_room(renderer)).max(axis=2)
    assert np.median(change[rendering.mask == 1]) > 25
    shadowless = (rendering.mask == 0) & (np.arange(SIZE)[:, None] < 0.6 * SIZE)  # above the floor's shadows
    assert np.quantile(change[shadowless], 0.995) <= 2
    brighter = rendering.picture.astype(int) - empty_room(renderer)
    assert brighter[rendering.mask == 0].max() <= 2  # a shadow only darkens


def test_edges_are_smooth(drawn) -> None:
    """The outline is antialiased: many mask values are between 0 and 1."""
    between = (drawn[2].mask > 0) & (drawn[2].mask < 1)
    assert between.sum() > 100


def test_the_same_pose_gives_the_same_pixels(drawn) -> None:
    """This also holds for a second renderer; another frame number changes only the noise."""
    performer, _, rendering = drawn
    again = performer.renderer(SIZE, SIZE).render(POSE)
    np.testing.assert_array_equal(again.picture, rendering.picture)
    np.testing.assert_array_equal(again.mask, rendering.mask)
    later = performer.renderer(SIZE, SIZE).render(POSE, frame=1)
    change = np.abs(later.picture.astype(int) - rendering.picture)
    assert 0 < change.max() < 20


def test_every_part_casts_a_shadow_on_the_floor(drawn) -> None:
    """The floor beside the feet is darker than in the empty room."""
    _, renderer, rendering = drawn
    darker = empty_room(renderer).astype(int).sum(axis=2) - rendering.picture.astype(int).sum(axis=2)
    floor = (rendering.mask == 0) & (np.arange(SIZE)[:, None] > 0.75 * SIZE)
    assert (darker[floor] > 40).sum() > 30


def test_the_print_is_on_the_front_only() -> None:
    """Facing the camera the shirt shows the chest's print, and facing away the other one."""
    renderer = ACTOR.renderer(256, 256)
    pose = ACTOR.dance.pose_at(0)
    pictures = [renderer.render(replace(pose, turn_deg=turn_deg)) for turn_deg in (0.0, 180.0)]
    for drawn in pictures:
        neck, hip = drawn.joints_px[1], drawn.joints_px[8]
        chest = drawn.picture[int(neck[1]) : int(hip[1]), int(neck[0]) - 10 : int(neck[0]) + 10].astype(int)
        printed = (chest[..., 0] > chest[..., 1] - 30) & (chest.sum(axis=2) > 330)  # cream on green
        assert 0.05 < printed.mean() < 0.5
    assert np.abs(pictures[0].picture.astype(int) - pictures[1].picture).max() > 100
