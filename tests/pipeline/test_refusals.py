"""What a session refuses, and with which status."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from dance.v1 import frame_pb2, normalize_pb2, pose_pb2, transfer_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from motion.frame import FrameSize, PictureEncoding
from orchestrator.session.transfer_session import check_answers
from orchestrator.session_config import OutputFormat, ReturnOptions, SessionConfig
from serving.errors import BadInput
from serving.pictures.background import Background
from tests.pipeline.chain import Dancing, Stack, configured, dance, publish_actor, raw_frame, stack_of

INVALID, UNIMPLEMENTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED
BODY = normalize_pb2.BodyStats(near_ankle_y=0.9, far_ankle_y=0.8, near_height=0.5, far_height=0.4, hip_x=0.5, frames=10)


async def refused(stack: Stack, *requests: transfer_pb2.TransferRequest) -> tuple[list[Any], grpc.aio.AioRpcError]:
    dancing = Dancing(stack.stub)
    await dancing.send(*requests)
    responses, error = await dancing.failure()
    return responses, error


@pytest.mark.parametrize(
    "fields",
    [
        {"dancer": pose_pb2.DancerSelection(centre=True)},
        {"dancer": pose_pb2.DancerSelection(person_id=2)},
        {"dancer": pose_pb2.DancerSelection(nearest=pose_pb2.Point(x=0.5, y=0.5))},
        {"pose_backend": pose_pb2.POSE_BACKEND_OPENPOSE},
        {"pose_backend": pose_pb2.POSE_BACKEND_RTMPOSE},
    ],
)
async def test_what_the_pose_service_does_not_serve_says_so(stack: Stack, fields: dict[str, Any]) -> None:
    """A backend or dancer rule is checked before the session is accepted: UNIMPLEMENTED, with the service's message."""
    stack.pose.refuses = "config.backend: OPENPOSE is not served here"
    responses, error = await refused(stack, configured(**fields))
    assert responses == []
    assert error.code() is UNIMPLEMENTED
    assert error.details() == "config.pose_backend: OPENPOSE is not served here", "the client's own field"
    assert len(stack.pose.configs) == 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"dancer": pose_pb2.DancerSelection(person_id=0)}, "config.dancer.person_id"),
        ({"dancer": pose_pb2.DancerSelection(centre=False)}, "config.dancer.centre"),
        ({"dancer": pose_pb2.DancerSelection(nearest=pose_pb2.Point(x=9))}, "config.dancer.nearest"),
        ({"pose_backend": 9}, "config.pose_backend"),
    ],
)
async def test_nonsense_about_the_dancer_is_refused_by_field(stack: Stack, fields: dict[str, Any], named: str) -> None:
    """INVALID_ARGUMENT, without a call to the pose service."""
    responses, error = await refused(stack, configured(**fields))
    assert responses == []
    assert error.code() is INVALID
    assert error.details().startswith(named)
    assert stack.pose.configs == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"actor": ""}, "config.actor"),
        ({"actor": "../../etc"}, "config.actor"),
        ({"mode": 7}, "config.mode"),
        ({"mode": transfer_pb2.TRANSFER_MODE_LIVE, "look_ahead_frames": 1}, "config.look_ahead_frames"),
        ({"look_ahead_frames": 31}, "config.look_ahead_frames"),
        ({"frame_rate_hz": -1.0}, "config.frame_rate_hz"),
        ({"frame_rate_hz": float("nan")}, "config.frame_rate_hz"),
        ({"pose_detail": 9}, "config.pose_detail"),
        ({"face_and_hands_every_n": 3}, "config.face_and_hands_every_n"),
        ({"pose_backend": 9}, "config.pose_backend"),
        ({"output": transfer_pb2.OutputFormat(encoding=cast(Any, 9))}, "config.output.encoding"),
        ({"output": transfer_pb2.OutputFormat(jpeg_quality=101)}, "config.output.jpeg_quality"),
        ({"source_body": normalize_pb2.BodyStats()}, "config.source_body"),
        ({"dancer": pose_pb2.DancerSelection(largest=False)}, "config.dancer.largest"),
    ],
)
async def test_config_that_breaks_the_contract_is_refused_by_field(
    stack: Stack, fields: dict[str, Any], named: str
) -> None:
    """INVALID_ARGUMENT, with the field's path in a BadRequest detail."""
    responses, error = await refused(stack, configured(**fields))
    assert responses == []
    assert error.code() is INVALID
    detail = error_details_pb2.BadRequest()
    assert rpc_status.from_call(error).details[0].Unpack(detail)
    assert detail.field_violations[0].field == named


async def test_first_request_must_be_the_config(stack: Stack) -> None:
    """A frame first, an empty request first, or no request: INVALID_ARGUMENT."""
    for requests in ([raw_frame(0)], [transfer_pb2.TransferRequest()]):
        _, error = await refused(stack, *requests)
        assert error.code() is INVALID
        assert "config: must be the first request" in error.details()
    dancing = Dancing(stack.stub)
    await dancing.call.done_writing()
    _, error = await dancing.failure()
    assert error.code() is INVALID


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (raw_frame(1), "frame.sequence"),
        (configured(), "config"),
        (transfer_pb2.TransferRequest(), "request"),
        (transfer_pb2.TransferRequest(frame=transfer_pb2.TransferFrame(sequence=9)), "frame.content"),
        (
            transfer_pb2.TransferRequest(
                frame=transfer_pb2.TransferFrame(
                    sequence=9,
                    client_pose=transfer_pb2.ClientPose(
                        pose=pose_pb2.Pose(x_px=[1.0]), size=normalize_pb2.FrameSize(width_px=64, height_px=64)
                    ),
                )
            ),
            "frame.client_pose.pose",
        ),
        (
            transfer_pb2.TransferRequest(
                frame=transfer_pb2.TransferFrame(sequence=9, client_pose=transfer_pb2.ClientPose())
            ),
            "frame.client_pose.size",
        ),
    ],
    ids=["sequence falls", "second config", "empty", "no content", "half a pose", "no size"],
)
async def test_frame_that_breaks_the_contract_ends_the_session_after_earlier_frames(
    stack: Stack, request_: transfer_pb2.TransferRequest, named: str
) -> None:
    """INVALID_ARGUMENT that names the field, after all earlier frames have been answered."""
    dancing = Dancing(stack.stub)
    await dancing.send(configured(), raw_frame(0), raw_frame(1), request_)
    await dancing.accepted()
    answers, error = await dancing.failure()
    assert [answer.sequence for answer in answers] == [0, 1]
    assert error.code() is INVALID
    assert error.details().startswith(f"{named}: ")


async def test_frames_need_a_time_or_a_rate(stack: Stack) -> None:
    """Without a rate each frame needs a capture time: otherwise half a second would be undefined."""
    dancing = Dancing(stack.stub)
    timed = raw_frame(0)
    timed.frame.captured_at.CopyFrom(Timestamp(seconds=1))
    await dancing.send(configured(frame_rate_hz=0.0), timed, raw_frame(1))
    await dancing.accepted()
    answers, error = await dancing.failure()
    assert [answer.sequence for answer in answers] == [0]
    assert error.details().startswith("frame.captured_at: ")


async def test_unknown_actor_and_version(stack: Stack) -> None:
    """NOT_FOUND, which names the actors or versions that exist; the agent is not called."""
    for request, known in ((configured("carla"), "anna, ben"), (configured("anna", actor_version=7), "it has: 1")):
        _, error = await refused(stack, request)
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert known in error.details()
    assert stack.agent.asked == []


async def test_actor_of_another_label_map_version(stack: Stack) -> None:
    """FAILED_PRECONDITION: it was trained on other label maps than this server draws."""
    publish_actor(stack.actors_root, "old", label_map_version=99)
    _, error = await refused(stack, configured("old"))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "label maps of version 99" in error.details()


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION])
async def test_agents_refusal_reaches_the_client(stack: Stack, code: grpc.StatusCode) -> None:
    """An actor that the generator's agent cannot load ends the session before a frame, with the agent's reason."""
    stack.agent.refusal = (code, "its networks are damaged")
    responses, error = await refused(stack, configured())
    assert responses == []
    assert error.code() is code
    assert "its networks are damaged" in error.details()


async def test_full_server_refuses_and_recovers(tmp_path: Path) -> None:
    """Session N + 1 is refused with RESOURCE_EXHAUSTED and a RetryInfo; when one has ended, the next is admitted."""
    publish_actor(tmp_path, "anna")
    async with stack_of(tmp_path, max_sessions=2) as stack:
        running = [Dancing(stack.stub), Dancing(stack.stub)]
        for dancing in running:
            await dancing.send(configured())
            await dancing.accepted()
        responses, error = await Dancing(stack.stub).failure()
        assert responses == []
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        detail = error_details_pb2.RetryInfo()
        assert rpc_status.from_call(error).details[0].Unpack(detail)
        assert await running[0].rest() == []
        assert len((await dance(stack.stub, configured(), raw_frame(0)))[1]) == 1
        assert await running[1].rest() == []


async def test_full_server_tells_those_who_do_not_wait(tmp_path: Path) -> None:
    """A client that sends its config and frames from an iterator gets RESOURCE_EXHAUSTED too."""
    publish_actor(tmp_path, "anna")

    async def requests():
        yield configured()
        for t in range(3):
            yield raw_frame(t)

    async with stack_of(tmp_path, max_sessions=1) as stack:
        running = Dancing(stack.stub)
        await running.send(configured())
        await running.accepted()
        for _ in range(5):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in stack.stub.Transfer(requests()):
                    pass
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await running.rest() == []


async def test_answers_that_no_message_holds_are_refused(tmp_path: Path) -> None:
    """RAW pictures of 4000 x 3000 pixels are refused at the config; as JPEG, or of the crop alone, they are served."""
    actor = replace(publish_actor(tmp_path, "anna"), frame_size=FrameSize(4000, 3000))
    raw, jpeg = PictureEncoding.RAW, PictureEncoding.JPEG
    with pytest.raises(BadInput, match="could take 36000000 bytes") as caught:
        check_answers(SessionConfig(actor="anna", output=OutputFormat(raw, full_frame=True)), actor)
    assert caught.value.field == "config.output"
    whole, returns = OutputFormat(raw, full_frame=True), ReturnOptions(reference=True)
    with pytest.raises(BadInput, match="could take 36016384 bytes"):
        check_answers(SessionConfig(actor="anna", output=whole, returns=returns), actor)
    alone, with_opacity = Background(transparent=True), OutputFormat(PictureEncoding.RAW_RGBA, full_frame=True)
    with pytest.raises(BadInput, match="could take 48000000 bytes"):
        check_answers(SessionConfig(actor="anna", output=with_opacity, background=alone), actor)
    check_answers(SessionConfig(actor="anna", output=OutputFormat(jpeg, full_frame=True)), actor)
    check_answers(SessionConfig(actor="anna", output=OutputFormat(raw)), actor)


async def test_generator_without_room_for_the_actor_refuses_the_session(stack: Stack) -> None:
    """If as many actors as fit are in use, the status is RESOURCE_EXHAUSTED, not that of a failed stage."""
    stack.agent.refusal = (grpc.StatusCode.RESOURCE_EXHAUSTED, "all actors are in use")
    _, error = await refused(stack, configured())
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.details() == "stage generator: all actors are in use"


async def test_stages_own_status_is_never_the_clients(stack: Stack) -> None:
    """A stage's refusal is not about the client's request: the status is UNAVAILABLE, with the stage and its status."""
    stack.agent.refusal = (grpc.StatusCode.PERMISSION_DENIED, "not you")
    _, error = await refused(stack, configured())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "stage generator failed: PERMISSION_DENIED: not you"


async def test_accepted_is_the_config_as_honoured(stack: Stack) -> None:
    """`accepted` has the chosen defaults, the requested values, the limits and the sizes."""
    config = configured(
        source_body=BODY,
        look_ahead_frames=4,
        output=transfer_pb2.OutputFormat(full_frame=True),
        pose_detail=pose_pb2.POSE_DETAIL_LIVE,
    )
    accepted, _ = await dance(stack.stub, config)
    honoured = accepted.config
    assert (honoured.actor, honoured.actor_version) == ("anna", 1)
    assert honoured.mode == transfer_pb2.TRANSFER_MODE_LOSSLESS
    assert (honoured.output.encoding, honoured.output.jpeg_quality) == (frame_pb2.PICTURE_ENCODING_JPEG, 90)
    assert honoured.output.full_frame
    assert honoured.source_body == BODY
    assert honoured.dancer.largest
    assert (honoured.pose_backend, honoured.pose_detail) == (1, pose_pb2.POSE_DETAIL_LIVE)
    assert honoured.face_and_hands_every_n == 0, "the pose service is not asked before the first picture"
    assert accepted.limits.max_frames_in_flight == 4 + stack.settings.lossless_frames_in_flight
    assert (accepted.full_frame_size.width_px, accepted.full_frame_size.height_px) == (96, 80)
    assert accepted.server_version
    assert stack.normalize.configs[0].source_body == BODY
    assert stack.normalize.configs[0].look_ahead_frames == 4


@pytest.mark.parametrize("full_frame", [False, True])
@pytest.mark.parametrize("encoding", [1, 2, 3])
async def test_answers_come_in_the_asked_encoding_and_size(stack: Stack, full_frame: bool, encoding: int) -> None:
    """JPEG, PNG or RAW; the crop alone, or pasted onto the plate at the footage's size."""
    output = transfer_pb2.OutputFormat(encoding=cast(Any, encoding), full_frame=full_frame)
    _, (answer,) = await dance(stack.stub, configured(output=output), raw_frame(0))
    picture = answer.picture
    assert picture.encoding == encoding
    assert (picture.width_px, picture.height_px) == ((96, 80) if full_frame else (64, 64))
    assert picture.data.startswith({1: b"\xff\xd8", 2: b"\x89PNG"}.get(encoding, b""))


async def test_actors_are_listed_newest_first_with_their_faults(stack: Stack) -> None:
    """ListActors returns all ids in order, all versions newest first; a damaged one has its reason."""
    publish_actor(stack.actors_root, "anna")
    (stack.actors_root / "anna" / "1" / "generator.onnx").unlink()
    publish_actor(stack.actors_root, "old", label_map_version=99)
    listed = (await stack.stub.ListActors(transfer_pb2.ListActorsRequest())).actors
    assert [(summary.actor, summary.actor_version) for summary in listed] == [
        ("anna", 2),
        ("anna", 1),
        ("ben", 1),
        ("old", 1),
    ]
    assert [bool(summary.unavailable) for summary in listed] == [False, True, False, True]
    assert "generator.onnx" in listed[1].unavailable
    assert (listed[0].stage_size.width_px, listed[0].full_frame_size.width_px) == (64, 96)
    assert listed[0].preset == "test"
    assert not any(summary.has_preview or summary.HasField("preview") for summary in listed)
    assert listed[0].body.near_ankle_y == pytest.approx(0.9)
