"""Model cards: small JSON files that describe a pose network's input, outputs and licence.

Networks are not part of this project. A card names a network's file or its address, describes it, and names the
licence that its users accept. `cards/` has examples; docs/poses.md explains every field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, cast, get_args

from motion import skeleton
from motion.documents import BadDocument, Fields, is_number, read_document, shortened
from motion.pose_choice import PoseBackend
from services.pose.models.files import ModelFile
from serving.errors import BadSettings

FORMAT: Final = "dance-pose-model-1"
Runtime = Literal["openvino", "onnxruntime", "opencv"]
_COLOURS: Final = ("BGR", "RGB")
_LAYOUTS: Final = ("NCHW", "NHWC")
_LARGEST_SIDE_PX: Final = 4096
_SHARED_FIELDS: Final = ("format", "about", "backend", "name", "licence", "licence_at", "model", "input", "outputs")
_INPUT_FIELDS: Final = ("name", "layout", "colour", "mean", "deviation")
WHOLE_BODY_POINTS: Final = 133


@dataclass(frozen=True, kw_only=True, slots=True)
class InputFacts:
    """A network's input: floats, `(picture - mean) / deviation` for each channel in the order `colour`."""

    layout: str
    colour: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Limb:
    """Two parts connected by a field, from part `start` to part `end`; `x` and `y` are its channels of the fields."""

    start: int
    end: int
    x: int
    y: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _NetworkCard:
    """The fields that both kinds of card have."""

    backend: ClassVar[PoseBackend]
    name: str
    licence: str
    licence_at: str
    model: ModelFile
    input: InputFacts

    @property
    def licence_notice(self) -> str:
        """One line that names the licence that users of the network accept."""
        licence = f"{self.licence}, {self.licence_at}" if self.licence_at else self.licence
        return f"backend {self.backend.value} uses {self.name}: by using it you accept its licence, {licence}"


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPoseCard(_NetworkCard):
    """A network that outputs confidence maps and part affinity fields.

    short_side_px, longest_side_px: pictures are scaled to this short side, or less if the long side would exceed
    longest_side_px; the aspect ratio is kept. multiple_of: both sides are padded with black to a multiple of this.
    heatmaps, fields: names of the outputs; the same name if one output holds the maps of all parts, the background's
    map, then the fields.
    parts: each part's index in BODY_25, in the order of the maps. limbs: in indices of parts and channels of fields.
    """

    backend = PoseBackend.OPENPOSE
    structure: ModelFile | None
    runtime: Runtime
    short_side_px: int
    longest_side_px: int
    multiple_of: int
    heatmaps: str
    fields: str
    parts: tuple[int, ...]
    limbs: tuple[Limb, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorFacts:
    """A network that detects people.

    boxes: the output `[1, N, 5]`: left, top, right, bottom in pixels of its input, score. labels: the output `[1, N]`,
    where `person_label` marks people; "" if it detects only people. side_px: of its square input.
    """

    model: ModelFile
    input: InputFacts
    side_px: int
    boxes: str
    labels: str
    person_label: int
    min_score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RtmPoseCard(_NetworkCard):
    """A top-down network with two one-dimensional maps per point (SimCC), and an optional detector.

    width_px, height_px: of its input. split: bins of a map per input pixel. detector: without one, the whole first
    frame is searched, and later frames where the people of the previous frame were.
    """

    backend = PoseBackend.RTMPOSE
    width_px: int
    height_px: int
    simcc_x: str
    simcc_y: str
    split: float
    min_confidence: float
    detector: DetectorFacts | None


ModelCard = OpenPoseCard | RtmPoseCard


def read_card(path: Path) -> ModelCard:
    """Read the card at `path`. Raises BadSettings, which names the field and the expected value."""
    try:
        document = read_document(path)
    except OSError as error:
        raise BadSettings(str(path), f"the model card cannot be read: {error.strerror}") from error
    except BadDocument as error:
        raise BadSettings(str(path), f"the model card {error}") from error
    if not isinstance(document, dict):
        raise BadSettings(str(path), "the model card must be a JSON object")
    try:
        return _card(Fields(document), path.parent)
    except BadDocument as error:
        raise BadSettings(str(path), str(error)) from error


def _card(card: Fields, folder: Path) -> ModelCard:
    _one_of(card, "format", (FORMAT,))
    backend = _one_of(card, "backend", (PoseBackend.OPENPOSE.value, PoseBackend.RTMPOSE.value))
    read = _openpose if backend == PoseBackend.OPENPOSE.value else _rtmpose
    facts = card.part("input")
    shared = {
        "name": _text(card, "name"),
        "licence": _text(card, "licence"),
        "licence_at": _text(card, "licence_at", ""),
        "model": _file(card.part("model"), folder),
        "input": _input(facts),
    }
    return read(card, facts, card.part("outputs"), folder, shared)


def _openpose(card: Fields, facts: Fields, outputs: Fields, folder: Path, shared: dict[str, Any]) -> ModelCard:
    card.only(*_SHARED_FIELDS, "structure", "runtime", "parts", "limbs")
    facts.only(*_INPUT_FIELDS, "short_side_px", "longest_side_px", "multiple_of")
    outputs.only("heatmaps", "pafs")
    parts = _parts(card)
    return OpenPoseCard(
        **shared,
        structure=_file(card.part("structure"), folder) if "structure" in card.values else None,
        runtime=cast("Runtime", _one_of(card, "runtime", get_args(Runtime))),
        short_side_px=facts.whole("short_side_px", 64, _LARGEST_SIDE_PX),
        longest_side_px=facts.whole("longest_side_px", 64, _LARGEST_SIDE_PX),
        multiple_of=facts.whole("multiple_of", 1, 256),
        heatmaps=_text(outputs, "heatmaps"),
        fields=_text(outputs, "pafs"),
        parts=parts,
        limbs=_limbs(card, parts),
    )


def _rtmpose(card: Fields, facts: Fields, outputs: Fields, folder: Path, shared: dict[str, Any]) -> ModelCard:
    card.only(*_SHARED_FIELDS, "points", "min_confidence", "detector")
    facts.only(*_INPUT_FIELDS, "width_px", "height_px")
    outputs.only("simcc_x", "simcc_y", "split")
    _one_of(card, "points", (f"coco-wholebody-{WHOLE_BODY_POINTS}",))
    return RtmPoseCard(
        **shared,
        width_px=facts.whole("width_px", 16, 1024),
        height_px=facts.whole("height_px", 16, 1024),
        simcc_x=_text(outputs, "simcc_x"),
        simcc_y=_text(outputs, "simcc_y"),
        split=outputs.number("split", 0.25, 16),
        min_confidence=card.number("min_confidence", 0, 1, 0.3),
        detector=_detector(card.part("detector"), folder) if "detector" in card.values else None,
    )


def _detector(detector: Fields, folder: Path) -> DetectorFacts:
    facts = detector.part("input")
    detector.only("model", "input", "boxes", "labels", "person_label", "min_score")
    facts.only(*_INPUT_FIELDS, "side_px")
    return DetectorFacts(
        model=_file(detector.part("model"), folder),
        input=_input(facts),
        side_px=facts.whole("side_px", 32, _LARGEST_SIDE_PX),
        boxes=_text(detector, "boxes"),
        labels=_text(detector, "labels", ""),
        person_label=detector.whole("person_label", 0, 10_000, 0),
        min_score=detector.number("min_score", 0, 1, 0.5),
    )


def _file(file: Fields, folder: Path) -> ModelFile:
    """Read a file's entry. Relative paths start at the card's folder."""
    file.only("path", "address", "sha256")
    path, address = _text(file, "path", ""), _text(file, "address", "")
    sha256 = _text(file, "sha256", "").lower()
    if bool(path) == bool(address):
        raise file.error("path", "expected either a path or an address")
    if sha256 and not re.fullmatch("[0-9a-f]{64}", sha256):
        raise file.error("sha256", f"expected 64 hexadecimal digits, got {sha256!r}")
    if address and not sha256:
        raise file.error("sha256", "is missing; an address needs one")
    return ModelFile(path=folder / path if path else None, address=address, sha256=sha256)


def _input(facts: Fields) -> InputFacts:
    return InputFacts(
        layout=_one_of(facts, "layout", _LAYOUTS, "NCHW"),
        colour=_one_of(facts, "colour", _COLOURS),
        mean=_three(facts, "mean", (0.0, 0.0, 0.0)),
        deviation=_three(facts, "deviation", (1.0, 1.0, 1.0)),
    )


def _text(fields: Fields, name: str, default: str | None = None) -> str:
    """Read a string; it may be empty if there is a default."""
    text: str = fields.value(name, "a string", lambda it: isinstance(it, str) and (it or default == ""), default)
    return text


def _one_of(fields: Fields, name: str, options: tuple[str, ...], default: str | None = None) -> str:
    option: str = fields.value(name, " or ".join(options), lambda value: value in options, default)
    return option


def _three(fields: Fields, name: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
    def fits(value: Any) -> bool:
        return isinstance(value, list) and len(value) == 3 and all(map(is_number, value))

    x, y, z = fields.value(name, "a list of three numbers", fits, default)
    return float(x), float(y), float(z)


def _parts(card: Fields) -> tuple[int, ...]:
    names = card.value("parts", "a list of BODY_25 names, in the order of the maps", _is_list)
    unknown = [name for name in names if name not in skeleton.BODY_NAMES]
    if unknown or len(set(names)) != len(names) or len(names) < 2:
        found = shortened(unknown[0]) if unknown else f"{len(names)} names, {len(set(names))} of them different"
        choices = ", ".join(skeleton.BODY_NAMES)
        raise card.error("parts", f"expected at least two different names out of {choices}; got {found}")
    return tuple(skeleton.BODY_NAMES.index(name) for name in names)


def _limbs(card: Fields, parts: tuple[int, ...]) -> tuple[Limb, ...]:
    rows = card.value("limbs", "a list of [part, part, x channel, y channel]", _is_list)
    limbs = []
    for index, row in enumerate(rows):
        name = f"limbs[{index}]"
        if not (isinstance(row, list) and len(row) == 4 and all(type(value) is int and value >= 0 for value in row)):
            expected = "[part, part, x channel, y channel] in whole numbers"
            raise card.error(name, f"expected {expected}, got {str(row)[:80]}")
        if max(row[:2]) >= len(parts) or row[0] == row[1]:
            raise card.error(name, f"expected two different parts, 0 to {len(parts) - 1}, got {row[:2]}")
        limbs.append(Limb(*row))
    if not limbs:
        raise card.error("limbs", "expected at least one")
    return tuple(limbs)


def _is_list(value: object) -> bool:
    return isinstance(value, list)
