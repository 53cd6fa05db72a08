import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from motion.crop import resized
from motion.frame import FrameSize
from services.face.network import FaceGenerator, ServedFace, served_face
from services.generator.network import CopyGenerator, GlobalGenerator, LocalEnhancer, ServedGenerator, served_generator
from serving.errors import ActorUnusable
from serving.inference.engine import open_engine
from training.publishing.export import (
    FACE_NAMES,
    GENERATOR_NAMES,
    ExportBroken,
    check_export,
    difference_db,
    export_face,
    export_generator,
)

SIDE = 16


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def spread(network):
    """Sets weights that are large enough for a picture with contrast."""
    torch.manual_seed(0)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, 0, 0.3)
    return network


@pytest.fixture
def generator(tmp_path):
    """An exported generator with its torch original."""
    network = spread(GlobalGenerator(6, 4, 4, 1, 1))
    path = tmp_path / "generator.onnx"
    export_generator(network, picture(9), path, SIDE, SIDE)
    return path, ServedGenerator(network, picture(9))


def test_exported_generator_draws_what_torch_draws(generator):
    """In float32 the two agree up to rounding and the half precision of the weights."""
    path, served = generator
    pairs = [(picture(i), picture(i + 10)) for i in range(3)]
    drawn = open_engine(path, precision="f32").run_batch(pairs)
    assert np.ptp(drawn[0]) > 50
    assert difference_db(served, drawn, pairs) > 45


def test_exported_face_draws_what_torch_draws(tmp_path):
    """The face network agrees in the same way."""
    network = spread(FaceGenerator(4, 1, 1))
    export_face(network, tmp_path / "face.onnx", SIDE)
    drawn = open_engine(tmp_path / "face.onnx", precision="f32").run(picture(0), picture(1))
    assert difference_db(ServedFace(network), [drawn], [(picture(0), picture(1))]) > 45
    rebuilt = served_face(tmp_path / "face.onnx", "reflection")
    assert difference_db(rebuilt, [drawn], [(picture(0), picture(1))]) > 50


def test_files_speak_uint8_pictures_of_any_batch(generator, tmp_path):
    """Inputs and outputs have the agreed names, are `[batch, H, W, 3]` uint8, and take two pictures at once."""
    path, _ = generator
    export_face(FaceGenerator(4, 1, 1), tmp_path / "face.onnx", SIDE)
    for file, names in ((path, GENERATOR_NAMES), (tmp_path / "face.onnx", FACE_NAMES)):
        model = onnx.load(str(file))
        ports = [*model.graph.input, *model.graph.output]
        inputs, outputs = names
        assert tuple(port.name for port in ports) == (*inputs, *outputs)
        assert [port.type.tensor_type.elem_type for port in ports] == [onnx.TensorProto.UINT8] * 3
        assert [port.type.tensor_type.shape.dim[0].dim_param for port in ports[:2]] == ["batch"] * 2
        pair = np.stack([picture(1), picture(2)])
        (answer,) = ReferenceEvaluator(model).run(None, {inputs[0]: pair, inputs[1]: pair})
        assert np.shape(answer) == pair.shape


def test_weights_are_stored_at_half_precision_under_their_own_names(generator):
    """Every large weight is float16, named as in the torch module."""
    path, served = generator
    stored = {tensor.name: tensor.data_type for tensor in onnx.load(str(path)).graph.initializer}
    for name, weight in served.state_dict().items():
        assert name in stored
        assert stored[name] == (onnx.TensorProto.FLOAT16 if weight.numel() >= 16 else onnx.TensorProto.FLOAT)


def test_torch_module_is_rebuilt_from_the_file(generator):
    """The file alone, with its plate, is enough for an engine that runs torch."""
    path, served = generator
    rebuilt = served_generator(path, "reflection")
    assert (rebuilt.plate_13HW == served.plate_13HW).all()
    pairs = [(picture(3), picture(4))]
    with torch.inference_mode():
        drawn = rebuilt(*(torch.from_numpy(side)[None] for side in pairs[0]))[0].numpy()
    assert difference_db(served, [drawn], pairs) > 45


def test_broken_exports_are_refused(generator):
    """An engine that draws differently from the trained network is an error with the network's name."""
    path, served = generator
    pairs = [(picture(3), picture(4))]
    for side in pairs[0]:
        side.setflags(write=False)  # as out of a file that is mapped for reading
    check_export("generator", served, open_engine(path), pairs)
    other = ServedGenerator(GlobalGenerator(6, 4, 4, 1, 1), picture(8))
    with pytest.raises(ExportBroken, match="the exported generator agrees"):
        check_export("generator", other, open_engine(path), pairs)


ENGINES_COME_AND_GO = """
import signal, sys
from pathlib import Path
from serving.inference.engine import open_engine

first, second = open_engine(Path(sys.argv[1])), open_engine(Path(sys.argv[1]))
del first
del second
signal.signal(signal.SIGTERM, lambda number, frame: print("told to stop"))
signal.raise_signal(signal.SIGTERM)
"""


def test_signals_arrive_after_engines_have_gone(generator):
    """A process that has opened and dropped several engines still stops at a signal without a crash."""
    path, _ = generator
    command = [sys.executable, "-c", ENGINES_COME_AND_GO, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "told to stop\n")


def test_local_enhancer_is_exported_and_rebuilt(tmp_path):
    """A local enhancer is served like any other generator, and its file alone describes it."""
    network = spread(LocalEnhancer(6, 4, 4, 1, 1, enhancer_blocks=2))
    path = tmp_path / "generator.onnx"
    export_generator(network, picture(9), path, SIDE, SIDE)
    pairs = [(picture(i), picture(i + 10)) for i in range(2)]
    drawn = open_engine(path, precision="f32").run_batch(pairs)
    assert np.ptp(drawn[0]) > 50
    assert difference_db(ServedGenerator(network, picture(9)), drawn, pairs) > 45
    rebuilt = served_generator(path, "reflection")
    assert isinstance(rebuilt.network, LocalEnhancer)
    assert difference_db(rebuilt, drawn, pairs) > 50


def test_copy_network_is_exported_with_its_reference_and_rebuilt(tmp_path):
    """A network with a reference has a third input, `reference`; the file alone describes it."""
    network = spread(CopyGenerator(4, 1, 1))
    path = tmp_path / "generator.onnx"
    export_generator(network, picture(9), path, SIDE, SIDE)
    model = onnx.load(str(path))
    assert [graph_input.name for graph_input in model.graph.input] == ["label_map", "previous_frame", "reference"]
    assert [graph_output.name for graph_output in model.graph.output] == ["frame", "person"]
    covered = np.full((SIDE, SIDE, 1), 255, np.uint8)
    inputs = [(picture(i), picture(i + 10), np.concatenate([picture(i + 20), covered], axis=2)) for i in range(2)]
    with torch.inference_mode():
        served = ServedGenerator(network, picture(9))
        drawn = [served(*(torch.from_numpy(given)[None] for given in item))[0].numpy() for item in inputs]
    rebuilt = served_generator(path, "reflection")
    assert isinstance(rebuilt.network, CopyGenerator)
    assert difference_db(rebuilt, drawn, inputs) > 45


def test_engine_returns_the_person_on_request(tmp_path):
    """The person over the plate is the frame, to a level; without a request the engine returns the frame alone."""
    path = tmp_path / "generator.onnx"
    export_generator(spread(CopyGenerator(4, 1, 1)), picture(9), path, SIDE, SIDE)
    engine = open_engine(path, precision="f32", inputs=3)
    reference = np.concatenate([picture(3) // 2, np.full((SIDE, SIDE, 1), 128, np.uint8)], axis=2)
    item = (picture(1), picture(2), reference)
    ((frame, person),) = engine.run_all([item])
    assert person.shape == (SIDE, SIDE, 4)
    assert np.ptp(person[..., 3]) > 50
    over = person[..., :3] + picture(9) * (1 - person[..., 3:] / 255.0)
    assert np.abs(over - frame).max() <= 1.5
    assert np.abs(engine.run(*item).astype(int) - frame).max() <= 1


def test_a_smaller_size_is_drawn_on_the_smaller_plate(tmp_path):
    """Engine and torch agree at another size; where nothing covers the place, both show the plate, reduced."""
    path, size = tmp_path / "generator.onnx", FrameSize(SIDE // 2, SIDE // 2)
    network = spread(CopyGenerator(4, 1, 1))
    export_generator(network, picture(9), path, SIDE, SIDE)
    small = [np.ascontiguousarray(picture(i)[: SIDE // 2, : SIDE // 2]) for i in range(3)]
    covered = np.full((SIDE // 2, SIDE // 2, 1), 128, np.uint8)
    item = (small[0], small[1], np.concatenate([small[2] // 2, covered], axis=2))
    engine = open_engine(path, precision="f32", inputs=3, size=size)
    drawn = engine.run_all([item])[0]
    assert [output.shape for output in drawn] == [(SIDE // 2, SIDE // 2, 3), (SIDE // 2, SIDE // 2, 4)]
    with torch.inference_mode():
        rebuilt = served_generator(path, "reflection", size)(*(torch.from_numpy(given)[None] for given in item))
    for output, expected in zip(drawn, rebuilt, strict=True):
        assert np.abs(output.astype(int) - expected[0].numpy()).max() <= 1
    network.copy_only()
    export_generator(network, picture(9), path, SIDE, SIDE)
    nothing = np.zeros((SIDE // 2, SIDE // 2, 4), np.uint8)
    engine = open_engine(path, precision="f32", inputs=3, size=size)
    np.testing.assert_array_equal(engine.run(small[0], small[1], nothing), resized(picture(9), SIDE // 2, SIDE // 2))


def test_a_size_that_the_network_cannot_halve_is_refused(tmp_path):
    """The error names the file and the size."""
    path = tmp_path / "generator.onnx"
    export_generator(spread(CopyGenerator(4, 3, 1)), picture(9), path, SIDE, SIDE)
    with pytest.raises(ActorUnusable, match=r"generator\.onnx does not draw 12x12 pictures"):
        open_engine(path, precision="f32", inputs=3, size=FrameSize(12, 12))


@pytest.mark.parametrize("kind", [GlobalGenerator, LocalEnhancer])
def test_padding_by_zeros_is_exported_and_rebuilt(tmp_path, kind):
    """An engine draws the same as the trained network, and so does the torch module with only the actor's padding."""
    network = spread(kind(6, 4, 4, 1, 1, padding="zeros"))
    path = tmp_path / "generator.onnx"
    export_generator(network, picture(9), path, SIDE, SIDE)
    pairs = [(picture(i), picture(i + 10)) for i in range(2)]
    drawn = open_engine(path, precision="f32").run_batch(pairs)
    assert difference_db(ServedGenerator(network, picture(9)), drawn, pairs) > 45
    assert difference_db(served_generator(path, "zeros"), drawn, pairs) > 50
    assert difference_db(served_generator(path, "reflection"), drawn, pairs) < 40


def test_a_face_padded_by_zeros_is_exported_and_rebuilt(tmp_path):
    """The same holds for the face network."""
    network = spread(FaceGenerator(4, 1, 1, padding="zeros"))
    export_face(network, tmp_path / "face.onnx", SIDE)
    pairs = [(picture(3), picture(4))]
    drawn = open_engine(tmp_path / "face.onnx", precision="f32").run_batch(pairs)
    assert difference_db(served_face(tmp_path / "face.onnx", "zeros"), drawn, pairs) > 50
    assert difference_db(served_face(tmp_path / "face.onnx", "reflection"), drawn, pairs) < 40
