"""`Normalizer`: moves a stream of poses into the actor's body and place, smooths it and fills short gaps."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.body import BodyMeasure, BodyStats, measure_body
from motion.clock import FrameTimeError, SourceClock, checked_rate_hz
from motion.frame import FrameSize
from motion.pose import Pose
from motion.retarget import Retargeting, Transform, apply_transform, retarget
from motion.smoothing.median import MAX_WINDOW_FRAMES, Table, centred_median, window_half_frames
from services.normalize.calibration import SourceBody, between, on_one_spot
from services.normalize.rules import NormalizeRules
from services.normalize.smoothing import one_euro, table_of
from services.normalize.state import JointMemory, Memory, Placing, fingerprint, from_bytes, to_bytes
from serving.errors import BadInput

Mask = NDArray[np.bool_]

_HANDS: Final = ((skeleton.LEFT_HAND, skeleton.L_WRIST), (skeleton.RIGHT_HAND, skeleton.R_WRIST))


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalizerConfig:
    """The config of one stream.

    target_body, target_size: the actor's body and frame size.
    source_body: the dancer's stats; None to estimate them while the stream runs.
    look_ahead_frames: above 0, the answer to frame t follows frame t + look_ahead_frames and is smoothed by a centred
    median. At 0, and below 20 fps, where a median would erase the motion, a One-Euro filter smooths.
    frame_rate_hz: of the source; 0 if unknown, and then every frame needs its `captured_at_s`.
    state: `state_after` of an earlier stream with the same config, to resume from; empty to start.
    """

    target_body: BodyStats
    target_size: FrameSize
    source_body: BodyStats | None = None
    look_ahead_frames: int = 0
    frame_rate_hz: float = 0.0
    state: bytes = b""
    rules: NormalizeRules = field(default_factory=NormalizeRules)

    def __post_init__(self) -> None:
        if self.look_ahead_frames < 0:
            raise BadInput("config.look_ahead_frames", f"must not be negative, got {self.look_ahead_frames}")
        try:
            checked_rate_hz(self.frame_rate_hz)
        except ValueError as error:
            raise BadInput("config.frame_rate_hz", str(error)) from error


@dataclass(frozen=True, slots=True)
class PoseFrame:
    """The dancer in one frame, in pixels of a frame of `size`; `pose` is None if no person was found."""

    sequence: int
    size: FrameSize
    pose: Pose | None
    captured_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Normalized:
    """The answer to one `PoseFrame`.

    pose: in pixels of the target's frame. None if no person was found and no joint is held any longer, and while the
    place is unknown (a running calibration that has not seen feet yet).
    transform: the transform in use; None while the place is unknown.
    calibrating: the source's stats are a running estimate, with this certainty; otherwise they were given.
    retargeting: how the transform was found, that of the kept transform if transform_kept; None with no transform.
    transform_kept: this frame had no usable feet, and the last transform was used again.
    held_joints: how many unseen joints are held at their last place.
    state_after: the state from which a new stream can continue with the next frame.
    """

    sequence: int
    pose: Pose | None
    transform: Transform | None
    calibrating: bool
    certainty: float
    retargeting: Retargeting | None
    transform_kept: bool
    held_joints: int
    source_body: BodyStats | None
    state_after: bytes
    compute_seconds: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A frame whose look-ahead is not complete yet."""

    frame: PoseFrame
    time_s: float
    table: Table


class Normalizer:
    """One stream: `push` its frames in order, then `finish`. Every frame is answered once, in order.

    Not thread-safe. Raises BadInput for a state of another config, for frames out of order, and for frames without a
    known time.
    """

    def __init__(self, config: NormalizerConfig) -> None:
        self._config = config
        self._fingerprint = fingerprint(
            target_body=config.target_body.to_dict(),
            target_size=[config.target_size.width_px, config.target_size.height_px],
            source_body=config.source_body and config.source_body.to_dict(),
            look_ahead_frames=config.look_ahead_frames,
            frame_rate_hz=config.frame_rate_hz,
        )
        if config.state:
            try:
                self._memory = from_bytes(config.state, self._fingerprint, config.source_body)
            except ValueError as error:
                raise BadInput("config.state", f"is {error}") from error
        else:
            self._memory = Memory(SourceBody(config.source_body))
        self._newest_sequence = self._memory.sequence
        self._clock = SourceClock(config.frame_rate_hz, self._memory.time_s)
        self._waiting: deque[_Waiting] = deque()
        self._past_frames = 0
        if config.look_ahead_frames:
            rate_hz, window_seconds = config.frame_rate_hz, config.rules.median_window_seconds
            self._past_frames = window_half_frames(rate_hz, window_seconds) if rate_hz else MAX_WINDOW_FRAMES // 2

    def push(self, frame: PoseFrame) -> list[Normalized]:
        """Add the next frame, and return the answers it completes: one, or none while looking ahead."""
        started = time.perf_counter()
        if frame.sequence <= self._newest_sequence:
            raise BadInput("pose_frame.sequence", f"must increase, got {frame.sequence} after {self._newest_sequence}")
        try:
            time_s = self._clock.time_s(frame.sequence, frame.captured_at_s)
        except FrameTimeError as error:
            raise BadInput(f"pose_frame.{error.field}", str(error)) from error
        self._waiting.append(_Waiting(frame, time_s, table_of(frame.pose)))
        self._newest_sequence = frame.sequence
        if len(self._waiting) <= self._config.look_ahead_frames:
            return []
        return [self._answer(started)]

    def finish(self) -> list[Normalized]:
        """Return the answers to all frames that still wait for their look-ahead."""
        return [self._answer(time.perf_counter()) for _ in range(len(self._waiting))]

    def _answer(self, started: float) -> Normalized:
        memory = self._memory
        now = self._waiting[0]
        size = now.frame.size
        if memory.size not in (None, size):  # the remembered joints are in pixels of another frame size
            memory.joints = JointMemory()
            memory.past.clear()
        smoothed, steady = self._smoothed_by_median() if self._config.look_ahead_frames else (now.table, False)
        self._waiting.popleft()
        passed_seconds = 0.0 if memory.time_s is None else now.time_s - memory.time_s
        memory.past.append((now.time_s, now.table))
        while len(memory.past) > self._past_frames:
            memory.past.popleft()
        memory.sequence, memory.time_s, memory.size = now.frame.sequence, now.time_s, size

        seen = smoothed[:, 2] > 0
        held = self._remember(smoothed, seen, now.time_s, size, steady=steady)
        sighted = _pose_of(memory.joints.table, seen) if seen.any() else None
        kept = self._place(sighted, size, passed_seconds)
        placing = memory.placing
        held_joints = int(np.count_nonzero(held))
        whole = _pose_of(memory.joints.table, seen | held) if held_joints else sighted
        pose = None
        if placing is not None and whole is not None:
            pose = apply_transform(whole, placing.anchor, size, self._config.target_size, placing.used)
        return Normalized(
            sequence=now.frame.sequence,
            pose=pose,
            transform=None if placing is None else placing.used,
            calibrating=memory.source.running is not None,
            certainty=memory.source.certainty,
            retargeting=None if placing is None else placing.wanted,
            transform_kept=kept,
            held_joints=held_joints,
            source_body=memory.source.stats,
            state_after=to_bytes(memory, self._fingerprint),
            compute_seconds=time.perf_counter() - started,
        )

    def _smoothed_by_median(self) -> tuple[Table, bool]:
        """Return the first waiting frame's table, smoothed by the median over a symmetric window.

        The window narrows near the ends of the stream and of gaps in time: an asymmetric one would shift the motion. A
        neighbour without a person is left out together with the one opposite, so a person between two gaps is kept.
        Also returned: False if the frame rate is too low for any median, so that another filter is needed.
        """
        now = self._waiting[0]
        rules = self._config.rules

        def near(time_s: float) -> bool:
            return abs(time_s - now.time_s) <= rules.median_window_seconds

        past = [entry for entry in self._memory.past if near(entry[0])]
        following = [
            (waiting.time_s, waiting.table)
            for waiting in islice(self._waiting, 1, self._config.look_ahead_frames + 1)
            if waiting.frame.size == now.frame.size
        ]
        later = [entry for entry in following if near(entry[0])]
        rate_hz = self._config.frame_rate_hz
        if rate_hz == 0 and self._memory.past and following:
            first, last = (past or self._memory.past)[0], (later or following)[-1]
            rate_hz = (max(len(past), 1) + max(len(later), 1)) / (last[0] - first[0])
        wanted = window_half_frames(rate_hz, rules.median_window_seconds)
        half = min(wanted, len(past), len(later))
        if half == 0:
            return now.table, rate_hz == 0 or wanted > 0
        pairs = [(past[-distance][1], later[distance - 1][1]) for distance in range(1, half + 1)]
        if now.table.any():
            pairs = [(before, after) for before, after in pairs if before.any() and after.any()]
        return centred_median([now.table, *(table for pair in pairs for table in pair)]), True

    def _remember(self, smoothed: Table, seen: Mask, time_s: float, size: FrameSize, *, steady: bool) -> Mask:
        """Update the joints' memory to this frame, and return `[J]` bool: which unseen joints are held.

        steady: the joints are already smooth and need no filter.
        """
        rules = self._config.rules
        joints = self._memory.joints
        away_seconds = time_s - joints.seen_at_s
        known = (joints.table[:, 2] > 0) & (away_seconds <= rules.forget_seconds)
        table, speed = smoothed.copy(), np.zeros_like(joints.speed)
        again, away = seen & known, ~seen & known
        if not steady and again.any():
            which: Mask | slice = slice(None) if again.all() else again  # equivalent, and faster
            table[which, :2], speed[which] = one_euro(
                smoothed[which, :2],
                joints.table[which, :2],
                joints.speed[which],
                away_seconds[which],
                size.height_px,
                rules,
            )
        if away.any():
            table[away], speed[away] = joints.table[away], joints.speed[away]
            for hand, wrist in _HANDS:
                # A held hand moves with its wrist; otherwise it would float in the air.
                if again[wrist]:
                    table[hand, :2][away[hand]] += table[wrist, :2] - joints.table[wrist, :2]
        seen_at_s = np.where(seen, time_s, np.where(away, joints.seen_at_s, 0.0))
        self._memory.joints = JointMemory(table, speed, seen_at_s)
        return away & (away_seconds <= rules.hold_seconds)

    def _place(self, sighted: Pose | None, size: FrameSize, passed_seconds: float) -> bool:
        """Find this frame's transform; return whether the last one is kept. sighted: the visible joints, smoothed."""
        memory = self._memory
        memory.easing.pass_time(passed_seconds, self._config.rules.ease_seconds, memory.source.certainty)
        measure = None if sighted is None else measure_body(sighted, size)
        if measure is None:
            if memory.placing is None and self._config.source_body is not None:
                memory.placing = self._assumed(self._config.source_body, size)
            return memory.placing is not None
        if self._config.source_body is not None:
            wanted = self._retarget(measure, self._config.source_body, size)
            memory.placing = Placing(measure, wanted, wanted.transform)
            return False
        before = memory.source.stats
        memory.source.update(measure)
        after = memory.source.stats
        assert after is not None  # it has just received a measure
        if before is not None and memory.placing is not None:
            if before.on_the_spot and not after.on_the_spot:
                memory.easing.trust = 0.0  # the certainty was about a body on one spot, not about this depth
            last = memory.placing.anchor
            memory.easing.change(self._trusted(last, before, size)[1], self._trusted(last, after, size)[1])
        wanted, transform = self._trusted(measure, after, size)
        memory.placing = Placing(measure, wanted, memory.easing.eased(transform))
        return False

    def _trusted(self, measure: BodyMeasure, body: BodyStats, size: FrameSize) -> tuple[Retargeting, Transform]:
        """Return the retargeting by the running stats, and its transform blended with one-spot dancing by trust."""
        wanted = self._retarget(measure, body, size)
        if wanted.on_the_spot:
            return wanted, wanted.transform
        spot = self._retarget(measure, on_one_spot(body), size)
        return wanted, between(spot.transform, wanted.transform, self._memory.easing.trust)

    def _assumed(self, body: BodyStats, size: FrameSize) -> Placing:
        """Return the placing before any feet were seen: the given body's near position, at its median hips."""
        anchor = BodyMeasure(body.near_ankle_y, body.near_ankle_y, body.near_height, body.hip_x)
        wanted = self._retarget(anchor, body, size)
        return Placing(anchor, wanted, wanted.transform)

    def _retarget(self, measure: BodyMeasure, body: BodyStats, size: FrameSize) -> Retargeting:
        return retarget(measure, body, self._config.target_body, size, self._config.target_size)


def _pose_of(table: Table, shown: Mask) -> Pose:
    return Pose(table[:, :2], np.where(shown, table[:, 2], 0))
