"""`Session`: one Transfer stream, and all state that belongs to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from motion.frame import FrameSize, PictureEncoding
from orchestrator.pipeline.in_flight_frame import NOTHING_RECALLED, InFlightFrame, Recalled
from orchestrator.pipeline.link import run_together
from orchestrator.pipeline.play import Door, Stage, feed, play
from orchestrator.rungs import rungs_for
from orchestrator.session.checkpoint import CheckpointSealer, SessionState
from orchestrator.session.ending import Ending, Phase
from orchestrator.session.ready_sizes import ReadySizes
from orchestrator.session.rung_choice import RungChoice
from orchestrator.session.wardrobes import Wardrobes
from orchestrator.session_config import SessionAccepted, SessionConfig
from orchestrator.settings import LARGEST_PICTURES_BYTES, OrchestratorSettings
from orchestrator.stage_calls.connections import Connections
from orchestrator.stage_calls.failures import StageRetries
from orchestrator.stages.checkpoint import CheckpointStage
from orchestrator.stages.encode import EncodeStage
from orchestrator.stages.face import FaceStage
from orchestrator.stages.generator import GeneratorStage, ensure_actor, warm_up
from orchestrator.stages.label_map import LabelMapStage
from orchestrator.stages.marks import Marks, SessionMark
from orchestrator.stages.normalize import NormalizeStage
from orchestrator.stages.pose import PoseStage
from orchestrator.stages.reference import ReferenceStage
from orchestrator.stages.scene import Scene
from provenance.watermark.server_key import ServerKey
from serving.actors.sizes import picture_sizes
from serving.actors.store import Actor, ActorStore
from serving.errors import BadInput, DanceError, StageError, StageTimeout
from serving.observability import metrics
from serving.process.background import in_background

_DEPTH: Final = 2
"""Of every link: frames in a link only wait. See docs/decisions/0005-frames-in-flight.md."""


class Client(Protocol):
    """The other end of a session.

    name: the client's name, which its checkpoints are bound to. rollout_key: chooses the version when a canary is
    served and the config names none.
    """

    name: str
    rollout_key: str

    async def next_frame(self, seconds: float) -> InFlightFrame | None:
        """Return the next frame; None after the last. Raises StageTimeout when none arrives in time, BadInput."""
        ...

    async def answer(self, frame: InFlightFrame) -> None:
        """Send the answer. Raises StageTimeout when the client does not read it in time."""
        ...

    def stop(self) -> None:
        """Take no more frames: `next_frame` returns None."""
        ...

    async def drain(self, checkpoint: bytes, next_sequence: int) -> None:
        """Tell the client to resume elsewhere, as the last response. Raises StageTimeout."""
        ...


@dataclass(frozen=True, slots=True)
class Threads:
    """One pool each for drawing inputs, encoding and the disk, so a slow one cannot block the others.

    consent: looks at the disk for every frame, which must not wait until another session has read its wardrobe.
    """

    draw: Executor
    encode: Executor
    disk: Executor
    consent: Executor


@dataclass(frozen=True, slots=True)
class SharedResources:
    """The resources that all sessions of one process share. watermark_key: None if no picture gets a watermark."""

    settings: OrchestratorSettings
    connections: Connections
    actors: ActorStore
    wardrobes: Wardrobes
    threads: Threads
    sealer: CheckpointSealer
    watermark_key: ServerKey | None


class _AllAnswered(Exception):
    """Ends the task group of a draining session once every owed answer has been sent."""


@asynccontextmanager
async def lasting(seconds: float) -> AsyncIterator[None]:
    """Limit how long a client's stream may last. Raises StageTimeout of "session"."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise StageTimeout("session", None, f"a session may last {seconds:g} s") from error


def check_answers(config: SessionConfig, actor: Actor) -> None:
    """Raise BadInput if an answer could exceed the message size limit. A JPEG never does."""
    largest_bytes = 0
    crop_pixels = actor.crop.out_width_px * actor.crop.out_height_px
    crop_bytes = crop_pixels * 3
    if config.output.encoding is not PictureEncoding.JPEG:
        pixels = actor.frame_size.width_px * actor.frame_size.height_px if config.output.full_frame else crop_pixels
        largest_bytes += pixels * (4 if config.background.transparent else 3)
    if config.returns.label_map:
        largest_bytes += crop_bytes
    if config.returns.reference:
        largest_bytes += crop_bytes // 3 * 4
    if config.checkpoint_every_frames:
        largest_bytes += crop_bytes
    if largest_bytes > LARGEST_PICTURES_BYTES:
        reason = f"an answer could take {largest_bytes} bytes, at most {LARGEST_PICTURES_BYTES} fit into a message"
        raise BadInput(
            "config.output", f"{reason}; request JPEG, or leave out full_frame, label map, reference or checkpoints"
        )


class Session:
    """Moves one client's frames through its own stages. Call `open`, then `run`, and always `close`.

    ending: the stream's; `Ending.drain` makes `run` end at a frame boundary. resumed: the state to resume from.
    """

    def __init__(
        self,
        config: SessionConfig,
        client: Client,
        shared: SharedResources,
        ending: Ending,
        resumed: SessionState | None,
    ) -> None:
        self._config = config
        self._client = client
        self._shared = shared
        self._ending = ending
        self._resumed = resumed
        self._stages: list[Stage] = []
        self._streams: list[PoseStage | NormalizeStage] = []
        self._in_flight = 0
        settings = shared.settings
        in_flight = settings.live_frames_in_flight if config.live else settings.lossless_frames_in_flight
        self._max_in_flight = config.look_ahead_frames + in_flight
        # LIVE: a frame that waits here only gets older.
        depth = 1 if config.live else _DEPTH
        self._door = Door(depth=depth, in_flight=self._max_in_flight, live=config.live)
        self._actor: Actor | None = None
        self._sizes: ReadySizes | None = None
        self._rungs: RungChoice | None = None
        self._last: InFlightFrame | None = None
        carried = None if resumed is None else resumed.mark
        self._mark = SessionMark(shared.watermark_key, client.name, config, carried)

    async def open(self) -> SessionAccepted:
        """Load the actor everywhere and open the stages' streams.

        The pose stream usually opens at the first picture. It opens here if the session needs a pose backend or a
        dancer rule that not every pose service has. Raises ActorNotFound, ActorUnusable, NoConsent, BadInput for
        answers that would be too large and for a background or a size that the actor or the server does not accept,
        NotServed, StageError.
        """
        settings, connections, config = self._shared.settings, self._shared.connections, self._config
        loop = asyncio.get_running_loop()
        disk = self._shared.threads.disk
        self._actor = actor = await loop.run_in_executor(disk, self._chosen_actor)
        if actor.wardrobe is None:  # there is nothing to return
            config = replace(config, returns=replace(config.returns, reference=False))
        rungs = RungChoice(rungs_for(config, actor), in_flight=self._max_in_flight)
        first = rungs.rungs[0]
        pose_config = replace(config.pose, detail=first.detail, face_and_hands_every_n=first.face_and_hands_every_n)
        config = replace(config, pose=pose_config)
        self._config, self._rungs = config, rungs
        check_answers(config, actor)
        self._sizes = ReadySizes(actor, self._shared.wardrobes, self._warm_up)
        await self._sizes.borrow(rungs.first_size)
        scene = await loop.run_in_executor(disk, Scene, config, actor, settings.background_limits())
        precision = await self._loaded_actor()
        await self._sizes.prepare(rungs.first_size)
        await rungs.prepare_others(self._sizes)
        pose_state, normalize_state = b"", b""
        if self._resumed is not None:
            pose_state, normalize_state = self._resumed.pose_state, self._resumed.normalize_state
        pose = PoseStage(connections.pose, config.pose, settings, live=config.live, state=pose_state)
        normalize = NormalizeStage(connections.normalize, config, actor, settings, normalize_state)
        self._streams = [pose, normalize]
        await normalize.open()
        if config.pose.asks_for_more:
            await pose.open()
        self._stages = [pose, normalize, *self._stateless_stages(actor, scene, self._sizes)]
        self._config = replace(config, actor_version=actor.version, pose=pose.config)
        return SessionAccepted(
            config=self._config,
            max_frames_in_flight=self._max_in_flight,
            max_frame_side_px=settings.max_frame_side_px,
            max_frame_bytes=settings.max_frame_bytes,
            crop_size=FrameSize(actor.crop.out_width_px, actor.crop.out_height_px),
            full_frame_size=actor.frame_size,
            generator_precision=precision,
            rungs=rungs.rungs,
            watermark_key_id=self._mark.key_id,
            consent_sha256=actor.consent.sha256(),
        )

    def _stateless_stages(self, actor: Actor, scene: Scene, sizes: ReadySizes) -> Iterator[Stage]:
        """Yield the stages after normalize, in order. Their services keep no state."""
        settings, connections, threads = self._shared.settings, self._shared.connections, self._shared.threads
        config = self._config
        yield LabelMapStage(actor, threads.draw)
        if sizes.wardrobes:
            limbs = None if self._resumed is None else self._resumed.limbs
            yield ReferenceStage(sizes.wardrobes, threads.draw, limbs)
        yield GeneratorStage(
            connections.triton,
            self._ensure_actor,
            actor,
            settings,
            self._recalled(actor),
            returns=config.returns,
            draws_person=scene.needs_person,
        )
        if actor.face is not None:
            yield FaceStage(connections.face, actor, settings)
        marks = Marks(self._mark, config.label, full_frame=config.output.full_frame)
        yield EncodeStage(config, scene, marks, threads.encode)
        if config.checkpoint_every_frames:
            yield CheckpointStage(self._checkpoint, config.checkpoint_every_frames, threads.encode)

    async def run(self) -> None:
        """Answer every frame of the client, in order, until it half-closes or the server drains.

        Raises StageError after the frames already past that stage, BadInput after the frames before the bad one,
        NoConsent after the frames before the one that came too late, and StageTimeout if the client falls silent or
        does not read its answers.

        When the server drains, no further frame is taken, the frames in flight are answered, and the client is told
        where to resume. If the client has already half-closed, the session ends as it would without a drain.
        """
        settings = self._shared.settings
        feeding = feed(self._door, self._next_frame, settings.idle_seconds, self._owes_answers)
        async with in_background(self._keep_actor(), "keeping the actor loaded"):
            try:
                async with lasting(settings.session_seconds):
                    await run_together(feeding, self._play(), self._drain())
            except _AllAnswered:
                await self._hand_over()
            except StageError:
                await self._check_consent()  # the agent unloads such an actor, maybe before the frames in flight
                raise

    async def close(self) -> None:
        """End the stages' streams and discard unanswered frames."""
        metrics.FRAMES_IN_FLIGHT.dec(self._in_flight)
        self._in_flight = 0
        self._door.link.close()
        for stream in self._streams:
            await stream.close()
        if self._sizes is not None:
            self._sizes.close()

    def _chosen_actor(self) -> Actor:
        name, actors = self._config.actor, self._shared.actors
        version = self._config.actor_version if self._resumed is None else self._resumed.actor_version
        if version == 0:
            version = actors.served(name).version_for(name, self._client.rollout_key)
        return actors.load(name, version)

    async def _check_consent(self) -> None:
        """Raise NoConsent if the actor may no longer be danced, and ActorUnusable if its consents cannot be read."""
        assert self._actor is not None
        check = self._shared.actors.check_consent
        await asyncio.get_running_loop().run_in_executor(self._shared.threads.consent, check, self._actor)

    async def _ensure_actor(self) -> str:
        assert self._actor is not None
        try:
            return await ensure_actor(self._shared.connections.agent, self._actor, self._shared.settings.actor_seconds)
        except DanceError:
            await self._check_consent()  # the agent has noticed first: the client gets our status instead
            raise

    async def _loaded_actor(self) -> str:
        """Call `_ensure_actor` with retries, as for any other stage."""
        retries = StageRetries(self._shared.settings.away_seconds)
        while True:
            try:
                return await self._ensure_actor()
            except StageError as error:
                await retries.again(error)

    async def _keep_actor(self) -> None:
        while True:
            await asyncio.sleep(self._shared.settings.renew_actor_seconds)
            # The actor is loaded: a session does not have to end because the agent is briefly unavailable.
            with suppress(DanceError):
                await self._ensure_actor()

    async def _warm_up(self, size: FrameSize) -> None:
        assert self._actor is not None
        triton, settings = self._shared.connections.triton, self._shared.settings
        seconds, limit = settings.generator_seconds, settings.actor_seconds
        await warm_up(triton, self._actor, size, call_seconds=seconds, within_seconds=limit)

    async def _play(self) -> None:
        await play(self._door, self._stages, self._deliver, depth=_DEPTH)
        self._ending.enter(Phase.FINISHED)

    async def _drain(self) -> None:
        await self._ending.at_least(Phase.DRAINING)
        self._client.stop()
        if await self._ending.at_least(Phase.ANSWERED) is Phase.ANSWERED:
            raise _AllAnswered

    async def _hand_over(self) -> None:
        checkpoint, next_sequence = self._config.checkpoint, 0 if self._resumed is None else self._resumed.sequence + 1
        if self._last is not None:
            loop = asyncio.get_running_loop()
            checkpoint = await loop.run_in_executor(self._shared.threads.encode, self._checkpoint, self._last)
            next_sequence = self._last.sequence + 1
        self._ending.enter(Phase.DRAINED)
        await self._client.drain(checkpoint, next_sequence)

    def _checkpoint(self, frame: InFlightFrame) -> bytes:
        state = SessionState.after(frame, self._config.actor_version, self._mark.payload)
        return self._shared.sealer.seal(state, self._config, self._client.name)

    def _recalled(self, actor: Actor) -> Recalled:
        if self._resumed is None:
            return NOTHING_RECALLED
        picture = self._resumed.recalled.picture
        if picture is not None and FrameSize(picture.shape[1], picture.shape[0]) not in picture_sizes(actor):
            raise BadInput("config.checkpoint", "contains a picture of another size than the actor's")
        return self._resumed.recalled

    async def _next_frame(self, seconds: float) -> InFlightFrame | None:
        frame = await self._client.next_frame(seconds)
        if frame is not None:
            await self._check_consent()
            assert self._rungs is not None
            assert self._actor is not None
            self._rungs.begin(frame)
            self._mark.begin(frame, self._actor)
            self._in_flight += 1
            metrics.FRAMES_IN_FLIGHT.inc()
        elif self._ending.phase is Phase.RUNNING:
            self._door.link.end()
        else:  # the door stays open: frames that wait for their look-ahead must stay unanswered
            self._ending.enter(Phase.INPUT_STOPPED)
            self._note_answered()
        return frame

    async def _deliver(self, frame: InFlightFrame) -> None:
        assert self._rungs is not None
        self._rungs.finish(frame)
        await self._client.answer(frame)
        self._door.answered(frame)
        self._last = frame
        self._in_flight -= 1
        metrics.FRAMES_IN_FLIGHT.dec()
        self._note_answered()

    def _owes_answers(self) -> bool:
        return self._in_flight > self._config.look_ahead_frames

    def _note_answered(self) -> None:
        # Frames that wait for their look-ahead are not flushed: without it their answers would differ from those of an
        # unbroken session.
        if self._ending.phase is Phase.INPUT_STOPPED and not self._owes_answers():
            self._ending.enter(Phase.ANSWERED)
