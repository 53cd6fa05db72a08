"""The pose service with multi-person networks: identities, the dancer, and unsupported requests."""

from __future__ import annotations

import struct
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from dance.v1 import frame_pb2, pose_pb2

from motion import skeleton
from motion.frame import PictureEncoding
from motion.people.person_tracking import DancerTracker
from services.pose.estimator import Estimate
from services.pose.mediapipe import model_files
from services.pose.mediapipe_solution import wheel
from services.pose.servicer import PoseService
from services.pose.settings import PoseSettings
from serving.errors import BadSettings
from serving.pictures.codec import encode_picture
from serving.rpc import converters
from tests.contract.test_pose_service import Workshop, serving
from tests.tiny_pose_networks import (
    paf_card,
    two_hands,
    whole_body_card,
    write_card,
    write_paf_network,
    write_whole_body_network,
)

OPENPOSE, RTMPOSE = pose_pb2.POSE_BACKEND_OPENPOSE, pose_pb2.POSE_BACKEND_RTMPOSE
SOLUTION = pose_pb2.POSE_BACKEND_MEDIAPIPE_SOLUTION


class NoMediaPipe:
    """Replaces MediaPipe: starts at once and finds no person."""

    def __init__(self, *_: object) -> None:
        pass

    def estimate(self, picture: object, time_s: float | None = None) -> Estimate:
        return Estimate([], -1, 0.001)

    def close(self) -> None:
        pass


def cards(tmp_path) -> dict[str, Any]:
    """Return settings that serve both backends with tiny networks."""
    paf, body = write_paf_network(tmp_path / "paf.onnx"), write_whole_body_network(tmp_path / "body.onnx")
    return {
        "openpose_card": write_card(tmp_path, paf_card(paf), "openpose.json"),
        "rtmpose_card": write_card(tmp_path, whole_body_card(body), "rtmpose.json"),
    }


def config(**fields) -> pose_pb2.EstimateRequest:
    return pose_pb2.EstimateRequest(config=pose_pb2.EstimateConfig(**fields))


def frame(sequence: int, picture: np.ndarray) -> pose_pb2.EstimateRequest:
    encoded = converters.picture_to_proto(encode_picture(picture, PictureEncoding.PNG))
    return pose_pb2.EstimateRequest(frame=frame_pb2.Frame(sequence=sequence, picture=encoded))


async def answers(stub, *requests) -> list[pose_pb2.EstimateResponse]:
    return [response async for response in stub.Estimate(iter(requests), timeout=30)]


OTHERS = struct.pack("<I16x", 16) + DancerTracker().state_after()
"""A state of rtmpose."""
LEFT, RIGHT = (12.0, 36.0, 16.0), (84.0, 116.0, 44.0)


async def test_people_are_distinguished_and_the_dancer_stays(tmp_path):
    """Two people keep their ids; the rule chooses the dancer, who is missing when only the other person is left."""
    async with serving(Workshop(), **cards(tmp_path)) as stub:
        dancer = pose_pb2.DancerSelection(nearest=pose_pb2.Point(x=0.2, y=0.2))
        accepted, *estimates = await answers(
            stub,
            config(backend=OPENPOSE, dancer=dancer, detail=pose_pb2.POSE_DETAIL_HOLISTIC),
            frame(0, two_hands(RIGHT, LEFT)),
            frame(1, two_hands(LEFT, RIGHT)),
            frame(2, two_hands(RIGHT)),
            frame(3, two_hands(LEFT, RIGHT)),
            frame(4, np.zeros((64, 128, 3), np.uint8)),
        )
    assert accepted.accepted.backend == OPENPOSE
    assert accepted.accepted.detail == pose_pb2.POSE_DETAIL_BODY
    assert accepted.accepted.dancer.nearest.x == pytest.approx(0.2)
    found = [response.estimate for response in estimates]
    assert [len(estimate.people) for estimate in found] == [2, 2, 1, 2, 0]
    assert [estimate.dancer_lost for estimate in found] == [False, False, True, False, True]
    assert [estimate.dancer_index >= 0 for estimate in found] == [True, True, False, True, False]
    dancers = {found[n].people[found[n].dancer_index].person_id for n in (0, 1, 3)}
    assert len(dancers) == 1
    for number in (0, 1, 3):
        pose = converters.pose_from_proto(found[number].people[found[number].dancer_index].pose)
        assert pose.joints_px[skeleton.R_WRIST] == pytest.approx(LEFT[::2], abs=2.5)
    assert found[2].people[0].person_id not in dancers


async def test_people_keep_their_ids_in_another_stream(tmp_path):
    """From the state of any answer, a new stream gives the rest of the answers, whatever its own dancer rule is."""
    requests = [
        frame(0, two_hands(RIGHT, LEFT)), frame(1, two_hands(LEFT, RIGHT)), frame(2, two_hands(RIGHT)),
        frame(3, two_hands(LEFT, RIGHT)), frame(4, np.zeros((64, 128, 3), np.uint8)),
    ]  # fmt: skip
    left = pose_pb2.DancerSelection(nearest=pose_pb2.Point(x=0.2, y=0.2))
    async with serving(Workshop(), **cards(tmp_path)) as stub:
        _, *unbroken = await answers(stub, config(backend=OPENPOSE, dancer=left), *requests)
        for taken in range(1, len(requests)):
            state = unbroken[taken - 1].estimate.state_after
            _, *rest = await answers(stub, config(backend=OPENPOSE, state=state), *requests[taken:])
            for response in (*rest, *unbroken):
                response.estimate.ClearField("compute_seconds")
            assert rest == unbroken[taken:]
    assert {response.estimate.dancer_index >= 0 for response in unbroken} == {True, False}


async def test_a_followed_box_moves_to_another_stream(tmp_path):
    """RTMPose without a detector searches where the people of the frame before were, also in a new stream."""
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[84:96, 144:156] = 255
    pictures = [frame(number, picture) for number in range(8)]
    async with serving(Workshop(), **cards(tmp_path)) as stub:
        _, *unbroken = await answers(stub, config(backend=RTMPOSE), *pictures)
        state = unbroken[5].estimate.state_after
        _, *rest = await answers(stub, config(backend=RTMPOSE, state=state), *pictures[6:])
    assert [response.estimate.people for response in rest] == [response.estimate.people for response in unbroken[6:]]
    assert all(response.estimate.people for response in rest)


async def test_rtmpose_answers_whole_bodies(tmp_path):
    """Its detail is HOLISTIC, whatever was requested, and includes faces and hands."""
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[84:96, 144:156] = 255
    async with serving(Workshop(), **cards(tmp_path)) as stub:
        accepted, *_, response = await answers(
            stub,
            config(backend=RTMPOSE, detail=pose_pb2.POSE_DETAIL_BODY),
            *(frame(number, picture) for number in range(6)),  # a person this faint counts after six frames
        )
    assert accepted.accepted.detail == pose_pb2.POSE_DETAIL_HOLISTIC
    pose = converters.pose_from_proto(response.estimate.people[0].pose)
    assert pose.seen[skeleton.LEFT_HAND].all()


async def test_the_server_s_default_backend_is_said(tmp_path):
    """A stream that names no backend gets the server's default, and `accepted` names it."""
    async with serving(Workshop(), **cards(tmp_path), backend="openpose") as stub:
        (accepted,) = await answers(stub, config())
    assert accepted.accepted.backend == OPENPOSE
    assert accepted.accepted.dancer == pose_pb2.DancerSelection(largest=True)


@pytest.mark.parametrize(
    ("fields", "code", "told"),
    [
        ({"backend": RTMPOSE}, "UNIMPLEMENTED", "config.backend: RTMPOSE is not served here: POSE_RTMPOSE_CARD"),
        ({"dancer": pose_pb2.DancerSelection(centre=True)}, "UNIMPLEMENTED", "config.dancer.centre"),
        ({"backend": OPENPOSE, "state": b"1"}, "INVALID_ARGUMENT", "config.state: is not a state of tracked people"),
        ({"backend": OPENPOSE, "state": bytes(30)}, "INVALID_ARGUMENT", "config.state: is not a state of this version"),
        ({"backend": OPENPOSE, "state": OTHERS}, "INVALID_ARGUMENT", "config.state: is a state of another backend"),
        (
            {"backend": OPENPOSE, "dancer": pose_pb2.DancerSelection(person_id=0)},
            "INVALID_ARGUMENT",
            "config.dancer.person_id",
        ),
        (
            {"backend": OPENPOSE, "dancer": pose_pb2.DancerSelection(nearest=pose_pb2.Point(x=8))},
            "INVALID_ARGUMENT",
            "config.dancer.nearest",
        ),
    ],
)
async def test_what_cannot_be_done_is_said_by_field(tmp_path, fields, code, told):
    """A backend without a card, a rule that MediaPipe does not support, and invalid values are refused."""
    async with serving(Workshop(), **(cards(tmp_path) | {"rtmpose_card": None})) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await answers(stub, config(**fields))
    assert caught.value.code().name == code
    assert (caught.value.details() or "").startswith(told)


async def test_without_the_wheel_only_its_own_backend_is_refused(monkeypatch):
    """An image lacks MediaPipe's wheel: a stream that wants its solution is told so, and the others are served."""
    monkeypatch.setattr(wheel, "is_installed", lambda: False)
    async with serving(Workshop()) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await answers(stub, config(backend=SOLUTION))
        (accepted,) = await answers(stub, config())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert (caught.value.details() or "").startswith("config.backend: MEDIAPIPE_SOLUTION is not served here: the wheel")
    assert "pip install -e '.[solution]'" in (caught.value.details() or "")
    assert accepted.accepted.backend == pose_pb2.POSE_BACKEND_MEDIAPIPE


def test_a_service_does_not_start_without_the_files_of_its_default(monkeypatch):
    """A default backend whose wheel or networks are missing is refused by its setting, before a port is opened."""
    monkeypatch.setattr(wheel, "is_installed", lambda: False)
    with pytest.raises(BadSettings, match=r"POSE_BACKEND: mediapipe-solution is not served here: the wheel of media"):
        PoseService(PoseSettings(backend="mediapipe-solution"))
    monkeypatch.setattr(model_files, "find_spec", lambda name: None)
    with pytest.raises(BadSettings, match=r"POSE_BACKEND: mediapipe is not served here: its network files are not"):
        PoseService(PoseSettings())


def test_a_service_does_not_start_with_a_card_that_is_none(tmp_path):
    """A bad model card is refused with its file and field, before a port is opened."""
    card = write_card(tmp_path, {"format": "dance-pose-model-1"})
    with pytest.raises(BadSettings, match="backend: is missing"):
        PoseService(PoseSettings(openpose_card=card), NoMediaPipe)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="backend openpose needs openpose_card"):
        PoseSettings(backend="openpose")
    with pytest.raises(ValueError, match="backend must be"):
        PoseSettings(backend="kinect")
