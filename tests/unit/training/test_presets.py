from dataclasses import replace

import pytest

from benchmarks.slim_preset import slim_256
from serving.actors.store import NetworkShape
from serving.errors import BadInput
from training.checkpoints.identity import of_the_body, padding_of, recipe_identity, refuse_another
from training.data.references import ReferenceRules
from training.presets import (
    PRESETS,
    Epochs,
    coarse_stage,
    fine_512,
    paper_512,
    paper_1024,
    preset_named,
    quick_256,
    quick_512,
    with_adversarial,
    with_feature_matching,
    with_losses,
    with_padding,
    with_perceptual,
)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_found_by_their_own_name(name):
    """Every preset says the name that it is found by."""
    assert preset_named(name).name == name


def test_unknown_presets_are_refused_with_the_known_ones():
    """A misspelt preset is answered with the list."""
    with pytest.raises(BadInput, match="quick-256"):
        preset_named("quick-265")


def test_presets_of_our_own_draw_with_the_wardrobe_onto_a_plate():
    """The small network that was measured to be enough is that of both quick presets; fine has four times the width."""
    quick = NetworkShape(base_channels=8, downsamplings=3, blocks=6, plate=True, reference=True)
    assert (quick_256().generator, quick_512().generator) == (quick, quick)
    assert fine_512().generator == replace(quick, base_channels=32)
    assert [preset().references for preset in (quick_256, quick_512, fine_512)] == [ReferenceRules()] * 3


def test_reference_and_its_rules_come_together():
    """A network with a reference needs its rules and a plate; other networks have neither."""
    with pytest.raises(ValueError, match="needs rules"):
        replace(quick_256(), references=None)
    with pytest.raises(ValueError, match="no other network"):
        replace(slim_256(), references=ReferenceRules())
    with pytest.raises(ValueError, match="onto a plate"):
        replace(quick_256(), generator=replace(quick_256().generator, plate=False))
    with pytest.raises(ValueError, match="out of range"):
        ReferenceRules(made_up=1.0)


def test_older_checkpoints_name_no_reference():
    """Trainings of older releases go on: their identity does not change, and that of a wardrobe names its version."""
    older = recipe_identity(slim_256(), 0, "footage")
    assert not [name for name, value in older.items() if "reference" in name + value]
    assert "wardrobe" in recipe_identity(quick_256(), 0, "footage")


def test_sizes_that_cannot_be_halved_are_refused():
    """Three downsamplings need multiples of 8."""
    with pytest.raises(ValueError, match="multiple of 8"):
        replace(slim_256(), width_px=260)


def test_paper_presets_have_the_papers_numbers():
    """Sizes, widths, weights of losses, rate and schedule as published."""
    small, large = paper_512(), paper_1024()
    assert (small.width_px, small.height_px, large.width_px, large.height_px) == (512, 256, 1024, 512)
    assert small.generator == NetworkShape(base_channels=64, downsamplings=4, blocks=9, padding="zeros")
    assert large.generator == replace(small.generator, enhanced=True)
    assert small.face == NetworkShape(base_channels=64, downsamplings=3, blocks=5, padding="zeros")
    assert (small.weights.perceptual, large.weights.perceptual) == (5, 10)
    for preset in (small, large):
        assert (preset.weights.adversarial, preset.weights.feature_matching) == (1, 10)
        assert (preset.discriminator_scales, preset.discriminator_layers, preset.discriminator_channels) == (3, 3, 64)
        assert (preset.learning_rate, preset.rate_at(1.0), preset.average_half_life) == (2e-4, 0, 0)
    assert large.epochs == Epochs(coarse=5, body=30, face=5)
    assert (small.face_frames, large.face_frames) == (None, None)


def test_coarse_stage_is_the_global_generator_at_half_size():
    """With the weight of its perceptual loss, and no face."""
    coarse = coarse_stage(paper_1024())
    assert (coarse.width_px, coarse.height_px, coarse.face) == (512, 256, None)
    assert coarse.generator == paper_512().generator
    assert coarse.weights == paper_512().weights


@pytest.mark.parametrize("preset", [slim_256(), paper_512()])
def test_every_preset_has_the_rows_of_the_ablation(preset):
    """No smoothing and no face; no face; all. Nothing else changes."""
    rows = {name: with_losses(preset, name) for name in ("pix2pixhd", "smoothing", "smoothing-face")}
    assert {name: row.losses for name, row in rows.items()} == {name: name for name in rows}
    assert rows["pix2pixhd"] == replace(preset, temporal=False, face=None)
    assert rows["smoothing"] == replace(preset, face=None)
    assert rows["smoothing-face"] == preset
    with pytest.raises(BadInput, match="pix2pixhd, smoothing, smoothing-face"):
        with_losses(preset, "pix2pix")
    with pytest.raises(BadInput, match="no face network"):
        with_losses(rows["smoothing"], "smoothing-face")


def test_perceptual_loss_is_chosen():
    """Without it L1 is in its place; with it, presets that had none get pix2pixHD's weight."""
    without = with_perceptual(paper_512(), "none")
    assert (without.weights.perceptual, without.weights.l1, without.face_weights.l1) == (0, 10, 10)
    random = with_perceptual(slim_256(), "random")
    assert (random.perceptual, random.weights.perceptual, random.weights.l1) == ("random", 5, 10)
    assert with_perceptual(paper_1024(), "random").weights.perceptual == 10
    with pytest.raises(BadInput, match="vgg19, random, none"):
        with_perceptual(slim_256(), "vgg16")


def test_adversarial_loss_is_chosen():
    """Either form replaces the preset's, and nothing else; other names are refused with these two."""
    assert with_adversarial(paper_512(), "log") == replace(paper_512(), adversarial="log")
    assert with_adversarial(with_adversarial(slim_256(), "log"), "least-squares") == slim_256()
    with pytest.raises(BadInput, match="least-squares, log"):
        with_adversarial(slim_256(), "hinge")


def test_published_way_weighs_every_pixel_alike_and_begins_on_zeros():
    """Where it is a matter of a number, the published way is as published."""
    paper = preset_named("paper-512")
    assert (paper.person_gain, paper.previous_zeros, paper.weights.opacity) == (0, 1, 0)


@pytest.mark.parametrize(
    ("field", "value"), [("previous_zeros", 1.5), ("person_gain", -1.0), ("discriminator_scales", 4)]
)
def test_numbers_out_of_range_are_refused(field, value):
    """A share beyond 1 and a negative gain are named."""
    with pytest.raises(ValueError, match=field):
        replace(slim_256(), **{field: value})


def test_older_trainings_of_small_presets_go_on():
    """What their checkpoints do not name is what they were trained with; another number of faces is another face."""
    small, every = (
        recipe_identity(preset, 0, "footage") for preset in (slim_256(), replace(slim_256(), face_frames=None))
    )
    assert "preset.face_frames" not in small
    assert every == small | {"preset.face_frames": "None"}
    assert of_the_body(every) == of_the_body(small)


def test_feature_matching_over_scales_is_chosen_and_is_another_training(tmp_path):
    """The mean unless the sum is asked for; neither goes on with the other's weights, nor a face on such a body."""
    mean, asked = slim_256(), with_feature_matching(slim_256(), "sum")
    assert asked == replace(mean, feature_matching="sum")
    assert with_feature_matching(asked, "mean") == mean
    with pytest.raises(BadInput, match="mean, sum"):
        with_feature_matching(mean, "average")
    one, other = (of_the_body(recipe_identity(preset, 0, "footage")) for preset in (mean, asked))
    for there, here, words in ((one, other, "mean there and sum"), (other, one, "sum there and mean")):
        with pytest.raises(BadInput, match=words):
            refuse_another(there, here, tmp_path)


def test_older_checkpoints_name_no_padding():
    """They were padded by reflection; what a padding by zeros adds is said of body and face by itself."""
    small, paper = (recipe_identity(preset, 0, "footage") for preset in (slim_256(), paper_512()))
    assert not [name for name in small if "padding" in name]
    assert "padding" not in small["preset.generator"] + small["preset.face"]
    older = recipe_identity(with_padding(paper_512(), "reflection"), 0, "footage")
    assert paper == older | {"preset.generator_padding": "zeros", "preset.face_padding": "zeros"}
    assert (padding_of(small), padding_of(older), padding_of(paper)) == ("reflection", "reflection", "zeros")
    assert coarse_stage(paper_1024()).generator == paper_512().generator


def test_a_value_that_only_one_side_says_is_a_difference(tmp_path):
    """What neither says is as ever; said by one alone, the other's value is named."""
    older = {"seed": "1"}
    refuse_another(older, older | {"preset.generator_padding": "reflection"}, tmp_path)
    for stored, asked, words in (
        (older | {"preset.generator_padding": "zeros"}, older, "zeros there and reflection here"),
        (older, older | {"preset.generator_padding": "zeros"}, "reflection there and zeros here"),
        (older, older | {"preset.temporal": "True"}, "unknown there and True here"),
    ):
        with pytest.raises(BadInput, match=words):
            refuse_another(stored, asked, tmp_path)
