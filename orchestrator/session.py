"""`Session`: one Transfer stream, and all state that belongs to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Protocol

from motion.frame import FrameSize
from orchestrator.config import SessionAccepted, SessionConfig
from orchestrator.link import LinkEnded, run_together
from orchestrator.passage import Passage
from orchestrator.pipeline import Door, Stage, play
from orchestrator.settings import OrchestratorSettings
from orchestrator.stages.connections import Connections
from orchestrator.stages.encode import EncodeStage
from orchestrator.stages.face import FaceStage
from orchestrator.stages.generator import GeneratorStage, ensure_actor
from orchestrator.stages.label_map import LabelMapStage
from orchestrator.stages.normalize import NormalizeStage
from orchestrator.stages.pose import PoseStage
from serving import telemetry
from serving.actors import ActorStore
from serving.errors import DanceError, StageTimeout


class Client(Protocol):
    """The other end of a session."""

    async def next_frame(self, seconds: float) -> Passage:
        """Raises LinkEnded after the last frame, StageTimeout when none comes in time, BadInput."""
        ...

    async def answer(self, passage: Passage) -> None:
        """Raises StageTimeout when the client does not take it in time."""
        ...


async def feed(
    door: Door, next_frame: Callable[[float], Awaitable[Passage]], idle_seconds: float, in_flight: Callable[[], int]
) -> None:
    """Puts a client's frames into the door. What is wrong with the client is told behind its earlier frames."""
    try:
        while True:
            try:
                passage = await next_frame(idle_seconds)
            except StageTimeout:
                if in_flight() > 0:
                    continue  # it waits for us
                raise
            await door.link.put(passage)
    except (LinkEnded, DanceError) as ending:
        door.link.fail(ending)


class Session:
    """Leads one client's frames through stages of its own. `open`, then `run`, then `close` whatever happened.

    threads: for drawing and encoding, shared by all sessions.
    """

    def __init__(
        self,
        config: SessionConfig,
        client: Client,
        *,
        settings: OrchestratorSettings,
        connections: Connections,
        actors: ActorStore,
        threads: Executor,
    ) -> None:
        self._config = config
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
        self._depth = config.look_ahead_frames + 2
        # LIVE: a frame that lies here only grows old.
        self._door = Door(depth=1 if config.live else self._depth, in_flight=self._max_in_flight, live=config.live)

    async def open(self) -> SessionAccepted:
        """Loads the actor everywhere and opens the stages' streams.

        Raises ActorNotFound, ActorUnusable, BadInput for a bad actor id, StageError.
        """
        settings, config = self._settings, self._config
        loop = asyncio.get_running_loop()
        actor = await loop.run_in_executor(self._threads, self._actors.load, config.actor, config.actor_version)
        plate = await loop.run_in_executor(self._threads, actor.read_plate) if config.output.full_frame else None
        precision = await ensure_actor(self._connections.agent, actor, settings.actor_seconds)
        pose = PoseStage(self._connections.pose, config.pose, settings, live=config.live)
        normalize = NormalizeStage(self._connections.normalize, config, actor, settings)
        self._streams = [pose, normalize]
        await run_together(pose.open(), normalize.open())
        at_once = 2
        self._stages = [
            pose,
            normalize,
            LabelMapStage(actor, self._threads, at_once=at_once),
            GeneratorStage(self._connections.triton, actor, settings),
        ]
        if actor.face is not None:
            self._stages.append(FaceStage(self._connections.face, actor, settings, at_once=at_once))
        self._stages.append(EncodeStage(config, actor, plate, self._threads, at_once=at_once))
        self._config = replace(config, actor_version=actor.version, pose=pose.config)
        return SessionAccepted(
            config=self._config,
            max_frames_in_flight=self._max_in_flight,
            max_frame_side_px=settings.max_frame_side_px,
            max_frame_bytes=settings.max_frame_bytes,
            stage_size=FrameSize(actor.stage.out_width_px, actor.stage.out_height_px),
            full_frame_size=actor.frame_size,
            generator_precision=precision,
        )

    async def run(self) -> None:
        """Answers every frame of the client, in order, until it sends no more.

        Raises StageError after the frames that were already past that stage, BadInput after the frames before the bad
        one, StageTimeout for a client that falls silent or does not take its answers.
        """
        try:
            async with asyncio.timeout(self._settings.session_seconds):
                await run_together(
                    feed(self._door, self._next_frame, self._settings.idle_seconds, lambda: self._in_flight),
                    play(self._door, self._stages, self._deliver, depth=self._depth),
                )
        except TimeoutError as error:
            raise StageTimeout("client", None, f"a session may last {self._settings.session_seconds:g} s") from error

    async def close(self) -> None:
        """Ends the stages' streams; frames without an answer are forgotten."""
        telemetry.FRAMES_IN_FLIGHT.dec(self._in_flight)
        self._in_flight = 0
        self._door.link.close()
        for stream in self._streams:
            await stream.close()

    async def _next_frame(self, seconds: float) -> Passage:
        passage = await self._client.next_frame(seconds)
        self._in_flight += 1
        telemetry.FRAMES_IN_FLIGHT.inc()
        return passage

    async def _deliver(self, passage: Passage) -> None:
        await self._client.answer(passage)
        self._door.answered(passage)
        self._in_flight -= 1
        telemetry.FRAMES_IN_FLIGHT.dec()
