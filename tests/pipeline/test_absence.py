"""Frames without a person, and the remarks on frames with one."""

from __future__ import annotations

import pytest
from dance.v1 import frame_pb2, transfer_pb2
from dance.v1.transfer_pb2 import FrameRemark, NoPictureReason

from tests.pipeline.chain import Stack, configured, dance, pixels, pose_frame, raw_frame
from tests.pipeline.fake_stages import ZERO, person

NO_PERSON = NoPictureReason.NO_PICTURE_REASON_NO_PERSON
RESTARTED = FrameRemark.FRAME_REMARK_RESTARTED


async def test_frames_without_a_person_are_answered_without_a_picture(stack: Stack) -> None:
    """A frame without a person has a reason and no picture; the generator is not called. Normalize gets the frame."""
    stack.pose.script = lambda sequence: None if sequence in (2, 3) else person()
    _, answers = await dance(stack.stub, configured("ben"), *(raw_frame(t) for t in range(6)))
    assert [answer.WhichOneof("result") for answer in answers] == ["picture"] * 2 + ["no_picture"] * 2 + ["picture"] * 2
    assert {answer.no_picture.reason for answer in answers[2:4]} == {NO_PERSON}
    assert len(stack.triton.calls) == 4
    assert [frame.HasField("pose") for frame in stack.normalize.frames] == [True, True, False, False, True, True]


async def test_not_placed_is_distinguished_from_no_person(stack: Stack) -> None:
    """A person whose whole body was never seen is NOT_PLACED, with what is missing; the answer is not NO_PERSON."""

    def unplaced(answer):
        if answer.sequence < 2:
            answer.ClearField("pose")
            answer.ClearField("transform")

    stack.normalize.change = unplaced
    stack.pose.script = lambda sequence: None if sequence == 1 else person()
    _, answers = await dance(stack.stub, configured("ben"), *(raw_frame(t) for t in range(3)))
    reasons = [answer.no_picture.reason for answer in answers]
    assert reasons == [NoPictureReason.NO_PICTURE_REASON_NOT_PLACED, NO_PERSON, 0]
    assert answers[0].no_picture.detail == "head, hips and both ankles have not been seen together yet"


async def test_the_source_pose_comes_without_a_picture_too(stack: Stack) -> None:
    """A person who is not placed yet is returned as a pose, so that a page can ask for the feet; BAD_FRAME has none."""

    def unplaced(answer):
        answer.ClearField("pose")
        answer.ClearField("transform")

    stack.normalize.change = unplaced
    stack.pose.script = lambda sequence: {1: None, 2: "does not decode"}.get(sequence, person(20 + sequence))
    config = configured("ben", return_options=transfer_pb2.ReturnOptions(source_pose=True))
    _, answers = await dance(stack.stub, config, *(raw_frame(t) for t in range(4)))
    assert {answer.WhichOneof("result") for answer in answers} == {"no_picture"}
    assert [answer.HasField("source_pose") for answer in answers] == [True, False, False, True]
    assert answers[3].source_pose.x_px[0] == pytest.approx(23)


async def test_held_joints_are_drawn(stack: Stack) -> None:
    """If normalize still answers a pose for a frame without a person, it is drawn, and the answer has a remark."""

    def hold(answer):
        if answer.sequence == 1:
            answer.held_joints = 40

    stack.normalize.change = hold
    _, answers = await dance(stack.stub, configured("ben"), raw_frame(0), raw_frame(1))
    assert answers[1].WhichOneof("result") == "picture"
    assert list(answers[1].remarks) == [FrameRemark.FRAME_REMARK_JOINTS_HELD]


@pytest.mark.parametrize(("absent", "restarts"), [(1, False), (11, False), (12, True), (30, True)])
async def test_previous_picture_is_kept_for_half_a_second(stack: Stack, absent: int, restarts: bool) -> None:
    """At 25 Hz, 11 frames in between keep the previous picture. After 12 (0.52 s) it restarts, with a remark."""
    poses = [person(), person(), *[None] * absent, person(), person()]
    _, answers = await dance(stack.stub, configured("ben"), *(pose_frame(t, pose) for t, pose in enumerate(poses)))
    back, after = answers[-2:]
    assert int(pixels(back)[0, 0, 0]) == (ZERO + 1 if restarts else ZERO + 3)
    assert (RESTARTED in back.remarks) == restarts
    assert RESTARTED not in after.remarks
    assert RESTARTED not in answers[0].remarks


async def test_half_a_second_is_counted_on_the_sources_clock(stack: Stack) -> None:
    """Frames with capture times need no rate: here 0.6 s pass in two frames."""
    frames = [pose_frame(0, person(), 0.0), pose_frame(1, None, 0.2), pose_frame(2, person(), 0.8)]
    _, answers = await dance(stack.stub, configured("ben", frame_rate_hz=0.0), *frames)
    assert RESTARTED in answers[2].remarks


async def test_rate_counts_before_captured_at(stack: Stack) -> None:
    """With a rate, the frame numbers are the clock, as for normalize; capture times are ignored."""
    frames = [pose_frame(0, person(), 0.0), pose_frame(1, person(), 9.0), pose_frame(14, person(), 9.1)]
    _, answers = await dance(stack.stub, configured("ben"), *frames)
    assert [RESTARTED in answer.remarks for answer in answers] == [False, False, True]


async def test_body_outside_of_the_stage_is_said(stack: Stack) -> None:
    """A body that leaves the actor's crop is drawn as far as it is inside, with a remark."""
    stack.pose.script = lambda sequence: person(60)
    _, answers = await dance(stack.stub, configured("ben"), raw_frame(0))
    assert list(answers[0].remarks) == [FrameRemark.FRAME_REMARK_OUT_OF_STAGE]


@pytest.mark.settings(watermark=False)
async def test_pose_without_a_face_passes_the_face_stage(stack: Stack) -> None:
    """Without a face in the pose, the picture is the generator's, the face service is not called; a remark says so."""
    stack.pose.script = lambda sequence: person(face=False)
    _, answers = await dance(stack.stub, configured("anna"), raw_frame(0))
    assert stack.face.requests == []
    assert list(answers[0].remarks) == [FrameRemark.FRAME_REMARK_NO_FACE]
    assert (pixels(answers[0]) == ZERO + 1).all()


async def test_actor_without_a_face_network_needs_no_face_service(stack: Stack) -> None:
    """The pictures of an actor without a face network pass unchanged and without a remark."""
    _, answers = await dance(stack.stub, configured("ben"), raw_frame(0))
    assert stack.face.requests == []
    assert list(answers[0].remarks) == []


async def test_remarks_of_normalize_reach_the_client(stack: Stack) -> None:
    """The remarks and the transform from normalize appear in the frame's answer."""

    def remark(answer):
        if answer.sequence == 1:
            answer.extrapolated = answer.limited = answer.on_the_spot = answer.transform_kept = True
            answer.calibration, answer.certainty = 2, 0.3
            answer.airborne = True
            answer.transform.scale = 1.25

    stack.normalize.change = remark
    _, answers = await dance(stack.stub, configured("ben"), raw_frame(0), raw_frame(1))
    assert list(answers[0].remarks) == []
    names = {FrameRemark.Name(number).removeprefix("FRAME_REMARK_") for number in answers[1].remarks}
    assert names == {"EXTRAPOLATED", "LIMITED", "ON_THE_SPOT", "TRANSFORM_KEPT", "CALIBRATING", "AIRBORNE"}
    assert answers[1].transform.scale == pytest.approx(1.25)


async def test_broken_picture_is_that_frames_matter_alone(stack: Stack) -> None:
    """If pose cannot decode frame 2, it is answered BAD_FRAME with pose's message; the others get pictures."""
    stack.pose.script = lambda sequence: "frame[2].picture.data: does not decode" if sequence == 2 else person()
    _, answers = await dance(stack.stub, configured("ben"), *(raw_frame(t) for t in range(8)))
    assert [answer.sequence for answer in answers] == list(range(8))
    assert [answer.sequence for answer in answers if answer.WhichOneof("result") == "no_picture"] == [2]
    assert answers[2].no_picture.reason == NoPictureReason.NO_PICTURE_REASON_BAD_FRAME
    assert "does not decode" in answers[2].no_picture.detail
    assert [int(pixels(a)[0, 0, 0]) for a in answers if a.sequence != 2] == [ZERO + 1 + t for t in range(7)]
    assert len(stack.pose.configs) == 1, "its stream continues"


async def test_broken_pictures_at_the_start_in_a_row_and_at_the_end(stack: Stack) -> None:
    """Every frame is answered in order, wherever the broken pictures are."""
    broken = {0, 3, 4, 9}
    stack.pose.script = lambda sequence: "broken" if sequence in broken else person()
    _, answers = await dance(stack.stub, configured("ben", look_ahead_frames=2), *(raw_frame(t) for t in range(10)))
    assert [answer.sequence for answer in answers] == list(range(10))
    assert {answer.sequence for answer in answers if answer.WhichOneof("result") == "no_picture"} == broken


async def test_pictures_that_are_not_what_they_claim_never_leave_the_door(stack: Stack) -> None:
    """Too few bytes, no JPEG, or a size that changes: BAD_FRAME with the reason, and pose sees none of them."""
    short, text, large = raw_frame(1), raw_frame(2), raw_frame(3, side_px=32)
    short.frame.picture.data = b"abc"
    text.frame.picture.encoding = frame_pb2.PICTURE_ENCODING_JPEG
    _, answers = await dance(stack.stub, configured("ben"), raw_frame(0), short, text, large, raw_frame(4))
    assert [answer.WhichOneof("result") for answer in answers] == ["picture", *["no_picture"] * 3, "picture"]
    assert {answer.no_picture.reason for answer in answers[1:4]} == {NoPictureReason.NO_PICTURE_REASON_BAD_FRAME}
    details = [answer.no_picture.detail for answer in answers[1:4]]
    assert "takes 12288 bytes, got 3" in details[0]
    assert "is not a JPEG" in details[1]
    assert "is 32x32, expected this session's 64x64" in details[2]
    assert sorted(stack.pose.pictures) == [0, 4]


async def test_session_that_begins_with_bad_frames(stack: Stack) -> None:
    """Bad frames before the first good one are answered, with a look-ahead too."""
    bad = [raw_frame(t) for t in range(5)]
    for request in bad:
        request.frame.picture.data = b"x"
    config = configured("ben", look_ahead_frames=2)
    _, answers = await dance(stack.stub, config, *bad, raw_frame(5), raw_frame(6))
    assert [answer.sequence for answer in answers] == list(range(7))
    assert [answer.WhichOneof("result") for answer in answers] == ["no_picture"] * 5 + ["picture"] * 2


async def test_label_map_and_poses_are_returned_when_asked_for(stack: Stack) -> None:
    """If requested, the label map is returned as a PNG of the crop's size; otherwise it is not sent."""
    returns = transfer_pb2.ReturnOptions(label_map=True, normalized_pose=True, source_pose=True, stage_times=True)
    _, (answer,) = await dance(stack.stub, configured("anna", return_options=returns), raw_frame(0))
    assert answer.label_map.data.startswith(b"\x89PNG")
    assert (answer.label_map.width_px, answer.label_map.height_px) == (64, 64)
    assert len(answer.normalized_pose.x_px) == len(answer.source_pose.x_px) == 137
    times = {spent.stage: spent for spent in answer.stage_times}
    assert list(times) == ["pose", "normalize", "label_map", "generator", "face", "encode"]
    assert times["pose"].compute_seconds == pytest.approx(0.011)
    assert times["generator"].compute_seconds == pytest.approx(0.016)
    assert all(spent.total_seconds > 0 and spent.queue_seconds >= 0 for spent in times.values())
    assert answer.frame_seconds >= sum(times[name].total_seconds for name in ("pose", "generator", "face"))

    _, (plain,) = await dance(stack.stub, configured("anna"), raw_frame(0))
    assert not plain.HasField("label_map")
    assert not plain.HasField("source_pose")
    assert not plain.stage_times
