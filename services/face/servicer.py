"""`dance.v1.FaceService`: protobuf in, protobuf out. `refiner.py` does the work."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc.aio
from dance.v1 import face_pb2, face_pb2_grpc, frame_pb2
from prometheus_client import Counter, Histogram

from motion.frame import Picture, PictureEncoding
from services.face.batcher import Batcher
from services.face.network_cache import FaceNetworks
from services.face.refiner import FaceCrop, FaceNetwork, open_face_network, refine
from services.face.settings import FaceSettings
from serving.actors.actor_id import checked_actor_id
from serving.actors.store import ActorStore
from serving.errors import AtCapacity, BadInput, BadPicture
from serving.observability import metrics
from serving.pictures.codec import decode_picture
from serving.rpc import converters
from serving.rpc.health import Health, follow
from serving.rpc.server import Service

BATCH_SIZES = Histogram("dance_face_batch_faces", "Faces in one run of a network", buckets=(1, 2, 3, 4, 6, 8, 16))

FACES = Counter("dance_face_refinements", "Face crops by result: refined or bad_picture", ["result"])
COMPUTE = Histogram(
    "dance_face_compute_seconds",
    "A face crop's equal share of its batch's run, without waiting",
    buckets=metrics.FRAME_BUCKETS_SECONDS,
)


class FaceService(Service, face_pb2_grpc.FaceServiceServicer):
    """Serves `Refine`. See `serving.rpc.server.Service`."""

    name: str = "face"
    full_names: tuple[str, ...] = ("dance.v1.FaceService",)

    def __init__(self, settings: FaceSettings) -> None:
        self._settings = settings
        self._refined_at_s = -math.inf
        self._batcher: Batcher[FaceNetwork, FaceCrop, Picture | BadPicture] = Batcher(
            _refined, max_batch=settings.max_batch, max_waiting=settings.max_waiting
        )
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="open")
        self._networks = FaceNetworks(
            ActorStore(settings.actors_root),
            partial(open_face_network, device=settings.device, threads=settings.threads, precision=settings.precision),
            # CUDA graphs must not be recorded while another thread computes on the GPU.
            self._batcher.worker if settings.device == "gpu" else self._opener,
            max_networks=settings.max_networks,
            max_waiting=settings.max_waiting,
        )

    def register(self, server: grpc.aio.Server) -> None:
        """See `serving.rpc.server.Service`."""
        face_pb2_grpc.add_FaceServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]

    async def warm_up(self) -> None:
        """Open networks; each refines a first crop."""
        await self._networks.warm_up()

    async def keep_health(self, health: Health) -> None:
        """Report SERVING while the engine refines faces: requested ones, or else a blank one from time to time."""
        await follow(health, self._trouble, every_seconds=self._settings.watch_seconds)

    async def _trouble(self) -> str:
        await self._networks.drop_without_consent()
        limit_seconds = self._settings.stuck_seconds
        if self._batcher.running_seconds() > limit_seconds:
            return f"the engine has been running one batch for more than {limit_seconds:g} s"
        if time.monotonic() - self._refined_at_s < self._settings.canary_seconds:
            return ""
        found = ""
        # If one actor's network fails, another one can still show that the engine works.
        for network in self._networks.networks():
            try:
                async with asyncio.timeout(limit_seconds):
                    await self._batcher.submit(network, network.blank_crop())
            except AtCapacity:
                return ""  # busy: the running batch shows whether it makes progress
            except TimeoutError:
                return f"a blank face was not refined within {limit_seconds:g} s"
            except Exception as error:
                found = f"a blank face cannot be refined: {type(error).__name__}: {error}"
            else:
                self._refined_at_s = time.monotonic()
                return ""
        return found

    async def close(self) -> None:
        """Stop the threads."""
        await self._networks.close()
        await self._batcher.close()
        await asyncio.to_thread(self._opener.shutdown)

    async def Refine(
        self, request: face_pb2.RefineRequest, context: grpc.aio.ServicerContext
    ) -> face_pb2.RefineResponse:
        """See face.proto. Raises BadInput, BadPicture, ActorNotFound, ActorUnusable and AtCapacity."""
        actor_id = checked_actor_id(request.actor)
        if request.actor_version == 0:
            # The newest version may change between two frames of a session.
            raise BadInput("actor_version", "must be the session's version, not 0")
        crop = FaceCrop(face=_raw(request.face, "face"), label=_raw(request.label, "label"))
        network = await self._networks.network(actor_id, request.actor_version)
        result, compute_seconds, batch_size = await self._batcher.submit(network, crop)
        FACES.labels("bad_picture" if isinstance(result, BadPicture) else "refined").inc()
        if isinstance(result, BadPicture):
            raise result
        self._refined_at_s = time.monotonic()
        COMPUTE.observe(compute_seconds)
        # Filled in place: a protobuf constructor copies every message that it is given.
        response = face_pb2.RefineResponse(compute_seconds=compute_seconds, batch_size=batch_size)
        response.face.encoding = frame_pb2.PICTURE_ENCODING_RAW
        response.face.height_px, response.face.width_px = result.shape[:2]
        response.face.data = result.tobytes()
        return response


def _refined(network: FaceNetwork, crops: Sequence[FaceCrop]) -> list[Picture | BadPicture]:
    BATCH_SIZES.observe(len(crops))
    return refine(network, crops)


def _raw(message: frame_pb2.Picture, field: str) -> Picture:
    picture = converters.picture_from_proto(message, field=field)
    if picture.encoding is not PictureEncoding.RAW:
        raise BadPicture(f"{field}.encoding", f"must be RAW, got {picture.encoding.value.upper()}")
    return decode_picture(picture, field=field)
