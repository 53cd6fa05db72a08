"""Pose backends, the choice of the dancer among several people, and losing the dancer."""

from __future__ import annotations

import pytest
from dance.v1 import pose_pb2, transfer_pb2
from dance.v1.transfer_pb2 import FrameRemark

from tests.pipeline.chain import Stack, configured, dance, pose_frame, raw_frame
from tests.pipeline.fake_stages import person

OPENPOSE = pose_pb2.POSE_BACKEND_OPENPOSE
CENTRE = pose_pb2.DancerSelection(centre=True)


async def test_backend_and_rule_reach_the_pose_service_and_are_honoured(stack: Stack) -> None:
    """The requested backend and rule are sent to the service before the first frame, and repeated in `accepted`."""
    accepted, answers = await dance(
        stack.stub, configured("ben", pose_backend=OPENPOSE, dancer=CENTRE), raw_frame(0), raw_frame(1)
    )
    assert (accepted.config.pose_backend, accepted.config.dancer) == (OPENPOSE, CENTRE)
    assert len(answers) == 2
    (config,) = stack.pose.configs
    assert (config.backend, config.dancer) == (OPENPOSE, CENTRE)


async def test_without_a_word_mediapipe_looks_for_the_largest(stack: Stack) -> None:
    """`accepted` names the orchestrator's default backend; the stream opens with the first picture."""
    accepted, _ = await dance(stack.stub, configured("ben"), raw_frame(0))
    assert accepted.config.pose_backend == pose_pb2.POSE_BACKEND_MEDIAPIPE
    assert accepted.config.dancer == pose_pb2.DancerSelection(largest=True)


async def test_a_lost_dancer_is_said(stack: Stack) -> None:
    """Another person in the frame is not danced: no picture, a reason and a remark. A new dancer has a remark too."""
    stack.pose.lost = frozenset({2, 3})
    stack.pose.changed = frozenset({4})
    _, answers = await dance(stack.stub, configured("ben", pose_backend=OPENPOSE), *(raw_frame(t) for t in range(6)))
    assert [answer.WhichOneof("result") for answer in answers] == ["picture"] * 2 + ["no_picture"] * 2 + ["picture"] * 2
    assert {answer.no_picture.detail for answer in answers[2:4]} == {"the dancer is lost"}
    said = [set(answer.remarks) for answer in answers]
    assert [FrameRemark.FRAME_REMARK_DANCER_LOST in remarks for remarks in said] == [False] * 2 + [True] * 2 + [
        False
    ] * 2
    assert [FrameRemark.FRAME_REMARK_DANCER_CHANGED in remarks for remarks in said] == [False] * 4 + [True, False]


@pytest.mark.parametrize("resumed_with", [OPENPOSE, pose_pb2.POSE_BACKEND_RTMPOSE])
async def test_a_resumed_session_keeps_its_dancer(stack: Stack, resumed_with: pose_pb2.PoseBackend) -> None:
    """A checkpoint contains the state of the pose stage, which only the same backend understands."""
    asked = {"checkpoint_every_frames": 2, "dancer": CENTRE}
    frames = [raw_frame(0), raw_frame(1)]
    _, answers = await dance(stack.stub, configured("ben", pose_backend=OPENPOSE, **asked), *frames)
    checkpoint = answers[1].checkpoint
    resumed = configured("ben", pose_backend=resumed_with, **asked, checkpoint=checkpoint)
    _, (answer,) = await dance(stack.stub, resumed, raw_frame(2))
    first, second = stack.pose.configs
    assert first.state == b""
    assert second.state == (b"after 1" if resumed_with == OPENPOSE else b"")
    assert (second.backend, second.dancer) == (resumed_with, CENTRE)
    assert answer.WhichOneof("result") == "picture"


async def test_frames_with_poses_keep_the_dancer(stack: Stack) -> None:
    """Frames that skip the pose stage carry its last state on into their checkpoints."""
    asked = {"pose_backend": OPENPOSE, "checkpoint_every_frames": 1}
    frames = [raw_frame(0), pose_frame(1, person()), pose_frame(2, person())]
    _, answers = await dance(stack.stub, configured("ben", **asked), *frames)
    await dance(stack.stub, configured("ben", **asked, checkpoint=answers[2].checkpoint), raw_frame(3))
    assert stack.pose.configs[-1].state == b"after 0"


async def test_fit_body_looks_in_the_same_way(stack: Stack) -> None:
    """The first pass measures the same dancer that the second one shows."""
    call = stack.stub.FitBody()
    config = transfer_pb2.FitBodyConfig(pose_backend=OPENPOSE, dancer=CENTRE)
    await call.write(transfer_pb2.FitBodyRequest(config=config))
    for number in range(3):
        await call.write(transfer_pb2.FitBodyRequest(frame=raw_frame(number).frame))
    await call.done_writing()
    assert (await call).frames == 3
    (told,) = stack.pose.configs
    assert (told.backend, told.dancer, told.detail) == (OPENPOSE, CENTRE, pose_pb2.POSE_DETAIL_BODY)


async def test_what_the_clients_own_estimator_noted_is_said(stack: Stack) -> None:
    """A client that sends poses gets the remarks, and the reason, that it would get from the pose stage."""
    lost, changed, carried = (pose_frame(n, None if n == 1 else person()) for n in (1, 2, 3))
    lost.frame.client_pose.dancer_lost = True
    changed.frame.client_pose.dancer_changed = True
    carried.frame.client_pose.face_and_hands_carried = True
    _, answers = await dance(stack.stub, configured("ben"), pose_frame(0, person()), lost, changed, carried)
    noted = (
        FrameRemark.FRAME_REMARK_DANCER_LOST,
        FrameRemark.FRAME_REMARK_DANCER_CHANGED,
        FrameRemark.FRAME_REMARK_FACE_AND_HANDS_CARRIED,
    )
    assert [[remark for remark in answer.remarks if remark in noted] for answer in answers] == [
        [], [noted[0]], [noted[1]], [noted[2]],
    ]  # fmt: skip
    assert answers[1].no_picture.detail == "the dancer is lost"
