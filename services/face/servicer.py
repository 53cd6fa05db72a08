"""`dance.v1.FaceService`: protobuf in, protobuf out. All thinking happens in `FaceRefiner`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import grpc.aio
from dance.v1 import face_pb2, face_pb2_grpc, frame_pb2
from prometheus_client import Histogram

from motion.frame import Picture, PictureEncoding
from services.face.batcher import Batcher
from services.face.refiner import FaceCrop, FaceRefiner
from services.face.settings import FaceSettings
from serving import wire
from serving.errors import BadInput, BadPicture
from serving.names import checked_actor_id
from serving.pictures import decode_picture, encode_picture

BATCH_SIZES = Histogram("dance_face_batch_faces", "Faces that one run of a network had", buckets=(1, 2, 3, 4, 6, 8, 16))


class FaceService(face_pb2_grpc.FaceServiceServicer):
    """Serves `Refine`. See `serving.server.Service`."""

    name: str = "face"
    full_names: tuple[str, ...] = ("dance.v1.FaceService",)

    def __init__(self, settings: FaceSettings, refiner: FaceRefiner | None = None) -> None:
        self._refiner = refiner or FaceRefiner.of_folder(
            settings.actors_root,
            device=settings.chosen_device(),
            threads=settings.threads,
            precision=settings.chosen_precision(),
            max_networks=settings.max_networks,
        )
        self._batcher: Batcher[tuple[str, int], FaceCrop, Picture | BadPicture] = Batcher(
            self._refine, max_batch=settings.max_batch, max_waiting=settings.max_waiting
        )

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the servicer."""
        face_pb2_grpc.add_FaceServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]

    async def warm_up(self) -> None:
        """Opens networks and sends a first crop through each."""
        await self._batcher.call(self._refiner.warm_up)

    async def close(self) -> None:
        """Ends the worker thread."""
        await self._batcher.close()

    def ready_facts(self) -> Mapping[str, str | int]:
        """Nothing beyond the ports."""
        return {}

    async def Refine(
        self, request: face_pb2.RefineRequest, context: grpc.aio.ServicerContext
    ) -> face_pb2.RefineResponse:
        """See face.proto. Raises BadInput, BadPicture, ActorNotFound, ActorUnusable and AtCapacity."""
        key = (checked_actor_id(request.actor), request.actor_version)
        if request.actor_version == 0:
            # "The newest" may change between two frames of one session.
            raise BadInput("actor_version", "must be the session's version, not 0")
        crop = FaceCrop(face=_raw(request.face, "face"), label=_raw(request.label, "label"))
        result, compute_seconds, batch_size = await self._batcher.submit(key, crop)
        if isinstance(result, BadPicture):
            raise result
        return face_pb2.RefineResponse(
            face=wire.picture_to_proto(encode_picture(result, PictureEncoding.RAW)),
            compute_seconds=compute_seconds,
            batch_size=batch_size,
        )

    def _refine(self, key: tuple[str, int], crops: Sequence[FaceCrop]) -> list[Picture | BadPicture]:
        BATCH_SIZES.observe(len(crops))
        return self._refiner.refine(*key, crops)


def _raw(message: frame_pb2.Picture, field: str) -> Picture:
    picture = wire.picture_from_proto(message, field=field)
    if picture.encoding is not PictureEncoding.RAW:
        raise BadPicture(f"{field}.encoding", f"must be RAW, got {picture.encoding.value.upper()}")
    return decode_picture(picture, field=field)
