"""Actors on disk: `<root>/<id>/<version>/` with actor.json, generator.onnx, face.onnx and plate.png.

An actor is data only; nothing in it is executed. Versions are whole numbers from 1, which are also Triton's. Publishing
writes a temporary folder and renames it, so nothing half written is ever seen. `<root>/<id>/serving.json`, where there
is one, says which versions are served: `serving.rollout`.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from motion.body import BodyStats
from motion.face_region import FaceRule
from motion.frame import EncodedPicture, FrameSize, Picture, PictureEncoding
from motion.labelmap import LABEL_MAP_VERSION
from motion.stage import Stage
from serving.errors import ActorNotFound, ActorUnusable, BadPicture
from serving.names import checked_actor_id, is_actor_id
from serving.pictures import PictureLimits, decode_picture
from serving.rollout import SERVING_FILE, Served, gated, read_served, write_served

FORMAT: Final = 1
GENERATOR_FILE: Final = "generator.onnx"
FACE_FILE: Final = "face.onnx"
PLATE_FILE: Final = "plate.png"
METADATA_FILE: Final = "actor.json"
_PLATE_LIMITS: Final = PictureLimits(max_side_px=8192, max_bytes=256 * 2**20)


Padding = Literal["reflection", "zeros"]


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """The size of a global generator (pix2pixHD): its first layer's channels, its downsamplings, its residual blocks.

    plate: whether it draws onto a background plate (a fourth output is the opacity).
    enhanced: whether a local enhancer around it doubles its size; the other numbers are those of the part inside.
    padding: of the convolutions that halve the size. pix2pixHD pads them by zeros; all others are padded by reflection.
    Raises ValueError for another padding.
    """

    base_channels: int
    downsamplings: int
    blocks: int
    plate: bool = False
    enhanced: bool = False
    padding: Padding = "reflection"

    def __post_init__(self) -> None:
        if self.padding not in get_args(Padding):
            raise ValueError(f"padding is {' or '.join(get_args(Padding))}, got {self.padding!r}")

    def to_dict(self) -> dict[str, Any]:
        """For actor.json. A padding by reflection is left out: earlier releases know no other, and no such field."""
        values = asdict(self)
        if self.padding == "reflection":
            del values["padding"]
        return values


@dataclass(frozen=True, kw_only=True)
class Actor:
    """One version of an actor: everything but the weights themselves.

    frame_size, frame_rate_hz: of the actor's footage, whose pixels `stage` and `body` refer to.
    trained, scores: records for people to read; nothing here depends on them.
    """

    id: str
    version: int
    folder: Path
    label_map_version: int
    stage: Stage
    frame_size: FrameSize
    frame_rate_hz: float
    body: BodyStats
    face_rule: FaceRule
    generator: NetworkShape
    face: NetworkShape | None
    preset: str
    trained: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    consent: str = ""

    @property
    def generator_path(self) -> Path:
        """The body generator's network."""
        return self.folder / GENERATOR_FILE

    @property
    def face_path(self) -> Path:
        """The face network; there is such a file only where `face` is not None."""
        return self.folder / FACE_FILE

    @property
    def plate_path(self) -> Path:
        """The empty stage, at the footage's full size."""
        return self.folder / PLATE_FILE

    def read_plate(self) -> Picture:
        """`[H, W, 3]` uint8 RGB of the footage's size. Raises ActorUnusable."""
        size = self.frame_size
        try:
            data = self.plate_path.read_bytes()
            plate = EncodedPicture(PictureEncoding.PNG, size.width_px, size.height_px, data)
            return decode_picture(plate, _PLATE_LIMITS, field=PLATE_FILE)
        except OSError as error:
            reason = f"{PLATE_FILE} cannot be read: {error.strerror}"
        except BadPicture as error:
            reason = str(error)
        raise ActorUnusable(f"actor {self.id} version {self.version}: {reason}")


class ActorStore:
    """A folder of actors. Reading never writes; publishing is atomic."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def ids(self) -> list[str]:
        """The ids of all actors with at least one version, sorted. Folders that no actor can be named are passed by."""
        if not self.root.is_dir():
            return []
        folders = [entry for entry in self.root.iterdir() if is_actor_id(entry.name) and entry.is_dir()]
        return sorted(folder.name for folder in folders if self._versions_in(folder))

    def versions(self, actor_id: str) -> list[int]:
        """The versions of one actor, oldest first; empty where there is no such actor. Raises BadInput for a bad id."""
        return self._versions_in(self.root / checked_actor_id(actor_id))

    def load(self, actor_id: str, version: int = 0) -> Actor:
        """One version of an actor; version 0 is the one that is served, see `served`.

        Raises BadInput for a name that is no actor id, ActorNotFound, and ActorUnusable for damaged or missing files,
        for another label-map version, and for version 0 where none is served.
        """
        versions = self._known_versions(actor_id)
        if version == 0:
            version = read_served(self.root / actor_id, versions).version
            if version == 0:
                known = ", ".join(map(str, versions))
                raise ActorUnusable(f"actor {actor_id!r}: {SERVING_FILE} serves no version; there are: {known}")
        self._check_known(actor_id, version, versions)
        actor = _read(actor_id, version, self.root / actor_id / str(version))
        if actor.label_map_version != LABEL_MAP_VERSION:
            raise ActorUnusable(
                f"actor {actor_id!r} version {version} was trained on label maps of version {actor.label_map_version}, "
                f"this server draws version {LABEL_MAP_VERSION}: train it again"
            )
        needed = [actor.generator_path, actor.plate_path, *([actor.face_path] if actor.face else [])]
        missing = [path.name for path in needed if not path.is_file()]
        if missing:
            raise ActorUnusable(f"actor {actor_id!r} version {version} lacks {', '.join(missing)}")
        return actor

    def served(self, actor_id: str) -> Served:
        """Which versions new sessions get: the newest, unless `serve` has said otherwise.

        Raises BadInput for a name that is no actor id, ActorNotFound, and ActorUnusable for a damaged serving.json.
        """
        versions = self._known_versions(actor_id)
        return read_served(self.root / actor_id, versions)

    def serve(self, actor_id: str, served: Served | None) -> None:
        """Says which versions new sessions get; None: the newest, also those to come.

        Raises BadInput for a name that is no actor id, and ActorNotFound for versions that are not there.
        """
        versions = self._known_versions(actor_id)
        for version in () if served is None else served.versions:
            self._check_known(actor_id, version, versions)
        write_served(self.root / actor_id, served)

    def publish(self, actor: Actor, files: Mapping[str, Path], *, serve: bool = True) -> Actor:
        """Copies `files` (name in the actor's folder to source) and actor.json into the next version of `actor.id`.

        serve: whether it is good enough to be served. It then is, unless somebody has said which versions are; else
        what was served before stays so, until a version is published that is good enough.
        `actor.version` and `actor.folder` are ignored; the published actor is returned. Two publishers at once get two
        versions. Raises BadInput for a name that is no actor id.
        """
        home = self.root / checked_actor_id(actor.id)
        home.mkdir(parents=True, exist_ok=True)
        if not serve:
            self._keep_served(home)  # before the newest is there, so that nobody takes it
        partial = home / f".publishing-{uuid.uuid4().hex}"
        partial.mkdir()
        try:
            for name, source in files.items():
                shutil.copyfile(source, partial / name)
            while True:
                version = max(self._versions_in(home), default=0) + 1
                published = replace(actor, version=version, folder=home / str(version))
                (partial / METADATA_FILE).write_text(json.dumps(_to_json(published), indent=2) + "\n")
                try:
                    partial.rename(published.folder)
                except OSError:
                    if not published.folder.exists():
                        raise
                    continue  # another publisher was faster: take the next number
                if serve:
                    self._take_over(home, version)
                return published
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _keep_served(self, home: Path) -> None:
        if not (home / SERVING_FILE).exists():
            versions = self._versions_in(home)
            now = read_served(home, versions) if versions else Served(0)
            write_served(home, replace(now, by_gate=True))

    def _take_over(self, home: Path, version: int) -> None:
        # Of a damaged file every session is told; what was trained is published all the same.
        with suppress(ActorUnusable):
            now = read_served(home, self._versions_in(home))
            if now.by_gate:
                write_served(home, gated(now, version))

    def _known_versions(self, actor_id: str) -> list[int]:
        versions = self.versions(actor_id)
        if not versions:
            known = ", ".join(self.ids()) or "none"
            raise ActorNotFound(f"there is no actor {actor_id!r}; there are: {known}")
        return versions

    @staticmethod
    def _check_known(actor_id: str, version: int, versions: list[int]) -> None:
        if version not in versions:
            known = ", ".join(map(str, versions))
            raise ActorNotFound(f"actor {actor_id!r} has no version {version}; it has: {known}")

    @staticmethod
    def _versions_in(home: Path) -> list[int]:
        if not home.is_dir():
            return []
        return sorted(int(e.name) for e in home.iterdir() if e.name.isdecimal() and (e / METADATA_FILE).is_file())


def _to_json(actor: Actor) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "id": actor.id,
        "version": actor.version,
        "label_map_version": actor.label_map_version,
        "keypoint_format": "BODY_25+FACE_70+HAND_21x2",
        "stage": actor.stage.to_dict(),
        "frame_size": asdict(actor.frame_size),
        "frame_rate_hz": actor.frame_rate_hz,
        "body": actor.body.to_dict(),
        "face_rule": asdict(actor.face_rule),
        "generator": actor.generator.to_dict(),
        "face": actor.face.to_dict() if actor.face else None,
        "preset": actor.preset,
        "trained": actor.trained,
        "scores": actor.scores,
        "consent": actor.consent,
    }


def _read(actor_id: str, version: int, folder: Path) -> Actor:
    where = f"actor {actor_id!r} version {version}"
    try:
        stored = json.loads((folder / METADATA_FILE).read_text())
        if stored["format"] != FORMAT:
            raise ActorUnusable(f"{where} is stored in format {stored['format']}, this server reads format {FORMAT}")
        return Actor(
            id=actor_id,
            version=version,
            folder=folder,
            label_map_version=int(stored["label_map_version"]),
            stage=Stage.from_dict(stored["stage"]),
            frame_size=FrameSize(**stored["frame_size"]),
            frame_rate_hz=float(stored["frame_rate_hz"]),
            body=BodyStats.from_dict(stored["body"]),
            face_rule=FaceRule(**stored["face_rule"]),
            generator=NetworkShape(**stored["generator"]),
            face=NetworkShape(**stored["face"]) if stored["face"] else None,
            preset=str(stored["preset"]),
            trained=dict(stored["trained"]),
            scores=dict(stored["scores"]),
            consent=str(stored["consent"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ActorUnusable(f"{where}: {METADATA_FILE} cannot be read: {type(error).__name__} {error}") from error
