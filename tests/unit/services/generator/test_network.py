import numpy as np
import pytest
import torch

from services.generator.network import CopyGenerator, GlobalGenerator, LocalEnhancer, ServedGenerator, copied


def pictures(seed, count=1, side=16):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8))


def test_full_network_has_the_published_size():
    """ngf 64, 4 downsamplings, 9 blocks: the published 182.5 million weights, minus biases that a norm cancels."""
    with torch.device("meta"):
        network = GlobalGenerator(6, 3, 64, 4, 9)
    count = sum(weight.numel() for weight in network.parameters())
    widths = [64, 128, 256, 512, 1024]
    published_biases = sum(widths) + 9 * 2 * 1024 + sum(widths[:-1]) + 3
    assert count == 182_431_299
    assert count - 3 + published_biases == pytest.approx(182.5e6, rel=1e-3)


def test_local_enhancer_has_the_published_shape():
    """Around the trunk of 64 channels at half size: 32 channels at full size, one halving, three blocks."""
    with torch.device("meta"):
        network = LocalEnhancer(6, 3, 64, 4, 9)
        drawn = network(torch.zeros(1, 6, 64, 128))
    assert drawn.shape == (1, 3, 64, 128)
    shapes = {name: tuple(weight.shape) for name, weight in network.named_parameters()}
    assert shapes["head.conv.weight"] == (32, 6, 7, 7)
    assert shapes["down.conv.weight"] == (64, 32, 3, 3)
    assert sum(name.startswith("blocks.") for name in shapes) == 2 * 3
    assert shapes["up.conv.weight"] == (32, 64, 3, 3)
    assert shapes["tail.weight"] == (3, 32, 7, 7)
    trunk = sum(weight.numel() for name, weight in network.named_parameters() if name.startswith("trunk."))
    assert trunk == 182_431_299 - (3 * 64 * 49 + 3)


def test_local_enhancer_adds_to_the_trunk_of_a_coarse_generator():
    """Started from a generator of half the size, its trunk returns the same features; it is served like any other."""
    torch.manual_seed(0)
    coarse, fine = GlobalGenerator(6, 4, 4, 1, 1), LocalEnhancer(6, 4, 4, 1, 1)
    fine.warm_start(coarse)
    x = torch.rand(1, 6, 8, 12)
    features = coarse.up(coarse.blocks(coarse.down(coarse.head(x))))
    torch.testing.assert_close(fine.trunk(x), features)
    served = ServedGenerator(fine, pictures(0)[0].numpy())
    assert served(pictures(1), pictures(2)).shape == (1, 16, 16, 3)
    with pytest.raises(RuntimeError, match=r"head\.conv\.weight"):
        fine.warm_start(GlobalGenerator(6, 4, 8, 1, 1))
    with pytest.raises(ValueError, match="even"):
        LocalEnhancer(base_channels=5)


def test_slim_network_is_under_sixteen_megabytes_at_half_precision():
    """The small network fits its share of a sample actor of 20 MB."""
    with torch.device("meta"):
        network = GlobalGenerator(6, 4, 32, 3, 6)
    assert 2 * sum(weight.numel() for weight in network.parameters()) < 16e6


def test_outputs_keep_the_size_and_their_ranges():
    """A picture of the label map's size comes out: RGB in [-1, 1], the opacity in [0, 1]."""
    torch.manual_seed(0)
    drawn = GlobalGenerator(6, 4, 4, 2, 1)(10 * torch.randn(2, 6, 16, 24)).detach()
    assert drawn.shape == (2, 4, 16, 24)
    assert drawn[:, :3].abs().max() <= 1
    assert 0 <= drawn[:, 3].min() <= drawn[:, 3].max() <= 1


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_other_numbers_of_outputs_are_refused(outputs):
    """A network draws a picture, or a picture and its opacity; nothing else."""
    with pytest.raises(ValueError, match="out_channels"):
        GlobalGenerator(out_channels=outputs)


def test_plate_comes_out_unchanged_where_nothing_is_drawn():
    """With an opacity of 0 every pixel is the plate's, also in bf16."""
    network = GlobalGenerator(6, 4, 4, 1, 1)
    network.tail.bias.data.fill_(-200.0)  # type: ignore[union-attr]
    plate = pictures(0)[0].numpy()
    served = ServedGenerator(network, plate)
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled), torch.inference_mode():
            np.testing.assert_array_equal(served(pictures(1), pictures(2))[0], plate)


def test_served_pictures_are_uint8_and_independent_of_their_neighbours():
    """A batch of two returns what each item returns alone."""
    torch.manual_seed(0)
    served = ServedGenerator(GlobalGenerator(6, 3, 4, 1, 1), None)
    labels, previous = pictures(0, 2), pictures(1, 2)
    with torch.inference_mode():
        both = served(labels, previous)
        alone = [served(labels[i : i + 1], previous[i : i + 1]) for i in range(2)]
    assert both.dtype == torch.uint8
    assert (both.int() - torch.cat(alone).int()).abs().max() <= 1


def test_plate_and_opacity_come_together():
    """A plate for a network without an opacity, and an opacity without a plate, are refused."""
    with pytest.raises(ValueError, match="takes no plate"):
        ServedGenerator(GlobalGenerator(6, 3, 4, 1, 1), pictures(0)[0].numpy())
    with pytest.raises(ValueError, match="needs a plate"):
        ServedGenerator(GlobalGenerator(6, 4, 4, 1, 1), None)


@pytest.mark.parametrize(("padding", "pixels"), [("zeros", (1, 1)), ("reflection", (0, 0))])
def test_padding_applies_to_halving_convolutions(padding, pixels):
    """Only the convolutions that halve the size change with `padding`; all others use reflection."""
    network = GlobalGenerator(6, 3, 4, 2, 1, padding=padding)
    convolutions = [part for part in network.modules() if isinstance(part, torch.nn.Conv2d)]
    assert [conv.padding for conv in convolutions if conv.stride == (2, 2)] == [pixels] * 2
    assert {conv.padding for conv in convolutions if conv.stride == (1, 1)} == {(0, 0)}


def test_enhancer_pads_all_that_it_halves():
    """All its stride-2 convolutions use the same padding; it can start from a coarse generator with that padding."""
    torch.manual_seed(0)
    coarse, fine = GlobalGenerator(6, 3, 4, 2, 1, padding="zeros"), LocalEnhancer(6, 3, 4, 2, 1, padding="zeros")
    fine.warm_start(coarse)
    halving = [part for part in fine.modules() if isinstance(part, torch.nn.Conv2d) and part.stride == (2, 2)]
    assert [conv.padding for conv in halving] == [(1, 1)] * 3
    x = torch.rand(1, 6, 16, 24)
    features = coarse.up(coarse.blocks(coarse.down(coarse.head(x))))
    torch.testing.assert_close(fine.trunk(x), features)


def reference(seed, side=16):
    """A reference as the wardrobe draws it: premultiplied RGB and coverage, soft at the edges, empty at places."""
    random = np.random.default_rng(seed)
    coverage = np.clip(random.normal(0.5, 0.6, (1, side, side, 1)), 0, 1)
    colour = random.integers(0, 256, (1, side, side, 3))
    return torch.from_numpy(np.rint(np.concatenate([colour * coverage, 255 * coverage], axis=-1)).astype(np.uint8))


@pytest.mark.parametrize("bf16", [False, True])
def test_untrained_copy_network_returns_the_reference_over_the_plate(bf16):
    """Before any training the served picture is the wardrobe's drawing over the plate, within 2 levels of 255."""
    torch.manual_seed(0)
    network = CopyGenerator(4, 1, 1)
    network.copy_only()
    plate = pictures(0)[0].numpy()
    drawn = reference(1)
    over = drawn[..., :3].float() + (1 - drawn[..., 3:].float() / 255) * torch.from_numpy(plate)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16), torch.inference_mode():
        served = ServedGenerator(network, plate)(pictures(2), pictures(3), drawn)
    assert (served.float() - over).abs().max() <= 2


def test_served_person_over_the_plate_is_the_served_picture():
    """The person alone is premultiplied; laid over the plate it is the picture that the network draws, to a level."""
    torch.manual_seed(0)
    network = CopyGenerator(4, 1, 1)
    network.begin_with_copy(share_logit=1.0)
    plate, drawn = pictures(0)[0].numpy(), reference(1)
    with torch.inference_mode():
        frame, person = ServedGenerator(network, plate, returns_person=True)(pictures(2), pictures(3), drawn)
    assert person.shape[-1] == 4
    assert person.dtype == torch.uint8
    over = person[..., :3] + (1 - person[..., 3:] / 255.0) * torch.from_numpy(plate)
    assert (over - frame).abs().max() <= 1.5


def test_copy_network_begins_near_the_reference_and_learns_from_there():
    """Where the reference covers the place the first picture is mostly the reference, elsewhere the plate."""
    torch.manual_seed(0)
    network = CopyGenerator(4, 1, 1)
    network.begin_with_copy(share_logit=2.0)
    x = torch.rand(1, 10, 16, 16)
    x[:, 9] = torch.tensor([0.0, 1.0]).repeat(8)
    drawn = network(x)
    covered, empty = drawn[..., 1::2], drawn[..., 0::2]
    assert covered[:, 4].min() > 0.87
    assert covered[:, 3].min() > 0.95
    assert empty[:, 3].max() < 0.05
    drawn.sum().backward()
    assert network.tail.weight.grad is not None
    assert all(network.tail.weight.grad[output].abs().max() > 0 for output in range(5))


def test_layers_of_one_colour_mix_to_that_colour():
    """Reference and painted layer of one colour return it, premultiplied by the opacity, whatever the shares are."""
    torch.manual_seed(0)
    drawn, coverage = torch.rand(1, 5, 4, 4), torch.rand(1, 1, 4, 4)
    colour = torch.tensor([10.0, 200.0, 90.0])[None, :, None, None].expand(1, 3, 4, 4)
    person, opacity = copied(drawn, colour, torch.cat([coverage * colour, coverage], dim=1))
    torch.testing.assert_close(person, opacity * colour)
    assert 0 <= opacity.min() <= opacity.max() <= 1
