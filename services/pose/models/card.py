"""Model cards: small JSON files that describe a pose network's input, outputs and licence.

Networks are not part of this project. A card names a network's file or its address, describes it, and names the
licence that its users accept. `cards/` has examples; docs/poses.md explains every field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, cast, get_args

from motion import skeleton
from motion.documents import BadDocument, read_document, shortened
from motion.pose_choice import PoseBackend
from services.pose.models.files import ModelFile
from serving.errors import BadSettings

FORMAT: Final = "dance-pose-model-1"
Runtime = Literal["openvino", "onnxruntime", "opencv"]
_COLOURS: Final = ("BGR", "RGB")
_LAYOUTS: Final = ("NCHW", "NHWC")
_LARGEST_SIDE_PX: Final = 4096
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


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the fields of one JSON object of a card; its errors name the field."""

    file: Path
    where: str
    values: Mapping[str, Any]
    read: set[str] = field(default_factory=set)

    def error(self, name: str, problem: str) -> BadSettings:
        return BadSettings(str(self.file), f"{self.where}{name}: {problem}")

    def _unexpected(self, name: str, expected: str, got: object) -> BadSettings:
        return self.error(name, f"expected {expected}, got {shortened(got)}")

    def value(self, name: str, kinds: type | tuple[type, ...], expected: str, default: Any = ...) -> Any:
        self.read.add(name)
        value = self.values.get(name, default)
        if value is ...:
            raise self.error(name, f"is missing, expected {expected}")
        if value is not default and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise self._unexpected(name, expected, value)
        return value

    def text(self, name: str, default: Any = ...) -> str:
        text: str = self.value(name, str, "a text", default)
        if not text and default is ...:
            raise self._unexpected(name, "a text", text)
        return text

    def one_of(self, name: str, options: tuple[str, ...], default: Any = ...) -> str:
        value: str = self.value(name, str, " or ".join(options), default)
        if value not in options:
            raise self._unexpected(name, " or ".join(options), value)
        return value

    def number(self, name: str, low: float, high: float, default: Any = ...) -> float:
        expected = f"a number from {low:g} to {high:g}"
        value = self.value(name, (int, float), expected, default)
        if not low <= value <= high:
            raise self._unexpected(name, expected, value)
        return float(value)

    def whole(self, name: str, low: int, high: int, default: Any = ...) -> int:
        value = self.number(name, low, high, default)
        if value != int(value):
            raise self._unexpected(name, "a whole number", value)
        return int(value)

    def three(self, name: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
        values = self.value(name, list, "a list of three numbers", default)
        if len(values) != 3 or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            raise self._unexpected(name, "a list of three numbers", values)
        return (float(values[0]), float(values[1]), float(values[2]))

    def part(self, name: str) -> _Reader:
        return _Reader(self.file, f"{self.where}{name}.", self.value(name, dict, "an object"))

    def finish(self) -> None:
        """Raises BadSettings if the object has fields that were not read."""
        unknown = sorted(set(self.values) - self.read)
        if unknown:
            raise self.error(unknown[0], "is not a field of a model card")


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
    reader = _Reader(path, "", document)
    reader.one_of("format", (FORMAT,))
    reader.text("about", "")
    openpose, rtmpose = PoseBackend.OPENPOSE.value, PoseBackend.RTMPOSE.value
    read = _openpose if reader.one_of("backend", (openpose, rtmpose)) == openpose else _rtmpose
    facts, outputs = reader.part("input"), reader.part("outputs")
    card = read(reader, facts, outputs)
    for part in (facts, outputs, reader):
        part.finish()
    return card


def _openpose(reader: _Reader, facts: _Reader, outputs: _Reader) -> ModelCard:
    parts = _parts(reader)
    return OpenPoseCard(
        **_shared(reader, facts),
        structure=_file(reader.part("structure")) if "structure" in reader.values else None,
        runtime=cast("Runtime", reader.one_of("runtime", get_args(Runtime))),
        short_side_px=facts.whole("short_side_px", 64, _LARGEST_SIDE_PX),
        longest_side_px=facts.whole("longest_side_px", 64, _LARGEST_SIDE_PX),
        multiple_of=facts.whole("multiple_of", 1, 256),
        heatmaps=outputs.text("heatmaps"),
        fields=outputs.text("pafs"),
        parts=parts,
        limbs=_limbs(reader, parts),
    )


def _rtmpose(reader: _Reader, facts: _Reader, outputs: _Reader) -> ModelCard:
    reader.one_of("points", (f"coco-wholebody-{WHOLE_BODY_POINTS}",))
    return RtmPoseCard(
        **_shared(reader, facts),
        width_px=facts.whole("width_px", 16, 1024),
        height_px=facts.whole("height_px", 16, 1024),
        simcc_x=outputs.text("simcc_x"),
        simcc_y=outputs.text("simcc_y"),
        split=outputs.number("split", 0.25, 16),
        min_confidence=reader.number("min_confidence", 0, 1, 0.3),
        detector=_detector(reader.part("detector")) if "detector" in reader.values else None,
    )


def _shared(reader: _Reader, facts: _Reader) -> dict[str, Any]:
    """Read the fields of `_NetworkCard`."""
    return {
        "name": reader.text("name"),
        "licence": reader.text("licence"),
        "licence_at": reader.text("licence_at", ""),
        "model": _file(reader.part("model")),
        "input": _input(facts),
    }


def _detector(reader: _Reader) -> DetectorFacts:
    facts = reader.part("input")
    detector = DetectorFacts(
        model=_file(reader.part("model")),
        input=_input(facts),
        side_px=facts.whole("side_px", 32, _LARGEST_SIDE_PX),
        boxes=reader.text("boxes"),
        labels=reader.text("labels", ""),
        person_label=reader.whole("person_label", 0, 10_000, 0),
        min_score=reader.number("min_score", 0, 1, 0.5),
    )
    facts.finish()
    reader.finish()
    return detector


def _file(reader: _Reader) -> ModelFile:
    path, address = reader.text("path", ""), reader.text("address", "")
    sha256 = reader.text("sha256", "").lower()
    reader.finish()
    if bool(path) == bool(address):
        raise reader.error("path", "expected either a path or an address")
    if sha256 and (len(sha256) != 64 or set(sha256) - set("0123456789abcdef")):
        raise reader.error("sha256", f"expected 64 hexadecimal digits, got {sha256!r}")
    if address and not sha256:
        raise reader.error("sha256", "is missing; an address needs one")
    # Relative paths start at the card's folder.
    return ModelFile(path=reader.file.parent / path if path else None, address=address, sha256=sha256)


def _input(reader: _Reader) -> InputFacts:
    reader.text("name", "")  # for people
    return InputFacts(
        layout=reader.one_of("layout", _LAYOUTS, "NCHW"),
        colour=reader.one_of("colour", _COLOURS),
        mean=reader.three("mean", (0.0, 0.0, 0.0)),
        deviation=reader.three("deviation", (1.0, 1.0, 1.0)),
    )


def _parts(reader: _Reader) -> tuple[int, ...]:
    names = reader.value("parts", list, "a list of BODY_25 names, in the order of the maps")
    unknown = [name for name in names if name not in skeleton.BODY_NAMES]
    if unknown or len(set(names)) != len(names) or len(names) < 2:
        found = shortened(unknown[0]) if unknown else f"{len(names)} names, {len(set(names))} of them different"
        choices = ", ".join(skeleton.BODY_NAMES)
        raise reader.error("parts", f"expected at least two different names out of {choices}; got {found}")
    return tuple(skeleton.BODY_NAMES.index(name) for name in names)


def _limbs(reader: _Reader, parts: tuple[int, ...]) -> tuple[Limb, ...]:
    rows = reader.value("limbs", list, "a list of [part, part, x channel, y channel]")
    limbs = []
    for index, row in enumerate(rows):
        name = f"limbs[{index}]"
        if not (isinstance(row, list) and len(row) == 4 and all(type(value) is int and value >= 0 for value in row)):
            expected = "[part, part, x channel, y channel] in whole numbers"
            raise reader.error(name, f"expected {expected}, got {str(row)[:80]}")
        if max(row[:2]) >= len(parts) or row[0] == row[1]:
            raise reader.error(name, f"expected two different parts, 0 to {len(parts) - 1}, got {row[:2]}")
        limbs.append(Limb(*row))
    if not limbs:
        raise reader.error("limbs", "expected at least one")
    return tuple(limbs)
