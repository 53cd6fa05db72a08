"""`Session`: one Transfer stream, and all state that belongs to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from motion.frame import FrameSize, PictureEncoding
from orchestrator.config import SessionAccepted, SessionConfig
from orchestrator.pipeline.in_flight_frame import Passage
from orchestrator.pipeline.link import LinkEnded, run_together
from orchestrator.pipeline.play import Door, Stage, play
from orchestrator.session.checkpoint import SessionState
from orchestrator.settings import LARGEST_PICTURES_BYTES, OrchestratorSettings
from orchestrator.stage_calls.connections import Connections
from orchestrator.stage_calls.patience import Patience
from orchestrator.stages.checkpoint import CheckpointStage
from orchestrator.stages.encode import EncodeStage
from orchestrator.stages.face import FaceStage
from orchestrator.stages.generator import GeneratorStage, ensure_actor
from orchestrator.stages.label_map import LabelMapStage
from orchestrator.stages.normalize import NormalizeStage
from orchestrator.stages.pose import PoseStage
from orchestrator.stages.previous_picture import NOTHING_RECALLED, Recalled
from serving.actors.store import Actor, ActorStore
from serving.errors import BadInput, DanceError, StageError, StageTimeout
from serving.observability import metrics

_DEPTH: Final = 2
"""Of every link: what lies there waits, and nobody works on it. docs/decisions/0005-frames-in-flight.md."""


class Client(Protocol):
    """The other end of a session."""

    async def next_frame(self, seconds: float) -> Passage:
        """Raises LinkEnded after the last frame, StageTimeout when none comes in time, BadInput."""
        ...

    async def answer(self, passage: Passage) -> None:
        """Raises StageTimeout when the client does not take it in time."""
        ...

    def stop(self) -> None:
        """No frame is taken any more: `next_frame` raises LinkEnded."""
        ...

    async def drain(self, checkpoint: bytes, next_sequence: int) -> None:
        """The last word of a server that goes away. Raises StageTimeout."""
        ...


async def feed(
    door: Door, next_frame: Callable[[float], Awaitable[Passage]], idle_seconds: float, owed: Callable[[], bool]
) -> None:
    """Puts a client's frames into the door. What is wrong with the client is told behind its earlier frames.

    owed: whether an answer is on its way that needs nothing more from the client. It may be silent then.
    """
    try:
        while True:
            try:
                passage = await next_frame(idle_seconds)
            except StageTimeout:
                if owed():
                    continue
                raise
            await door.link.put(passage)
    except SessionDrained:
        pass  # the door stays open: what waits for a look-ahead is not to be answered without it
    except (LinkEnded, DanceError) as ending:
        door.link.fail(ending)


class SessionDrained(Exception):
    """The server goes away, and the frames on their way have been answered."""


@dataclass(frozen=True, slots=True)
class Threads:
    """For label maps, for encoding, and for the disk: what waits for one of them holds up none of the others."""

    draw: Executor
    encode: Executor
    disk: Executor


@asynccontextmanager
async def lasting(seconds: float) -> AsyncIterator[None]:
    """A stream of a client, which may last so long. Raises StageTimeout of "session"."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise StageTimeout("session", None, f"a session may last {seconds:g} s") from error


def check_answers(config: SessionConfig, actor: Actor) -> None:
    """Raises BadInput where an answer could be larger than a message may be. A JPEG never is."""
    largest_bytes = 0
    stage_bytes = actor.crop.out_width_px * actor.crop.out_height_px * 3
    if config.output.encoding is not PictureEncoding.JPEG:
        frame_bytes = actor.frame_size.width_px * actor.frame_size.height_px * 3
        largest_bytes += frame_bytes if config.output.full_frame else stage_bytes
    if config.returns.label_map:
        largest_bytes += stage_bytes
    if config.checkpoint_every_frames:
        largest_bytes += stage_bytes
    if largest_bytes > LARGEST_PICTURES_BYTES:
        reason = f"an answer could take {largest_bytes} bytes, at most {LARGEST_PICTURES_BYTES} fit into a message"
        raise BadInput("config.output", f"{reason}; ask for JPEG, or without full_frame, the label map or checkpoints")


class Session:
    """Leads one client's frames through stages of its own. `open`, then `run`, then `close` whatever happened.

    who: a client's name, or the session's id for a client without one; where a canary is served, and the config names
    no version, it decides which one is danced. threads: shared by all sessions. resumed: what to go on from. seal:
    makes a checkpoint of a state.
    """

    def __init__(
        self,
        config: SessionConfig,
        client: Client,
        *,
        who: str,
        settings: OrchestratorSettings,
        connections: Connections,
        actors: ActorStore,
        threads: Threads,
        resumed: SessionState | None,
        seal: Callable[[SessionState, SessionConfig], bytes],
    ) -> None:
        self._config = config
        self._who = who
        self._resumed = resumed
        self._seal = seal
        self._client = client
        self._settings = settings
        self._connections = connections
        self._actors = actors
        self._threads = threads
        self._stages: list[Stage] = []
        self._streams: list[PoseStage | NormalizeStage] = []
        self._in_flight = 0
        in_flight = settings.live_frames_in_flight if config.live else settings.lossless_frames_in_flight
        self._max_in_flight = config.look_ahead_frames + in_flight
        # LIVE: a frame that lies here only grows old.
        depth = 1 if config.live else _DEPTH
        self._door = Door(depth=depth, in_flight=self._max_in_flight, live=config.live)
        self._actor: Actor | None = None
        self._last: Passage | None = None
        self._ending = asyncio.Event()  # by drain, or by the last answer
        self._stirred = asyncio.Event()
        self._stopped = self._over = False

    async def open(self) -> SessionAccepted:
        """Loads the actor everywhere and opens the stages' streams; pose's waits for the first picture.

        A pose backend or a rule for the dancer that not every pose service serves is asked for at once. Raises
        ActorNotFound, ActorUnusable, BadInput for answers that would be too large, NotServed, StageError.
        """
        settings, config = self._settings, self._config
        loop = asyncio.get_running_loop()
        disk = self._threads.disk
        self._actor = actor = await loop.run_in_executor(disk, self._chosen_actor)
        check_answers(config, actor)
        plate = await loop.run_in_executor(disk, actor.read_plate) if config.output.full_frame else None
        precision = await self._loaded_actor()
        dancer_at = None if self._resumed is None else self._resumed.dancer_at
        pose = PoseStage(self._connections.pose, config.pose, settings, live=config.live, dancer_at=dancer_at)
        state = b"" if self._resumed is None else self._resumed.normalize_state
        normalize = NormalizeStage(self._connections.normalize, config, actor, settings, state)
        self._streams = [pose, normalize]
        await normalize.open()
        if config.pose.asks_for_more:
            await pose.open()
        at_once = 2
        self._stages = [
            pose,
            normalize,
            LabelMapStage(actor, self._threads.draw, at_once=at_once),
            GeneratorStage(
                self._connections.triton,
                self._ensure_actor,
                actor,
                settings,
                self._recalled(actor),
                keeps_label_maps=config.returns.label_map,
            ),
        ]
        if actor.face is not None:
            self._stages.append(FaceStage(self._connections.face, actor, settings, at_once=at_once))
        self._stages.append(EncodeStage(config, actor, plate, self._threads.encode, at_once=at_once))
        if config.checkpoint_every_frames:
            every_frames = config.checkpoint_every_frames
            self._stages.append(CheckpointStage(self._checkpoint, every_frames, self._threads.encode))
        self._config = replace(config, actor_version=actor.version, pose=pose.config)
        return SessionAccepted(
            config=self._config,
            max_frames_in_flight=self._max_in_flight,
            max_frame_side_px=settings.max_frame_side_px,
            max_frame_bytes=settings.max_frame_bytes,
            stage_size=FrameSize(actor.crop.out_width_px, actor.crop.out_height_px),
            full_frame_size=actor.frame_size,
            generator_precision=precision,
        )

    async def run(self) -> None:
        """Answers every frame of the client, in order, until it sends no more, or `drain` was called.

        Raises StageError after the frames that were already past that stage, BadInput after the frames before the bad
        one, StageTimeout for a client that falls silent or does not take its answers.
        """
        renewing = asyncio.create_task(self._keep_actor(), name="keeping the actor loaded")
        try:
            async with lasting(self._settings.session_seconds):
                await run_together(self._feed(), self._play(), self._drained())
        except SessionDrained:
            await self._say_goodbye()
        finally:
            renewing.cancel()
            await asyncio.wait({renewing})

    def drain(self) -> None:
        """The server goes away: no further frame is taken, those on their way are answered, then `run` ends.

        The client is told where to go on. A session whose client has sent its last frame ends as it would have.
        """
        self._ending.set()

    async def close(self) -> None:
        """Ends the stages' streams; frames without an answer are forgotten."""
        metrics.FRAMES_IN_FLIGHT.dec(self._in_flight)
        self._in_flight = 0
        self._door.link.close()
        for stream in self._streams:
            await stream.close()

    def _chosen_actor(self) -> Actor:
        name = self._config.actor
        version = self._config.actor_version if self._resumed is None else self._resumed.actor_version
        if version == 0:
            version = self._actors.served(name).version_for(name, self._who)
        return self._actors.load(name, version)

    async def _ensure_actor(self) -> str:
        assert self._actor is not None
        return await ensure_actor(self._connections.agent, self._actor, self._settings.actor_seconds)

    async def _loaded_actor(self) -> str:
        """Asks an agent that is away again, as any other stage."""
        patience = Patience(self._settings.away_seconds)
        while True:
            try:
                return await self._ensure_actor()
            except StageError as error:
                await patience.again(error)

    async def _keep_actor(self) -> None:
        while True:
            await asyncio.sleep(self._settings.renew_actor_seconds)
            # An agent that is away for a moment is no reason to end a session whose actor is loaded.
            with suppress(DanceError):
                await self._ensure_actor()

    def _owes_answers(self) -> bool:
        return self._in_flight > self._config.look_ahead_frames

    async def _feed(self) -> None:
        await feed(self._door, self._next_frame, self._settings.idle_seconds, self._owes_answers)

    async def _play(self) -> None:
        await play(self._door, self._stages, self._deliver, depth=_DEPTH)
        self._over = True
        self._ending.set()
        self._stirred.set()

    async def _drained(self) -> None:
        await self._ending.wait()
        self._client.stop()
        while not self._over:
            # What a look-ahead holds back is not flushed: its answers would not be those of an unbroken session.
            if self._stopped and not self._owes_answers():
                raise SessionDrained
            self._stirred.clear()
            await self._stirred.wait()

    async def _say_goodbye(self) -> None:
        checkpoint, next_sequence = self._config.checkpoint, 0 if self._resumed is None else self._resumed.sequence + 1
        if self._last is not None:
            loop = asyncio.get_running_loop()
            checkpoint = await loop.run_in_executor(self._threads.encode, self._checkpoint, self._last)
            next_sequence = self._last.sequence + 1
        await self._client.drain(checkpoint, next_sequence)

    def _checkpoint(self, passage: Passage) -> bytes:
        return self._seal(SessionState.behind(passage, self._config.actor_version), self._config)

    def _recalled(self, actor: Actor) -> Recalled:
        if self._resumed is None:
            return NOTHING_RECALLED
        picture = self._resumed.recalled.picture
        if picture is not None and picture.shape[:2] != (actor.crop.out_height_px, actor.crop.out_width_px):
            raise BadInput("config.checkpoint", "holds a picture of another size than the actor's")
        return self._resumed.recalled

    async def _next_frame(self, seconds: float) -> Passage:
        try:
            passage = await self._client.next_frame(seconds)
        except LinkEnded:
            if not self._ending.is_set():
                raise
            self._stopped = True
            self._stirred.set()
            raise SessionDrained from None
        self._in_flight += 1
        metrics.FRAMES_IN_FLIGHT.inc()
        return passage

    async def _deliver(self, passage: Passage) -> None:
        await self._client.answer(passage)
        self._door.answered(passage)
        self._last = passage
        self._in_flight -= 1
        metrics.FRAMES_IN_FLIGHT.dec()
        self._stirred.set()
