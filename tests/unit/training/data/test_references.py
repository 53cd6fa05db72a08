"""What a training frame may be drawn from, and how its reference is made harder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from motion.wardrobe.draw import draw_reference
from motion.wardrobe.limbs import LIMB_COUNT
from tests.unit.training.conftest import walking_bar
from training.data.pairs import Pairs
from training.data.references import ReferenceRules, References, training_wardrobe
from training.evaluation.held_out_frames import HeldOut

FRAMES = 96
MARKER = (200, 40, 110)
"""Near the person's (200, 40, 60), so that no rule about odd colours leaves these pieces out."""
EASY = ReferenceRules(noisy=0, incomplete=0, made_up=0)


def footage(folder, marked=()):
    """Four seconds of the walking bar; in the marked frames the person is painted in the marker's colour."""
    prepared = walking_bar(folder, FRAMES)
    pictures = prepared.pictures.copy()
    for frame in marked:
        pictures[frame][prepared.masks[frame] > 0] = MARKER
    return replace(prepared, pictures=pictures, targets=pictures)


def references_of(prepared):
    return References(training_wardrobe(prepared, prepared.split()), prepared.frame_rate_hz)


def pairs_of(prepared, references, rules=EASY):
    return Pairs(
        prepared,
        prepared.split(),
        onto_plate=True,
        previous_zeros=1,
        previous_noise=0,
        references=references,
        rules=rules,
        seed=0,
    )


def shows_marker(reference_HW4):
    """Whether a covered pixel is nearer to the marker than to the person's colour."""
    covered = reference_HW4[..., 3] > 250
    return bool((covered & (reference_HW4[..., 2] > 85)).any())


def levels(tensor):
    """A pair's reference, `[1, 4, H, W]`, as 0 to 255 again."""
    coverage = tensor[0, 3:]
    return np.concatenate([(tensor[0, :3] + coverage) * 127.5, coverage * 255]).transpose(1, 2, 0)


@pytest.mark.parametrize("first", [0, 30, 60])
def test_reference_never_comes_from_within_half_a_second(tmp_path, first):
    """With all frames around a pair painted in a marker's colour, its references show nothing of that colour."""
    near = [frame for frame in range(FRAMES) if min(abs(frame - first), abs(frame - first - 1)) <= 12]
    prepared = footage(tmp_path, near)
    references = references_of(prepared)
    near_alone = draw_reference(
        references.wardrobe, prepared.crop_pose(first), allowed=np.isin(references.wardrobe.frames, near)
    )
    assert shows_marker(near_alone.picture)  # so it would be seen
    pairs = pairs_of(prepared, references)
    pairs.first_frames = np.array([first])
    for number in range(0, 16, 2):
        pair = pairs.pair(number)
        assert pair.references is not None
        drawn = [levels(tensor.numpy()) for tensor in pair.references]
        assert all(picture[..., 3].max() > 200 for picture in drawn)
        assert not any(map(shows_marker, drawn))


def test_reference_never_comes_from_held_out_frames_or_gaps(tmp_path):
    """Painted in a marker's colour, neither held-out frames nor those in gaps appear in any reference, even made up."""
    hidden = np.flatnonzero(~walking_bar(tmp_path, FRAMES).split().trained).tolist()
    prepared = footage(tmp_path, hidden)
    references = references_of(prepared)
    assert not set(references.wardrobe.frames.tolist()) & set(hidden)
    pairs = pairs_of(prepared, references)
    for number in range(0, 24, 2):
        for made_up in (False, True):
            pair = pairs.pair(number, made_up=made_up)
            assert pair.references is not None
            assert not any(shows_marker(levels(tensor.numpy())) for tensor in pair.references)


def test_held_out_frames_are_drawn_from_frames_half_a_second_away(tmp_path, tiny):
    """Scores measure no memory: the gap alone would be shorter."""
    plain = footage(tmp_path)
    split = plain.split()
    block = split.blocks[1]
    near = [frame for frame in range(FRAMES) if min(abs(frame - block.start), abs(frame - block[-1])) <= 12]
    prepared = footage(tmp_path / "marked", near)
    held_out = HeldOut(prepared, split, tiny, references=references_of(prepared))
    run = held_out.references(list(block))
    assert run is not None
    assert not any(map(shows_marker, run))


def test_made_up_pairs_differ_from_the_footage_and_have_their_own_target(tmp_path):
    """Their target is what the wardrobe shows at its best; there is no previous picture."""
    prepared = footage(tmp_path)
    pairs = pairs_of(prepared, references_of(prepared))
    made_up, filmed = pairs.pair(4, made_up=True), pairs.pair(4)
    assert made_up.made_up
    assert not filmed.made_up
    assert not made_up.previous.any()
    assert made_up.masks[0].max() > 0.9


def test_share_of_made_up_steps_is_kept_and_the_first_step_has_all_losses(tmp_path):
    """About a third of the steps are made up, the same ones every time; the first never is."""
    prepared = footage(tmp_path)
    pairs = pairs_of(prepared, references_of(prepared), ReferenceRules(made_up=0.35))
    chosen = [pairs.makes_up(number) for number in range(0, 800, 2)]
    assert chosen == [pairs.makes_up(number) for number in range(0, 800, 2)]
    assert 0.28 < np.mean(chosen) < 0.42
    assert not pairs.makes_up(0)


def test_pairs_with_references_show_the_same_frames_as_those_without(tmp_path):
    """References draw their own random numbers: which frames are seen, and how they are moved, does not change."""
    prepared = footage(tmp_path)
    with_references = pairs_of(prepared, references_of(prepared), ReferenceRules()).pair(6)
    without = Pairs(prepared, prepared.split(), onto_plate=True, previous_zeros=1, previous_noise=0, seed=0).pair(6)
    assert (with_references.pictures[0] == without.pictures[0]).all()
    assert without.references is None


def test_difficulties_come_as_often_as_their_rules_say(tmp_path):
    """Half of the pairs are disturbed, some lack limbs."""
    references = references_of(footage(tmp_path))
    rules = ReferenceRules(noisy=0.5, incomplete=0.5, left_out=0.5)
    drawn = [references.difficulties(rules, np.random.default_rng(seed)) for seed in range(200)]
    noises = [one.noise for one in drawn if one.noise is not None]
    assert 70 < len(noises) < 130
    assert noises[0].shape == (references.wardrobe.key_frames, LIMB_COUNT)
    assert 70 < sum(bool(one.left_out) for one in drawn) < 130


def test_wardrobe_is_made_once_and_again_when_it_cannot_be_used(tmp_path):
    """The file is read the next time; one that is damaged is made again."""
    prepared, split = footage(tmp_path), footage(tmp_path).split()
    made, calls = training_wardrobe(prepared, split), []
    kept = training_wardrobe(prepared, split, lambda *progress: calls.append(progress))
    assert not calls
    np.testing.assert_array_equal(made.pixels, kept.pixels)
    for path in prepared.folder.glob("wardrobe*"):
        path.write_bytes(b"damaged")
    again = training_wardrobe(prepared, split, lambda *progress: calls.append(progress))
    assert calls
    np.testing.assert_array_equal(made.pixels, again.pixels)


def test_key_frames_of_long_footage_are_chosen_among_some_of_its_frames(tmp_path, monkeypatch):
    """Hours of footage take no more memory than minutes: the frames are spread over all of it."""
    monkeypatch.setattr("training.data.references._MOST_FRAMES", 10)
    prepared = footage(tmp_path)
    chosen = training_wardrobe(prepared, prepared.split()).frames
    assert len(chosen) <= 10
    assert chosen[0] < 10
    assert chosen[-1] > FRAMES - 20


def test_pairs_need_wardrobe_rules_and_plate_together(tmp_path):
    """Rules without a wardrobe, and a wardrobe without rules or plate, are refused."""
    prepared = footage(tmp_path)
    references = references_of(prepared)

    def pairs(**given):
        return Pairs(prepared, prepared.split(), previous_zeros=1, previous_noise=0, seed=0, **given)

    with pytest.raises(ValueError, match="need a wardrobe"):
        pairs(onto_plate=True, rules=EASY)
    with pytest.raises(ValueError, match="need a wardrobe"):
        pairs(onto_plate=False, targets="filmed", references=references, rules=EASY)
    with pytest.raises(ValueError, match="made-up poses"):
        pairs(onto_plate=True).pair(0, made_up=True)
