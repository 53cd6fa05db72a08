import threading

import pytest
import torch

from training.data.split import split_footage
from training.loop.batches import Ahead, collated, halved
from training.preset_setup import pairs_for


@pytest.fixture
def pairs(prepared, tiny):
    return pairs_for(tiny, prepared, split_footage([True] * len(prepared)), 1)


def test_batch_holds_its_pairs_side_by_side(pairs):
    """A batch contains the same tensors as its pairs, in every field."""
    one, other = pairs.pair(0), pairs.pair(2)
    batch = collated([one, other])
    assert batch.previous.shape == (2, 3, 32, 32)
    for index, pair in enumerate((one, other)):
        assert torch.equal(batch.labels[1][index], pair.labels[1][0])
        assert torch.equal(batch.counted[0][index], pair.counted[0][0])
        assert batch.plate is not None
        assert pair.plate is not None
        assert torch.equal(batch.plate[index], pair.plate[0])
    with pytest.raises(ValueError, match="at least one"):
        collated([])


def test_halved_pair_has_means_of_four_pixels(pairs):
    """Pictures are averaged, and a pixel does not count if one of its four does not."""
    pair = pairs.pair(0)
    pair.counted[0][..., 0, 0] = 0
    half = halved(pair)
    assert half.pictures[0].shape == (1, 3, 16, 16)
    assert half.pictures[0][0, 0, 3, 5].item() == pytest.approx(pair.pictures[0][0, 0, 6:8, 10:12].mean().item())
    assert half.counted[0][0, 0, 0, 0] == 0
    assert half.counted[0].sum() == 16 * 16 - 1


def test_coming_batches_are_made_while_the_present_one_is_used():
    """The next batches are started in other threads, and are the same as made alone."""
    begun = threading.Event()
    names = set()

    def make(number):
        names.add(threading.current_thread().name)
        if number == 4:
            begun.set()
        return number * 10

    ahead = Ahead(make, stride=2)
    assert ahead.item(2) == 20
    assert begun.wait(30)
    assert [ahead.item(number) for number in (4, 6, 0, 100)] == [40, 60, 0, 1000]
    assert threading.current_thread().name not in names


def test_error_in_making_a_batch_is_raised_where_it_is_asked_for():
    """An error in making a batch is raised in the thread that trains."""

    def make(number):
        raise OSError("cannot read")

    with pytest.raises(OSError, match="cannot read"):
        Ahead(make, stride=1).item(0)
