"""One version of an actor, and its actor.json: reading, writing and checking.

The files may be damaged, by a disk or by an interrupted copy, so every size is checked before reading. Any fault is an
`ActorUnusable` of that one version; its message names the file and the field, and contains no path.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from motion.body import BodyStats
from motion.crop import Crop
from motion.documents import MOST_BYTES, BadDocument, Fields, check_size, parsed, read_bounded, read_document
from motion.face_region import FaceRule
from motion.frame import EncodedPicture, FrameSize, Picture, PictureEncoding
from motion.wardrobe.pieces import Wardrobe
from motion.wardrobe.storage import MOST_WARDROBE_BYTES, WARDROBE_FILE, read_wardrobe
from serving.actors.actor_id import LAST_VERSION, is_actor_id
from serving.actors.consent import MOST_CONSENT_CHARACTERS, NOT_STATED, ConsentRecord
from serving.actors.preview import PREVIEW_FILE
from serving.actors.wardrobe_facts import WardrobeFacts
from serving.errors import ActorUnusable, BadPicture
from serving.pictures.codec import PictureLimits, decode_picture

FORMAT: Final = 1
FORMAT_WITH_WARDROBE: Final = 2
"""Releases without references refuse it by its number. Other actors keep format 1, so those releases serve them."""
GENERATOR_FILE: Final = "generator.onnx"
FACE_FILE: Final = "face.onnx"
PLATE_FILE: Final = "plate.png"
CROP_PLATE_FILE: Final = "crop_plate.png"
METADATA_FILE: Final = "actor.json"
_PLATE_LIMITS: Final = PictureLimits(max_side_px=8192, max_bytes=256 * 2**20)
_LARGEST_NETWORK_BYTES: Final = 2**31 - 1
"""The limit of a protobuf message; an ONNX file is one."""
_LARGEST_STAGE_PX: Final = 4096
_FARTHEST_PX: Final = 2 * _PLATE_LIMITS.max_side_px
_MOST_CROP_PIXELS: Final = 2 * _PLATE_LIMITS.max_side_px**2
"""The largest crop area in the footage: all of it is drawn before it is cut to the footage's size."""
_FASTEST_HZ: Final = 1e6
_RECORDS: Final = frozenset({"trained", "scores"})
"""Release 0.1.0 wrote infinite numbers there: the PSNR of two identical pictures."""


Padding = Literal["reflection", "zeros"]


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """The size of a global generator (pix2pixHD): channels of the first layer, downsamplings, residual blocks.

    plate: whether it draws onto a background plate, with the opacity as a fourth output.
    enhanced: whether a local enhancer around it doubles its size; the other numbers describe the inner part.
    padding: of the convolutions that halve the size. pix2pixHD pads these with zeros; all other convolutions are padded
    by reflection. Raises ValueError for any other padding.
    reference: whether it takes the actor's moved limbs, drawn from the wardrobe, as a third input.
    """

    base_channels: int
    downsamplings: int
    blocks: int
    plate: bool = False
    enhanced: bool = False
    padding: Padding = "reflection"
    reference: bool = False

    def __post_init__(self) -> None:
        if self.padding not in get_args(Padding):
            raise ValueError(f"padding is {' or '.join(get_args(Padding))}, got {self.padding!r}")

    @property
    def inputs(self) -> int:
        """How many pictures the body's network takes: label map, previous picture, and perhaps the reference."""
        return 3 if self.reference else 2

    def to_dict(self) -> dict[str, Any]:
        """Return the fields for actor.json. Those that earlier releases refuse are left out at their default."""
        values = asdict(self)
        if self.padding == "reflection":
            del values["padding"]
        if not self.reference:
            del values["reference"]
        return values


@dataclass(frozen=True, kw_only=True)
class Actor:
    """One version of an actor: everything except the weights.

    frame_size, frame_rate_hz: of the actor's footage, whose pixels `crop` and `body` refer to.
    trained, scores: records for people to read; nothing that is served depends on them. wardrobe: None for actors that
    are drawn without a reference.
    """

    id: str
    version: int
    folder: Path
    label_map_version: int
    crop: Crop
    frame_size: FrameSize
    frame_rate_hz: float
    body: BodyStats
    face_rule: FaceRule
    generator: NetworkShape
    face: NetworkShape | None
    preset: str
    trained: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    consent: ConsentRecord = field(default_factory=ConsentRecord)
    wardrobe: WardrobeFacts | None = None

    @property
    def is_bare_warp(self) -> bool:
        """Whether its network is untrained and only lays the reference over the plate; to be shown to people."""
        return self.trained.get("bare_warp") is True

    @property
    def generator_path(self) -> Path:
        """The file of the body generator."""
        return self.folder / GENERATOR_FILE

    @property
    def face_path(self) -> Path:
        """The file of the face network; it exists only if `face` is not None."""
        return self.folder / FACE_FILE

    @property
    def plate_path(self) -> Path:
        """The picture of the empty stage, at the footage's full size."""
        return self.folder / PLATE_FILE

    @property
    def wardrobe_path(self) -> Path:
        """The file of the actor's limbs; it exists only if `wardrobe` is not None."""
        return self.folder / WARDROBE_FILE

    @property
    def preview_path(self) -> Path:
        """The moving preview, which many actors lack; see `serving.actors.preview`."""
        return self.folder / PREVIEW_FILE

    @property
    def files(self) -> tuple[Path, ...]:
        """The files beside actor.json: networks, plate and wardrobe."""
        return tuple(_size_limits(self))

    @property
    def size_bytes(self) -> int:
        """The size of all files together, of those that exist."""
        files = (self.folder / METADATA_FILE, *self.files, self.preview_path)
        return sum(path.stat().st_size for path in files if path.is_file())

    def read_wardrobe(self) -> Wardrobe:
        """Return the actor's limbs, of the crop's size. Raises ActorUnusable; ValueError for actors without any."""
        if self.wardrobe is None:
            raise ValueError(f"{self._where} has no wardrobe")
        with unusable(f"{self._where}: {WARDROBE_FILE}"):
            wardrobe = read_wardrobe(self.wardrobe_path)
            size, crop = (wardrobe.width_px, wardrobe.height_px), (self.crop.out_width_px, self.crop.out_height_px)
            if size != crop:
                raise BadDocument(f"is cut for pictures of {size[0]}x{size[1]}, the actor's have {crop[0]}x{crop[1]}")
            if wardrobe.key_frames != self.wardrobe.key_frames:
                expected = f"expected {self.wardrobe.key_frames} as in {METADATA_FILE}"
                raise BadDocument(f"has {wardrobe.key_frames} key frames, {expected}")
        return wardrobe

    @property
    def _where(self) -> str:
        return f"actor {self.id!r} version {self.version}"

    @property
    def draws_person(self) -> bool:
        """Whether the network can return the person alone, with an opacity: networks with a reference do."""
        return self.generator.reference

    def read_plate(self) -> Picture:
        """Return the plate, `[H, W, 3]` uint8 RGB of the footage's size. Raises ActorUnusable."""
        return self._read_picture(PLATE_FILE, self.frame_size)

    def read_crop_plate(self) -> Picture:
        """Return the plate as the network draws it, `[H, W, 3]` uint8 RGB of the network's size. Raises ActorUnusable.

        Where the crop reaches beyond the footage, crop_plate.png shows what was filled in there. Actors without that
        file repeat the plate's edge.
        """
        if not os.path.lexists(self.folder / CROP_PLATE_FILE):
            return self.crop.cut(self.read_plate())
        return self._read_picture(CROP_PLATE_FILE, FrameSize(self.crop.out_width_px, self.crop.out_height_px))

    def _read_picture(self, name: str, size: FrameSize) -> Picture:
        where = self._where
        with unusable(f"{where}: {name}"):
            data = read_bounded(self.folder / name, _PLATE_LIMITS.max_bytes)
        picture = EncodedPicture(PictureEncoding.PNG, size.width_px, size.height_px, data)
        try:
            return decode_picture(picture, _PLATE_LIMITS, field=name)
        except BadPicture as error:
            raise ActorUnusable(f"{where}: {error}") from error


@contextmanager
def unusable(what: str) -> Iterator[None]:
    """Turn errors of reading and checking a file into ActorUnusable. what: the actor and the file, for the message."""
    try:
        yield
    except OSError as error:
        raise ActorUnusable(f"{what} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ActorUnusable(f"{what}: {error}") from error


def check_files(actor: Actor) -> None:
    """Raise ActorUnusable for missing, unreadable or oversized files."""
    limits = _size_limits(actor)
    where = f"actor {actor.id!r} version {actor.version}"
    missing = [path.name for path in limits if not os.path.lexists(path)]
    if missing:
        raise ActorUnusable(f"{where} lacks {', '.join(missing)}")
    for path, most_bytes in limits.items():
        with unusable(f"{where}: {path.name}"):
            check_size(path, most_bytes)


def _size_limits(actor: Actor) -> dict[Path, int]:
    """Return the actor's files beside actor.json, each with its largest size in bytes."""
    limits = {actor.generator_path: _LARGEST_NETWORK_BYTES, actor.plate_path: _PLATE_LIMITS.max_bytes}
    if actor.face:
        limits[actor.face_path] = _LARGEST_NETWORK_BYTES
    if actor.wardrobe:
        limits[actor.wardrobe_path] = MOST_WARDROBE_BYTES
    if os.path.lexists(actor.folder / CROP_PLATE_FILE):
        limits[actor.folder / CROP_PLATE_FILE] = _PLATE_LIMITS.max_bytes
    return limits


def actor_text(actor: Actor) -> str:
    """Return the text of actor.json. Raises ActorUnusable if a reader would refuse it."""
    text = json.dumps(_to_json(actor), indent=2) + "\n"
    where = f"actor {actor.id!r} cannot be published: {METADATA_FILE}"
    if len(text.encode()) > MOST_BYTES:
        raise ActorUnusable(f"{where} would have more than {MOST_BYTES} bytes")
    with unusable(where):
        _actor(Fields.of(parsed(text)), actor.id, actor.version, actor.folder)
    return text


def _to_json(actor: Actor) -> dict[str, Any]:
    return {
        "format": FORMAT if actor.wardrobe is None else FORMAT_WITH_WARDROBE,
        "id": actor.id,
        "version": actor.version,
        "label_map_version": actor.label_map_version,
        "keypoint_format": "BODY_25+FACE_70+HAND_21x2",
        "stage": actor.crop.to_dict(),
        "frame_size": asdict(actor.frame_size),
        "frame_rate_hz": actor.frame_rate_hz,
        "body": actor.body.to_dict(),
        "face_rule": asdict(actor.face_rule),
        "generator": actor.generator.to_dict(),
        "face": actor.face.to_dict() if actor.face else None,
        "wardrobe": actor.wardrobe.to_dict() if actor.wardrobe else None,
        "preset": actor.preset,
        "trained": _storable(actor.trained),
        "scores": _storable(actor.scores),
        "consent": actor.consent.text if actor.consent.is_stated else NOT_STATED,
        "consent_record": actor.consent.to_json(),
    }


def _storable(value: Any) -> Any:
    """Return `value` for JSON: null for a number that is not finite, and escapes for invalid bytes in file names."""
    if isinstance(value, dict):
        return {_storable(name): _storable(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(entry) for entry in value]
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_actor(actor_id: str, version: int, folder: Path) -> Actor:
    """Read and check actor.json. Raises ActorUnusable."""
    where = f"actor {actor_id!r} version {version}"
    with unusable(f"{where}: {METADATA_FILE}"):
        stored = Fields.of(read_document(folder / METADATA_FILE, null_for_infinite_in=_RECORDS))
        format_ = stored.whole("format", 0, LAST_VERSION)
        if format_ not in (FORMAT, FORMAT_WITH_WARDROBE):
            reads = f"{FORMAT} and {FORMAT_WITH_WARDROBE}"
            raise ActorUnusable(f"{where} is stored in format {format_}, this server reads formats {reads}")
        return _actor(stored, actor_id, version, folder)


def _actor(stored: Fields, actor_id: str, version: int, folder: Path) -> Actor:
    """Check all fields. Raises ValueError, naming the field.

    The id and version come from the folder's name, because an actor may have been copied to another folder.
    """
    if not is_actor_id(stored.text("id", 63)):
        raise BadDocument(f"id: expected an actor's id, got {stored.text('id', 63)!a}")
    stored.whole("version", 1, LAST_VERSION)
    generator = _network(stored.part("generator"))
    wardrobe = WardrobeFacts.from_fields(stored.part("wardrobe")) if stored.has("wardrobe") else None
    if generator.reference and wardrobe is None:
        raise BadDocument("wardrobe: is missing, and the network takes a reference")
    if wardrobe is not None and not generator.reference:
        raise BadDocument("wardrobe: expected null, because the network takes no reference")
    frame = stored.part("frame_size")
    frame.only("width_px", "height_px")
    largest_px = _PLATE_LIMITS.max_side_px
    return Actor(
        id=actor_id,
        version=version,
        folder=folder,
        label_map_version=stored.whole("label_map_version", 0, LAST_VERSION),
        crop=_crop(stored.part("stage")),
        frame_size=FrameSize(frame.whole("width_px", 1, largest_px), frame.whole("height_px", 1, largest_px)),
        frame_rate_hz=stored.number("frame_rate_hz", 0, _FASTEST_HZ),
        body=_body(stored.record("body")),
        face_rule=_face_rule(stored.part("face_rule")),
        generator=generator,
        face=_network(stored.part("face")) if stored.has("face") else None,
        preset=stored.text("preset", 200),
        trained=stored.record("trained"),
        scores=stored.record("scores"),
        consent=_consent(stored),
        wardrobe=wardrobe,
    )


def _consent(stored: Fields) -> ConsentRecord:
    """Read the record. The text beside it is checked, and counts only without a record."""
    text = stored.text("consent", MOST_CONSENT_CHARACTERS)
    if stored.has("consent_record"):
        return ConsentRecord.from_json(stored.part("consent_record"))
    return ConsentRecord.of_text(NOT_STATED if "consent_record" in stored.values else text)


def _crop(stored: Fields) -> Crop:
    stored.only("x_px", "y_px", "width_px", "height_px", "out_width_px", "out_height_px")
    crop = Crop(
        x_px=stored.whole("x_px", -_FARTHEST_PX, _FARTHEST_PX),
        y_px=stored.whole("y_px", -_FARTHEST_PX, _FARTHEST_PX),
        width_px=stored.whole("width_px", 1, _FARTHEST_PX),
        height_px=stored.whole("height_px", 1, _FARTHEST_PX),
        out_width_px=stored.whole("out_width_px", 1, _LARGEST_STAGE_PX),
        out_height_px=stored.whole("out_height_px", 1, _LARGEST_STAGE_PX),
    )
    if crop.width_px * crop.height_px > _MOST_CROP_PIXELS:
        size = f"{crop.width_px}x{crop.height_px}"
        raise BadDocument(f"stage: expected at most {_MOST_CROP_PIXELS} pixels of the footage, got {size}")
    return crop


def _body(stored: dict[str, Any]) -> BodyStats:
    try:
        return BodyStats.from_dict(stored)
    except ValueError as error:
        raise BadDocument(f"body: {error}") from error


def _face_rule(stored: Fields) -> FaceRule:
    stored.only("side_per_face_size", "min_side_px", "crop_px")
    side = stored.number("side_per_face_size", 0, 100)
    largest_px = _PLATE_LIMITS.max_side_px
    min_side_px, crop_px = (
        stored.whole("min_side_px", 1, largest_px),
        stored.whole("crop_px", 1, _LARGEST_STAGE_PX, 128),
    )
    try:
        return FaceRule(side, min_side_px, crop_px)
    except ValueError as error:
        raise BadDocument(f"face_rule: {error}") from error


def _network(stored: Fields) -> NetworkShape:
    stored.only("base_channels", "downsamplings", "blocks", "plate", "enhanced", "padding", "reference")
    shape = NetworkShape(
        base_channels=stored.whole("base_channels", 1, 4096),
        downsamplings=stored.whole("downsamplings", 0, 16),
        blocks=stored.whole("blocks", 0, 1024),
        plate=stored.flag("plate", default=False),
        enhanced=stored.flag("enhanced", default=False),
        reference=stored.flag("reference", default=False),
    )
    try:
        return replace(shape, padding=stored.values.get("padding", shape.padding))
    except ValueError as error:
        raise BadDocument(f"{stored.where}{error}") from error
