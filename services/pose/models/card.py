"""Model cards: small JSON files that say what a pose network takes, gives, and may be used for.

Networks are not part of this project. A card names a network's file (or its address), describes it, and says under
which licence whoever uses it does so. `cards/` has examples; docs/poses.md explains every field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from motion import skeleton
from motion.documents import BadDocument, read_document, told
from services.pose.models.files import ModelFile
from services.pose.openpose.grouping import Limb
from serving.errors import BadSettings

FORMAT: Final = "dance-pose-model-1"
Runtime = Literal["openvino", "onnxruntime", "opencv"]
_RUNTIMES: Final = ("openvino", "onnxruntime", "opencv")
_COLOURS: Final = ("BGR", "RGB")
_LAYOUTS: Final = ("NCHW", "NHWC")
_LARGEST_SIDE_PX: Final = 4096
WHOLE_BODY_POINTS: Final = 133


@dataclass(frozen=True, kw_only=True, slots=True)
class InputFacts:
    """What a network takes: floats, `(picture - mean) / deviation` for each channel in the order `colour`.

    name: of the input; "" for the only one.
    """

    name: str
    layout: str
    colour: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPoseCard:
    """A network that gives confidence maps and part affinity fields.

    short_side_px: to which a picture is brought, its aspect ratio kept; longest_side_px: and no larger than this.
    multiple_of: of both sides; the rest is filled up with black. heatmaps, fields: names of the outputs; the same name
    where one output has the maps of all parts and of the background, then the fields.
    parts: each part's index in BODY_25, in the order of the maps. limbs: in parts' indices and the fields' channels.
    """

    name: str
    licence: str
    licence_at: str
    model: ModelFile
    structure: ModelFile | None
    runtime: Runtime
    input: InputFacts
    short_side_px: int
    longest_side_px: int
    multiple_of: int
    heatmaps: str
    fields: str
    parts: tuple[int, ...]
    limbs: tuple[Limb, ...]

    @property
    def licence_notice(self) -> str:
        """What whoever uses the network agrees to, in one line."""
        return _licence_notice("openpose", self.name, self.licence, self.licence_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorFacts:
    """A network that finds people.

    boxes: the output with `[1, N, 5]`: left, top, right, bottom in pixels of its input, score. labels: the one with
    `[1, N]`, of which `person_label` counts; "" where it finds people only. side_px: of its square input.
    """

    model: ModelFile
    input: InputFacts
    side_px: int
    boxes: str
    labels: str
    person_label: int
    min_score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RtmPoseCard:
    """A top-down network with two outputs of one-dimensional maps per point (SimCC), and who it is shown.

    width_px, height_px: of its input. split: places of a map per input pixel. detector: None looks at the whole frame
    once, and from then on where the people of the last frame were.
    """

    name: str
    licence: str
    licence_at: str
    model: ModelFile
    input: InputFacts
    width_px: int
    height_px: int
    simcc_x: str
    simcc_y: str
    split: float
    min_confidence: float
    detector: DetectorFacts | None

    @property
    def licence_notice(self) -> str:
        """What whoever uses the network agrees to, in one line."""
        return _licence_notice("rtmpose", self.name, self.licence, self.licence_at)


ModelCard = OpenPoseCard | RtmPoseCard


@dataclass(frozen=True, slots=True)
class _Reader:
    """A part of a card, whose values are asked for by name; says where a wrong one stands."""

    file: Path
    where: str
    values: Mapping[str, Any]
    asked: set[str] = field(default_factory=set)

    def _wrong(self, name: str, expected: str, got: object) -> BadSettings:
        return BadSettings(str(self.file), f"{self.where}{name}: expected {expected}, got {told(got)}")

    def value(self, name: str, kinds: type | tuple[type, ...], expected: str, default: Any = ...) -> Any:
        self.asked.add(name)
        value = self.values.get(name, default)
        if value is ...:
            raise BadSettings(str(self.file), f"{self.where}{name}: is missing, expected {expected}")
        if value is not default and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise self._wrong(name, expected, value)
        return value

    def text(self, name: str, default: Any = ...) -> str:
        text: str = self.value(name, str, "a text", default)
        if not text and default is ...:
            raise self._wrong(name, "a text", text)
        return text

    def one_of(self, name: str, options: tuple[str, ...], default: Any = ...) -> str:
        value: str = self.value(name, str, " or ".join(options), default)
        if value not in options:
            raise self._wrong(name, " or ".join(options), value)
        return value

    def number(self, name: str, low: float, high: float, default: Any = ...) -> float:
        expected = f"a number from {low:g} to {high:g}"
        value = self.value(name, (int, float), expected, default)
        if not low <= value <= high:
            raise self._wrong(name, expected, value)
        return float(value)

    def whole(self, name: str, low: int, high: int, default: Any = ...) -> int:
        value = self.number(name, low, high, default)
        if value != int(value):
            raise self._wrong(name, "a whole number", value)
        return int(value)

    def three(self, name: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
        values = self.value(name, list, "a list of three numbers", default)
        if len(values) != 3 or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            raise self._wrong(name, "a list of three numbers", values)
        return (float(values[0]), float(values[1]), float(values[2]))

    def part(self, name: str) -> _Reader:
        return _Reader(self.file, f"{self.where}{name}.", self.value(name, dict, "an object"))

    def finish(self) -> None:
        unknown = sorted(set(self.values) - self.asked)
        if unknown:
            raise BadSettings(str(self.file), f"{self.where}{unknown[0]}: is no field of a card")


def read_card(path: Path) -> ModelCard:
    """The card at `path`. Raises BadSettings, naming the field and what was expected."""
    try:
        document = read_document(path)
    except OSError as error:
        raise BadSettings(str(path), f"the model card cannot be read: {error.strerror}") from error
    except BadDocument as error:
        raise BadSettings(str(path), f"the model card {error}") from error
    if not isinstance(document, dict):
        raise BadSettings(str(path), "the model card must be an object")
    reader = _Reader(path, "", document)
    reader.one_of("format", (FORMAT,))
    reader.text("about", "")
    backend = reader.one_of("backend", ("openpose", "rtmpose"))
    card: ModelCard = _openpose(reader) if backend == "openpose" else _rtmpose(reader)
    reader.finish()
    return card


def _licence_notice(backend: str, name: str, licence: str, at: str) -> str:
    return f"backend {backend} uses {name}: by using it you accept its licence, {licence}{f', {at}' if at else ''}"


def _openpose(reader: _Reader) -> OpenPoseCard:
    parts = _parts(reader)
    runtime = reader.one_of("runtime", _RUNTIMES)
    facts = reader.part("input")
    outputs = reader.part("outputs")
    card = OpenPoseCard(
        name=reader.text("name"),
        licence=reader.text("licence"),
        licence_at=reader.text("licence_at", ""),
        model=_file(reader.part("model")),
        structure=_file(reader.part("structure")) if "structure" in reader.values else None,
        runtime=runtime,  # type: ignore[arg-type]
        input=_input(facts),
        short_side_px=facts.whole("short_side_px", 64, _LARGEST_SIDE_PX),
        longest_side_px=facts.whole("longest_side_px", 64, _LARGEST_SIDE_PX),
        multiple_of=facts.whole("multiple_of", 1, 256),
        heatmaps=outputs.text("heatmaps"),
        fields=outputs.text("pafs"),
        parts=parts,
        limbs=_limbs(reader, parts),
    )
    facts.finish()
    outputs.finish()
    return card


def _rtmpose(reader: _Reader) -> RtmPoseCard:
    facts = reader.part("input")
    outputs = reader.part("outputs")
    reader.one_of("points", (f"coco-wholebody-{WHOLE_BODY_POINTS}",))
    detector = None
    if "detector" in reader.values:
        detector = _detector(reader.part("detector"))
    card = RtmPoseCard(
        name=reader.text("name"),
        licence=reader.text("licence"),
        licence_at=reader.text("licence_at", ""),
        model=_file(reader.part("model")),
        input=_input(facts),
        width_px=facts.whole("width_px", 16, 1024),
        height_px=facts.whole("height_px", 16, 1024),
        simcc_x=outputs.text("simcc_x"),
        simcc_y=outputs.text("simcc_y"),
        split=outputs.number("split", 0.25, 16),
        min_confidence=reader.number("min_confidence", 0, 1, 0.3),
        detector=detector,
    )
    facts.finish()
    outputs.finish()
    return card


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
        raise BadSettings(str(reader.file), f"{reader.where}path: expected either a path or an address")
    if sha256 and (len(sha256) != 64 or set(sha256) - set("0123456789abcdef")):
        raise BadSettings(str(reader.file), f"{reader.where}sha256: expected 64 hexadecimal digits, got {sha256!r}")
    if address and not sha256:
        raise BadSettings(str(reader.file), f"{reader.where}sha256: is missing; an address needs one")
    # Paths are meant from where the card lies.
    return ModelFile(path=reader.file.parent / path if path else None, address=address, sha256=sha256)


def _input(reader: _Reader) -> InputFacts:
    return InputFacts(
        name=reader.text("name", ""),
        layout=reader.one_of("layout", _LAYOUTS, "NCHW"),
        colour=reader.one_of("colour", _COLOURS),
        mean=reader.three("mean", (0.0, 0.0, 0.0)),
        deviation=reader.three("deviation", (1.0, 1.0, 1.0)),
    )


def _parts(reader: _Reader) -> tuple[int, ...]:
    names = reader.value("parts", list, "a list of BODY_25 names, in the order of the maps")
    unknown = [name for name in names if name not in skeleton.BODY_NAMES]
    if unknown or len(set(names)) != len(names) or len(names) < 2:
        found = told(unknown[0]) if unknown else f"{len(names)} of which {len(set(names))} differ"
        raise BadSettings(
            str(reader.file), f"parts: expected different names out of {', '.join(skeleton.BODY_NAMES)}; got {found}"
        )
    return tuple(skeleton.BODY_NAMES.index(name) for name in names)


def _limbs(reader: _Reader, parts: tuple[int, ...]) -> tuple[Limb, ...]:
    rows = reader.value("limbs", list, "a list of [part, part, x channel, y channel]")
    limbs = []
    for index, row in enumerate(rows):
        if not (isinstance(row, list) and len(row) == 4 and all(type(value) is int and value >= 0 for value in row)):
            expected = "[part, part, x channel, y channel] in whole numbers"
            raise BadSettings(str(reader.file), f"limbs[{index}]: expected {expected}, got {str(row)[:80]}")
        if max(row[:2]) >= len(parts) or row[0] == row[1]:
            raise BadSettings(str(reader.file), f"limbs[{index}]: expected two of {len(parts)} parts, got {row[:2]}")
        limbs.append(Limb(*row))
    if not limbs:
        raise BadSettings(str(reader.file), "limbs: expected at least one")
    return tuple(limbs)
