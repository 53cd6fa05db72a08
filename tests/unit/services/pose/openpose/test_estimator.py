"""People are found with every runtime, and errors in a card are reported by file and field."""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from motion import skeleton
from motion.pose_choice import PoseBackend, PoseDetail
from services.pose.backends import open_backends
from services.pose.estimator import PoseRules
from services.pose.models.card import OpenPoseCard, read_card
from services.pose.models.files import ModelFile
from services.pose.openpose.estimator import OpenPoseEstimator, OpenPoseModel
from serving.errors import BadSettings
from tests.tiny_pose_networks import paf_card, two_hands, write_card, write_paf_network


def estimator(tmp_path, *, one_output=False, **changes) -> OpenPoseEstimator:
    path = write_paf_network(tmp_path / "tiny.onnx", one_output=one_output)
    card = read_card(write_card(tmp_path, paf_card(path, **changes)))
    assert isinstance(card, OpenPoseCard)
    return OpenPoseEstimator(OpenPoseModel(card))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("scale", [1, 3])
def test_joints_lie_where_the_picture_has_them(tmp_path, runtime, scale):
    """Joints are in pixels of the original picture, for any network size; two people are found as two."""
    picture = two_hands((20, 52, 20), (70, 110, 44))
    picture = np.repeat(np.repeat(picture, scale, axis=0), scale, axis=1)
    with closing(estimator(tmp_path, runtime=runtime)) as found:
        estimate = found.estimate(picture)
    people = sorted(estimate.people, key=lambda pose: pose.joints_px[skeleton.R_WRIST][0])
    assert len(people) == 2
    for pose, (right, left, y) in zip(people, ((20, 52, 20), (70, 110, 44)), strict=True):
        assert pose.joints_px[skeleton.R_WRIST] == pytest.approx((right * scale, y * scale), abs=1.5 * scale)
        assert pose.joints_px[skeleton.L_WRIST] == pytest.approx((left * scale, y * scale), abs=1.5 * scale)
        assert pose.seen.sum() == 2
    assert estimate.compute_seconds > found.spent.network_seconds > 0


def test_a_picture_without_people_is_not_an_error(tmp_path):
    """A black picture has no people."""
    with closing(estimator(tmp_path)) as found:
        assert found.estimate(np.zeros((64, 128, 3), np.uint8)).people == []


def test_the_aspect_ratio_is_kept(tmp_path):
    """A picture of any shape is scaled to the short side, or below the longest side, and padded."""
    from motion.frame import FrameSize

    with closing(estimator(tmp_path)) as found:
        model = found._model
        for size, inner, outer in (
            ((1280, 720), (114, 64), (128, 64)),
            ((720, 1280), (64, 114), (64, 128)),
            ((4000, 100), (128, 3), (128, 16)),
        ):
            assert model.input_size(FrameSize(*size)) == (FrameSize(*inner), FrameSize(*outer))
        tall = np.zeros((120, 70, 3), np.uint8)
        assert found.estimate(tall).people == []


def test_one_output_holds_maps_then_fields(tmp_path):
    """One output may hold everything, as Caffe's BODY_25: the parts' maps, the background's map, then the fields."""
    with closing(estimator(tmp_path, one_output=True, outputs={"heatmaps": "both", "pafs": "both"})) as found:
        assert len(found.estimate(two_hands((20, 52, 20))).people) == 1


def test_opencv_runs_a_network_of_fixed_size(tmp_path):
    """OpenCV's dnn module, which can also read Caffe's files, finds the same people."""
    path = write_paf_network(tmp_path / "fixed.onnx", height=64, width=128)
    card = read_card(write_card(tmp_path, paf_card(path, runtime="opencv")))
    assert isinstance(card, OpenPoseCard)
    model = OpenPoseModel(card)
    network = model.file.network((1, 3, 64, 128))
    blob = np.ascontiguousarray(two_hands((20, 52, 20)).transpose(2, 0, 1)[None].astype(np.float32))
    heatmaps, fields = model.maps(network, blob)
    assert heatmaps.shape == (2, 8, 16)
    assert fields.shape == (2, 8, 16)
    assert heatmaps[0, 2, 2] > 0.5


def test_colours_mean_and_deviation_are_the_card_s(tmp_path):
    """With BGR, red is the third channel, so the network finds no people in a picture made for RGB."""
    facts = {"short_side_px": 64, "longest_side_px": 128, "multiple_of": 16}
    with closing(estimator(tmp_path, input={"colour": "BGR", **facts})) as found:
        assert found.estimate(two_hands((20, 52, 20))).people == []
        assert len(found.estimate(np.ascontiguousarray(two_hands((20, 52, 20))[..., ::-1])).people) == 1
    with closing(estimator(tmp_path, input={"colour": "RGB", "mean": [255, 255, 255], **facts})) as found:
        assert found.estimate(two_hands((20, 52, 20))).people == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": "x"}, "format: expected dance-pose-model-1"),
        ({"backend": "mediapipe"}, "backend: expected openpose or rtmpose"),
        ({"licence": ""}, "licence: expected a string"),
        ({"runtime": "tensorrt"}, "runtime: expected openvino or onnxruntime or opencv"),
        ({"model": {}}, "model.path: expected either a path or an address"),
        ({"model": {"address": "https://example.org/a.onnx"}}, "model.sha256: is missing; an address needs one"),
        ({"model": {"path": "tiny.onnx", "sha256": "12"}}, "model.sha256: expected 64 hexadecimal digits"),
        ({"model": {"path": "tiny.onnx", "sha256": "0" * 64}}, "does not match the model card"),
        ({"model": {"path": "other.onnx"}}, "which the model card names, does not exist"),
        ({"parts": ["RWrist", "Tail"]}, "parts: expected at least two different names"),
        ({"limbs": [[0, 2, 0, 1]]}, "limbs[0]: expected two different parts, 0 to 1, got [0, 2]"),
        ({"limbs": [[0, 1, 0]]}, "limbs[0]: expected [part, part, x channel, y channel]"),
        ({"limbs": [[0, 1, 0, 9]]}, "expected 2 maps and 10 fields"),
        ({"outputs": {"heatmaps": "heatmaps", "pafs": "fields"}}, "has no output 'fields'"),
        ({"input": {"colour": "RGB"}}, "input.short_side_px: is missing"),
        ({"input": {"colour": "CMYK"}}, "input.colour: expected BGR or RGB"),
        ({"colour": "blue"}, "colour: no such field"),
    ],
)  # fmt: skip
def test_an_invalid_card_is_rejected_at_the_start(tmp_path, changes, told):
    """The error names file and field, before any frame is processed."""
    with pytest.raises(BadSettings) as caught:
        estimator(tmp_path, **changes)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 100_000, "is nested more than 64 levels deep"),
        ('{"input": {"mean": [1e400, 0, 0]}}', "input.mean[0]: expected a number, got inf"),
        ('{"format": "a", "format": "b"}', "has two fields format"),
        ("[]", "must be a JSON object"),
        (" " * 2**21, "has 2097152 bytes, at most 1048576 are read"),
    ],
)
def test_a_card_that_is_not_a_valid_document_is_rejected(tmp_path, text, told):
    """The error names the file, and the reader has limits of size and nesting."""
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(BadSettings, match=re.escape(told)) as caught:
        read_card(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "opencv"])
def test_a_damaged_network_is_rejected(tmp_path, runtime):
    """A file of noise is rejected by each runtime."""
    (tmp_path / "tiny.onnx").write_bytes(bytes(range(256)))
    card = write_card(tmp_path, paf_card(tmp_path / "tiny.onnx", runtime=runtime))
    with pytest.raises(BadSettings, match=f"{runtime} cannot read this network"):
        open_backends({PoseBackend.OPENPOSE: card})


def test_the_project_s_cards_are_valid(root):
    """Each card can be read, and names its network's licence."""
    cards = sorted((root / "services/pose/cards").glob("*.json"))
    assert len(cards) == 3
    for path in cards:
        card = read_card(path)
        assert card.licence in card.licence_notice
        if isinstance(card, OpenPoseCard):
            channels = sorted(channel for limb in card.limbs for channel in (limb.x, limb.y))
            assert channels == list(range(2 * len(card.limbs)))


def test_a_network_is_fetched_once_from_its_address(tmp_path):
    """A download is kept if its checksum is right, else deleted; plain http to other machines is rejected."""
    served, cache = tmp_path / "served", tmp_path / "cache"
    served.mkdir()
    path = write_paf_network(served / "tiny.onnx")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=served))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/tiny.onnx"
        with pytest.raises(BadSettings, match="does not match the model card"):
            ModelFile(path=None, address=address, sha256="0" * 64).local(cache)
        assert list(cache.iterdir()) == []
        fetched = ModelFile(path=None, address=address, sha256=digest).local(cache)
        assert fetched.read_bytes() == path.read_bytes()
        with pytest.raises(BadSettings, match="cannot be downloaded"):
            ModelFile(path=None, address=f"{address}.gone", sha256="0" * 64).local(cache)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert ModelFile(path=None, address=address, sha256=digest).local(cache) == fetched
    with pytest.raises(BadSettings, match="expected an https address"):
        ModelFile(path=None, address="http://example.org/tiny.onnx", sha256="1" * 64).local(cache)


def test_backends_are_opened_from_their_cards(tmp_path):
    """A card is accepted only for its own backend, and its licence notice is passed on."""
    card = write_card(tmp_path, paf_card(write_paf_network(tmp_path / "tiny.onnx")))
    told: list[str] = []
    backends = open_backends({PoseBackend.OPENPOSE: card, PoseBackend.RTMPOSE: None}, told=told.append)
    assert told == ["backend openpose uses tiny: by using it you accept its licence, Apache-2.0"]
    assert [backend for backend in PoseBackend if not backends.serves(backend)] == [PoseBackend.RTMPOSE]
    config = backends.config(PoseBackend.OPENPOSE, PoseDetail.HOLISTIC, PoseRules())
    assert config.detail is PoseDetail.BODY
    made = backends.make(config)
    assert made.detail is PoseDetail.BODY
    made.close()
    with pytest.raises(BadSettings, match="is a card for the backend openpose, expected rtmpose"):
        open_backends({PoseBackend.RTMPOSE: card}, told=told.append)
