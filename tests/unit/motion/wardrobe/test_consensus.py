"""What a limb usually looks like, and which pixels of its cuts agree."""

import numpy as np

from motion.wardrobe.consensus import agreements
from motion.wardrobe.cutting import cut_limbs, find_regions
from motion.wardrobe.limbs import Limb
from motion.wardrobe.placing import measure_limbs, place
from tests.unit.motion.wardrobe.puppets import puppet

LIMB = Limb.RIGHT_UPPER_ARM
TEAL, CREAM, RED = (30, 110, 100), (230, 225, 190), (220, 20, 30)
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
