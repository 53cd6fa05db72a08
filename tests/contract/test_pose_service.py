"""The pose service keeps its contract over real gRPC, mostly with a fake estimator."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from dance.v1 import frame_pb2, pose_pb2, pose_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from motion import skeleton
from motion.frame import Picture, PictureEncoding
from motion.pose import Pose
from motion.pose_choice import PoseDetail
from services.pose.backends import EstimatorConfig
from services.pose.estimator import Estimate, PoseRules
from services.pose.servicer import PoseService
from services.pose.settings import PoseSettings
from serving.pictures.codec import encode_picture
from serving.rpc import converters
from serving.rpc.channels import open_channel
from serving.rpc.error_status import ErrorInterceptor
from serving.rpc.server import SERVER_OPTIONS, running

PATIENCE_SECONDS = 60.0
BODY_CONFIG = pose_pb2.EstimateRequest(config=pose_pb2.EstimateConfig(detail=pose_pb2.POSE_DETAIL_BODY))


class FakeEstimator:
    """Finds one person with the nose at (mean brightness, number of earlier pictures); no person in a black picture.

    Its state is the number of pictures, in digits.
    """

    def __init__(self, workshop: Workshop, detail: PoseDetail, rules: PoseRules, state: bytes) -> None:
        if state and not state.isdigit():
            raise ValueError("not a number of pictures")
        self.detail, self.rules = detail, rules
        self.threads = {threading.current_thread()}
        self.pictures = int(state or b"0")
        self.closed = threading.Event()
        self._workshop = workshop

    def estimate(self, picture: Picture, time_s: float | None = None) -> Estimate:
        self._workshop.open.wait(PATIENCE_SECONDS)
        self.threads.add(threading.current_thread())
        number, self.pictures = self.pictures, self.pictures + 1
        state = str(self.pictures).encode()
        if not picture.any():
            return Estimate([], -1, 0.001, state_after=state)
        joints = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
        confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
        joints[skeleton.NOSE] = (picture.mean(), number)
        confidence[skeleton.NOSE] = 0.5
        return Estimate([Pose(joints, confidence)], 0, 0.001, state_after=state)

    def close(self) -> None:
        self.threads.add(threading.current_thread())
        self.closed.set()


@dataclass
class Workshop:
    """Makes fake estimators and keeps them for inspection. They all wait while `open` is cleared."""

    made: list[FakeEstimator] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.open.set()

    def make(self, config: EstimatorConfig, state: bytes) -> FakeEstimator:
        self.made.append(FakeEstimator(self, config.detail, config.rules, state))
        return self.made[-1]


@asynccontextmanager
async def serving(workshop: Workshop, **settings: Any) -> AsyncIterator[pose_pb2_grpc.PoseServiceStub]:
    """Serve pose estimation on a free port, without a process's health and metrics; yield a stub."""
    service = PoseService(PoseSettings(**settings), workshop.make)  # type: ignore[arg-type]
    server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=SERVER_OPTIONS)
    service.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    try:
        await service.warm_up()
        await server.start()
        async with open_channel(f"127.0.0.1:{port}") as channel:
            yield pose_pb2_grpc.PoseServiceStub(channel)
    finally:
        workshop.open.set()
        await server.stop(0)
        await service.close()


def frame(sequence: int, grey: int = 100, encoding: PictureEncoding = PictureEncoding.JPEG) -> pose_pb2.EstimateRequest:
    """Return a frame of one grey level."""
    picture = encode_picture(np.full((24, 32, 3), grey, np.uint8), encoding)
    return pose_pb2.EstimateRequest(
        frame=frame_pb2.Frame(sequence=sequence, picture=converters.picture_to_proto(picture))
    )


async def answers(
    stub: pose_pb2_grpc.PoseServiceStub, *requests: pose_pb2.EstimateRequest
) -> list[pose_pb2.EstimateResponse]:
    """Return all responses to these requests."""
    return [response async for response in stub.Estimate(iter(requests), timeout=PATIENCE_SECONDS)]


async def read_to_end(stream: grpc.aio.StreamStreamCall) -> None:
    """Read the rest of a stream; raise the error that it ends with."""
    while await stream.read() is not grpc.aio.EOF:
        pass


async def refusal(stub: pose_pb2_grpc.PoseServiceStub, *requests: pose_pb2.EstimateRequest) -> grpc.aio.AioRpcError:
    """Return the error that these requests end with."""
    stream = stub.Estimate(timeout=PATIENCE_SECONDS)
    for request in requests:
        await stream.write(request)
    if not requests:
        await stream.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read_to_end(stream)
    return caught.value


async def test_every_frame_is_answered_once_and_in_order():
    """`accepted` comes first, then one estimate per frame, with its size; gaps in the sequence are allowed."""
    async with serving(Workshop()) as stub:
        requests = [BODY_CONFIG, *(frame(sequence, grey) for sequence, grey in ((0, 10), (1, 20), (5, 30), (6, 40)))]
        accepted, *estimates = await answers(stub, *requests)
    assert accepted.accepted == pose_pb2.EstimateConfig(
        backend=pose_pb2.POSE_BACKEND_MEDIAPIPE,
        detail=pose_pb2.POSE_DETAIL_BODY,
        dancer=pose_pb2.DancerSelection(largest=True),
    )
    assert [response.estimate.sequence for response in estimates] == [0, 1, 5, 6]
    noses = [converters.pose_from_proto(r.estimate.people[0].pose).joints_px[skeleton.NOSE] for r in estimates]
    np.testing.assert_allclose(noses, [[10, 0], [20, 1], [30, 2], [40, 3]], atol=1.5)
    for response in estimates:
        assert (response.estimate.width_px, response.estimate.height_px) == (32, 24)
        assert response.estimate.dancer_index == 0
        assert response.estimate.people[0].person_id == 1
        assert response.estimate.compute_seconds > 0.001


async def test_no_person_is_an_answer_not_an_error():
    """A frame without a person has no people and dancer_index -1, and the stream continues."""
    async with serving(Workshop()) as stub:
        _, empty, shown = await answers(stub, BODY_CONFIG, frame(0, 0, PictureEncoding.PNG), frame(1))
    assert not empty.estimate.people
    assert empty.estimate.dancer_index == -1
    assert len(shown.estimate.people) == 1


@pytest.mark.parametrize("encoding", [PictureEncoding.JPEG, PictureEncoding.PNG, PictureEncoding.RAW])
async def test_all_encodings_are_served(encoding):
    """JPEG, PNG and RAW decode to the same picture. RAW_RGBA is for answers only."""
    async with serving(Workshop()) as stub:
        _, response = await answers(stub, BODY_CONFIG, frame(0, 77, encoding))
    assert response.estimate.people[0].pose.x_px[skeleton.NOSE] == pytest.approx(77, abs=1)


async def test_a_picture_with_an_opacity_is_refused():
    """RAW_RGBA in a request is a bad frame, and the answer names the encodings that are accepted."""
    async with serving(Workshop()) as stub:
        _, response = await answers(stub, BODY_CONFIG, frame(0, 77, PictureEncoding.RAW_RGBA))
    assert "expected JPEG, PNG or RAW, got RAW_RGBA" in str(response)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (pose_pb2.EstimateConfig(backend=pose_pb2.POSE_BACKEND_OPENPOSE), "config.backend"),
        (pose_pb2.EstimateConfig(backend=pose_pb2.POSE_BACKEND_RTMPOSE), "config.backend"),
        (pose_pb2.EstimateConfig(dancer=pose_pb2.DancerSelection(centre=True)), "config.dancer.centre"),
        (pose_pb2.EstimateConfig(dancer=pose_pb2.DancerSelection(person_id=2)), "config.dancer.person_id"),
        (
            pose_pb2.EstimateConfig(dancer=pose_pb2.DancerSelection(nearest=pose_pb2.Point(x=0.5))),
            "config.dancer.nearest",
        ),
    ],
)
async def test_what_is_not_served_is_said(config, field):
    """An unsupported backend or dancer rule answers UNIMPLEMENTED and names the field."""
    async with serving(Workshop()) as stub:
        error = await refusal(stub, pose_pb2.EstimateRequest(config=config))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert field in (error.details() or "")


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([], "config"),
        ([frame(0)], "config"),
        ([pose_pb2.EstimateRequest()], "config"),
        ([BODY_CONFIG, BODY_CONFIG], "config"),
        ([BODY_CONFIG, pose_pb2.EstimateRequest()], "request"),
        ([BODY_CONFIG, frame(3), frame(3)], "frame.sequence"),
        ([pose_pb2.EstimateRequest(config=pose_pb2.EstimateConfig(backend=77))], "config.backend"),  # type: ignore[arg-type]
        ([pose_pb2.EstimateRequest(config=pose_pb2.EstimateConfig(detail=77))], "config.detail"),  # type: ignore[arg-type]
        (
            [pose_pb2.EstimateRequest(config=pose_pb2.EstimateConfig(dancer=pose_pb2.DancerSelection(largest=False)))],
            "config.dancer.largest",
        ),
    ],
)
async def test_a_broken_contract_is_refused_by_field(requests, field):
    """INVALID_ARGUMENT, beginning with the field's path."""
    async with serving(Workshop()) as stub:
        error = await refusal(stub, *requests)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.details() or "").startswith(f"{field}:")


async def test_a_broken_picture_harms_only_its_own_frame():
    """A picture that does not decode is answered with the reason, in order; its tracker continues."""
    broken = frame(7)
    broken.frame.picture.data = broken.frame.picture.data[:-40]
    liar = frame(8)
    liar.frame.picture.width_px = 33
    unsaid = frame(9)
    unsaid.frame.ClearField("picture")
    workshop = Workshop()
    async with serving(workshop) as stub:
        _, *responses = await answers(stub, BODY_CONFIG, frame(5), broken, liar, unsaid, frame(10))
    estimates = [response.estimate for response in responses]
    assert [estimate.sequence for estimate in estimates] == [5, 7, 8, 9, 10]
    assert [bool(estimate.bad_picture) for estimate in estimates] == [False, True, True, True, False]
    for bad in estimates[1:4]:
        assert f"frame[{bad.sequence}].picture" in bad.bad_picture
        assert not bad.people
        assert bad.dancer_index == -1
    assert estimates[4].people[0].pose.y_px[skeleton.NOSE] == 1  # the second picture of the same estimator


async def test_a_new_stream_continues_an_earlier_one():
    """From any answer's state, another stream gives the rest of the answers, byte for byte; `accepted` has no state."""
    requests = [frame(0, 10), frame(1, 20), frame(2, 0, PictureEncoding.PNG), frame(3, 30), frame(4, 40)]
    requests[3].frame.picture.data = b"no picture"
    async with serving(Workshop()) as stub:
        _, *unbroken = await answers(stub, BODY_CONFIG, *requests)
        for taken in range(1, len(requests)):
            state = unbroken[taken - 1].estimate.state_after
            config = pose_pb2.EstimateConfig(detail=pose_pb2.POSE_DETAIL_BODY, state=state)
            accepted, *rest = await answers(stub, pose_pb2.EstimateRequest(config=config), *requests[taken:])
            assert accepted.accepted.state == b""
            for response in (*rest, *unbroken):
                response.estimate.ClearField("compute_seconds")
            assert rest == unbroken[taken:]
    assert [response.estimate.state_after for response in unbroken] == [b"1", b"2", b"3", b"3", b"4"]


@pytest.mark.parametrize(
    ("backend", "state", "said"),
    [
        (pose_pb2.POSE_BACKEND_MEDIAPIPE, b"x", "config.state: is not a number of pictures"),
        (pose_pb2.POSE_BACKEND_MEDIAPIPE, b"1" * (2**16 + 1), "config.state: has 65537 bytes, at most 65536"),
    ],
)
async def test_a_state_that_is_none_is_refused(backend, state, said):
    """INVALID_ARGUMENT for config.state, before a frame is read; the service stays healthy."""
    workshop = Workshop()
    async with serving(workshop) as stub:
        error = await refusal(
            stub, pose_pb2.EstimateRequest(config=pose_pb2.EstimateConfig(backend=backend, state=state))
        )
        assert len(await answers(stub, BODY_CONFIG, frame(0))) == 2
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.details() or "").startswith(said)


async def test_what_comes_before_a_broken_contract_is_answered():
    """The frames before the faulty one are answered, then the stream ends."""
    async with serving(Workshop()) as stub:
        stream = stub.Estimate(timeout=PATIENCE_SECONDS)
        for request in (BODY_CONFIG, frame(5), frame(6), frame(6)):
            await stream.write(request)
        assert [(await stream.read()).estimate.sequence for _ in range(3)] == [0, 5, 6]
        with pytest.raises(grpc.aio.AioRpcError, match="must increase"):
            await stream.read()


async def test_a_full_service_refuses_and_recovers():
    """Stream N + 1 gets RESOURCE_EXHAUSTED; once a stream has ended, a new one is accepted."""
    workshop = Workshop()
    async with serving(workshop, max_streams=1) as stub:
        first = stub.Estimate(timeout=PATIENCE_SECONDS)
        await first.write(BODY_CONFIG)
        await first.read()
        error = await refusal(stub, BODY_CONFIG)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await first.done_writing()
        assert await first.read() is grpc.aio.EOF
        assert len(await answers(stub, BODY_CONFIG, frame(0))) == 2


@pytest.mark.parametrize("backend", [pose_pb2.POSE_BACKEND_MEDIAPIPE, pose_pb2.POSE_BACKEND_MEDIAPIPE_SOLUTION])
async def test_every_stream_has_an_estimator_of_its_own(backend):
    """Two streams count their own frames; an estimator is closed with its stream. The solution's has its own thread."""
    workshop = Workshop()
    async with serving(workshop, estimating_threads=1) as stub:
        one, two = stub.Estimate(timeout=PATIENCE_SECONDS), stub.Estimate(timeout=PATIENCE_SECONDS)
        for stream in (one, two):
            await stream.write(pose_pb2.EstimateRequest(config=pose_pb2.EstimateConfig(backend=backend)))
            await stream.read()
        for sequence in range(3):
            for stream, grey in ((one, 50), (two, 200)):
                await stream.write(frame(sequence, grey))
                pose = (await stream.read()).estimate.people[0].pose
                assert pose.x_px[skeleton.NOSE] == pytest.approx(grey, abs=1)
                assert pose.y_px[skeleton.NOSE] == sequence
        for stream in (one, two):
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF
    used = [estimator for estimator in workshop.made if estimator.pictures]
    assert len(used) == 2
    assert all(estimator.closed.wait(5) for estimator in workshop.made)
    assert all(len(estimator.threads) == 1 for estimator in workshop.made)
    shared = backend == pose_pb2.POSE_BACKEND_MEDIAPIPE
    assert (used[0].threads == used[1].threads) is shared


async def test_a_cancelled_stream_frees_its_place_and_its_estimator():
    """A client that disconnects in mid-frame leaves nothing behind."""
    workshop = Workshop()
    async with serving(workshop, max_streams=1) as stub:
        stream = stub.Estimate(timeout=PATIENCE_SECONDS)
        await stream.write(BODY_CONFIG)
        await stream.read()
        workshop.open.clear()
        await stream.write(frame(0))
        stream.cancel()
        workshop.open.set()
        used = workshop.made[-1]
        assert await asyncio.to_thread(used.closed.wait, 5)
        assert len(await answers(stub, BODY_CONFIG, frame(0))) == 2


async def test_a_silent_sender_is_sent_away():
    """A stream that sends nothing ends with DEADLINE_EXCEEDED."""
    async with serving(Workshop(), idle_seconds=0.05) as stub:
        stream = stub.Estimate(timeout=PATIENCE_SECONDS)
        await stream.write(BODY_CONFIG)
        await stream.read()
        with pytest.raises(grpc.aio.AioRpcError, match="silent"):
            await stream.read()
        assert await stream.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_slow_estimator_makes_its_sender_wait():
    """Only the current frame, the waiting ones and one being decoded leave the client's queue."""
    workshop = Workshop()
    taken = []

    async def requests() -> AsyncIterator[pose_pb2.EstimateRequest]:
        yield BODY_CONFIG
        big = encode_picture(np.full((512, 512, 3), 9, np.uint8), PictureEncoding.RAW)
        for sequence in range(40):
            taken.append(sequence)
            yield pose_pb2.EstimateRequest(
                frame=frame_pb2.Frame(sequence=sequence, picture=converters.picture_to_proto(big))
            )

    async with serving(workshop, max_frames_waiting=1) as stub:
        workshop.open.clear()
        stream = stub.Estimate(requests(), timeout=PATIENCE_SECONDS)
        await stream.read()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.create_task(stream.read())), 0.3)
        assert len(taken) < 20
        workshop.open.set()


async def test_live_detail_says_how_often_it_looks():
    """`accepted` has the n in use: the config's, or the server's default."""
    async with serving(Workshop(), face_and_hands_every_n=4) as stub:
        for asked, honoured in ((0, 4), (7, 7)):
            config = pose_pb2.EstimateConfig(detail=pose_pb2.POSE_DETAIL_LIVE, face_and_hands_every_n=asked)
            (response,) = await answers(stub, pose_pb2.EstimateRequest(config=config))
            assert response.accepted.face_and_hands_every_n == honoured
            assert response.accepted.detail == pose_pb2.POSE_DETAIL_LIVE


async def test_health_says_serving():
    """The health port reports SERVING for the process and for the service."""
    service, settings = PoseService(PoseSettings(), Workshop().make), PoseSettings()  # type: ignore[arg-type]
    async with (
        running(service, settings) as server,
        open_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        for name in ("", "dance.v1.PoseService"):
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("nonsense", [{"max_streams": 0}, {"idle_seconds": 0}, {"min_visibility": 2}])
def test_nonsense_settings_are_refused_by_name(nonsense):
    """The error names the setting."""
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        PoseSettings(**nonsense)


def test_the_process_reports_ready_and_ends_at_sigterm(root):
    """`python -m services.pose` prints one line on stdout, none of MediaPipe's output, and ends at SIGTERM."""
    with subprocess.Popen(
        [sys.executable, "-m", "services.pose"], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready name=pose port=")
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 0
    assert out == ""
    assert "feedback" not in err
    assert "XNNPACK" not in err
