"""The state of a normaliser: a new stream continues exactly as the old one."""

from __future__ import annotations

import dataclasses
import json
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion.pose import Pose
from services.normalize.normalizer import Normalized, Normalizer, PoseFrame
from serving.errors import BadInput
from tests.unit.services.normalize.dancing import SIZE, SOURCE, config, danced, dancer, walk


def same(one: Normalized, other: Normalized) -> bool:
    """Whether two answers agree in every bit, apart from the compute time."""
    for field in dataclasses.fields(Normalized):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name == "compute_seconds":
            continue
        if isinstance(ours, Pose) and isinstance(theirs, Pose):
            if ours.joints_px.tobytes() + ours.confidence.tobytes() != (
                theirs.joints_px.tobytes() + theirs.confidence.tobytes()
            ):
                return False
        elif ours != theirs:
            return False
    return True


moves = st.lists(
    st.one_of(
        st.none(),
        st.builds(
            lambda depth, x, seed, missing: dancer(depth, x, seed=seed, without=missing),
            st.floats(-0.5, 2),
            st.floats(0.1, 0.9),
            st.integers(0, 999),
            st.sets(st.integers(0, 39), max_size=40),
        ),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(
    poses=moves,
    look_ahead=st.sampled_from([0, 1, 3, 5]),
    rate_hz=st.sampled_from([0.0, 5.0, 30.0, 60.0]),
    is_given=st.booleans(),
    step=st.sampled_from([1, 3]),
)
def test_a_new_stream_continues_exactly_as_the_old_one(poses, look_ahead, rate_hz, is_given, step):
    """At every frame, a stream that gets its `state_after` and the frames after it returns the very same answers."""
    settings_ = {"look_ahead_frames": look_ahead, "frame_rate_hz": rate_hz, "source_body": SOURCE if is_given else None}
    frames = [PoseFrame(i * step, SIZE, pose, 100 + i * step / 40) for i, pose in enumerate(poses)]

    def answers_to(rest: list[PoseFrame], state: bytes) -> list[Normalized]:
        normalizer = Normalizer(config(**settings_, state=state))
        return [answer for frame in rest for answer in normalizer.push(frame)] + normalizer.finish()

    unbroken = answers_to(frames, b"")
    for split, answer in enumerate(unbroken, start=1):
        resumed = answers_to(frames[split:], answer.state_after)
        assert len(resumed) == len(unbroken) - split
        assert all(same(one, other) for one, other in zip(unbroken[split:], resumed, strict=True))


def test_a_long_stream_resumes_exactly_with_a_small_state():
    """After 300 frames with running calibration, state_after is below 12 kB and still resumes exactly."""
    poses = walk(330)
    for look_ahead in (0, 3):
        unbroken = danced(poses, source_body=None, look_ahead_frames=look_ahead, frame_rate_hz=120.0)
        state = unbroken[299].state_after
        assert len(state) < 12_000
        resumed = Normalizer(config(source_body=None, look_ahead_frames=look_ahead, frame_rate_hz=120.0, state=state))
        answers = [a for i in range(300, 330) for a in resumed.push(PoseFrame(i, SIZE, poses[i]))] + resumed.finish()
        assert all(same(one, other) for one, other in zip(unbroken[300:], answers, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        "[" * 100_000,
        '{"sequence": ' + "[" * 100_000,
        '"time_s":1e400',
        '"time_s":NaN',
        '"sequence":1e400',
        '"sequence":Infinity',
        '"sequence":0.5',
        '"sequence":' + "9" * 400,
        '"size":[400.5,300]',
        '"size":[1e400,300]',
        '"size":[400]',
        '"size":"400"',
        '"past_s":[Infinity]',
        '"easing":{"\\ud800":1}',
        '"placing":[[[]]]',
        '"placing":{"anchor":{},"wanted":{},"used":{"scale":1e400}}',
    ],
)
def test_a_forged_state_is_refused_by_name(changes: str):
    """Arbitrary contents with a valid checksum, however deeply nested, raise BadInput."""
    state = danced([dancer()])[0].state_after
    length = int.from_bytes(state[30:34], "little")
    text = state[34 : 34 + length].decode()
    if changes.startswith('"'):
        facts = json.loads(text)
        name = changes.split('"')[1]
        assert name in facts
        facts[name] = "HERE"
        text = json.dumps(facts).replace('"HERE"', changes.split(":", 1)[1])
    else:
        text = changes
    body = text.encode() + state[34 + length :]
    forged = state[:26] + struct.pack("<II", zlib.crc32(body), len(text.encode())) + body
    with pytest.raises(BadInput, match=r"config\.state"):
        Normalizer(config(state=forged))


def test_a_state_of_another_stream_is_refused():
    """A state of another config or version, or one that is damaged or truncated, is refused by name."""
    state = danced([dancer()])[0].state_after
    flipped = bytearray(state)
    flipped[-1] ^= 1
    for bad, changes in (
        (state, {"look_ahead_frames": 2}),
        (state, {"target_body": SOURCE}),
        (state, {"source_body": None}),
        (bytes(flipped), {}),
        (state[:-3], {}),
        (b"x" + state[1:], {}),
        (b"nonsense", {}),
    ):
        with pytest.raises(BadInput, match=r"config\.state"):
            Normalizer(config(**changes, state=bad))
