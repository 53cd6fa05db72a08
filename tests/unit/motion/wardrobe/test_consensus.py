"""What a limb usually looks like, and which pixels of its cuts agree."""

from dataclasses import replace

import numpy as np

from motion.wardrobe.consensus import agreements
from motion.wardrobe.cutting import cut_limbs, find_regions
from motion.wardrobe.limbs import Limb
from motion.wardrobe.placing import measure_limbs, place
from tests.unit.motion.wardrobe.puppets import puppet

LIMB = Limb.RIGHT_UPPER_ARM
TEAL, CREAM, RED, SKIN = (30, 110, 100), (230, 225, 190), (220, 20, 30), (200, 150, 120)
FRAMES = 16


def agreed(standing, paint):
    """How much of the limb's cut agrees in each frame; `paint` colours the picture of a frame, given rows from 0 on."""
    _, mask = puppet(standing)
    body = place(standing, measure_limbs([standing]))
    regions = find_regions(body, mask)
    assert regions is not None
    cuts = cut_limbs(regions)
    frames = []
    for frame in range(FRAMES):
        picture = np.empty((*mask.shape, 3), np.uint8)
        picture[:] = paint(frame, np.arange(mask.shape[0]))[:, None]
        frames.append((picture, body, cuts))
    weights = cuts[LIMB].weights
    return [float((weights * kept).sum() / weights.sum()) for kept in agreements(LIMB, frames) if kept is not None]


def test_stripes_that_move_along_the_sleeve_are_kept(standing):
    """Stripes are not at one place of the limb in every frame; both colours are common at each place."""

    def striped(frame, rows):
        return np.where((((rows + 3 * frame) // 6) % 2 == 0)[:, None], TEAL, CREAM)

    plain = agreed(standing, lambda frame, rows: np.full((len(rows), 3), TEAL))
    assert min(agreed(standing, striped)) > 0.97 * min(plain)


def test_a_colour_of_a_single_frame_is_taken_off(standing):
    """What covers the sleeve in one frame alone is not the sleeve's."""
    shares = agreed(standing, lambda frame, rows: np.full((len(rows), 3), RED if frame == 7 else TEAL))
    assert shares[7] < 0.05
    assert min(shares[:7]) > 0.6


def test_fingers_are_kept_wherever_they_are_and_trousers_are_not(standing):
    """Fingers lie where most frames show nothing, so there the palm's colour decides."""
    _, mask = puppet(standing)
    body = place(standing, measure_limbs([standing]))
    regions = find_regions(body, mask)
    assert regions is not None
    cut = cut_limbs(regions)[Limb.RIGHT_HAND]
    wrist, end = body.ends_px[Limb.RIGHT_HAND]
    rows, columns = np.indices(cut.weights.shape) + 0.5
    away_px = np.stack([columns + cut.box.left, rows + cut.box.top], axis=-1) - wrist
    fingers = away_px @ (end - wrist) > 0.6 * np.sum((end - wrist) ** 2)
    pointing = {3: SKIN, 4: TEAL}
    frames = []
    for frame in range(FRAMES):
        picture = np.full((*mask.shape, 3), SKIN, np.uint8)
        picture[cut.box.slices][fingers] = pointing.get(frame, SKIN)
        weights = cut.weights if frame in pointing else np.where(fingers, np.float32(0), cut.weights)
        frames.append((picture, body, {Limb.RIGHT_HAND: replace(cut, weights=weights)}))
    kept = agreements(Limb.RIGHT_HAND, frames)
    shown = fingers & (cut.weights > 0.9)
    assert shown.any()
    for frame, expected in ((3, 1.0), (4, 0.0)):
        agreement = kept[frame]
        assert agreement is not None
        assert abs(float(np.median(agreement[shown])) - expected) < 0.1
