"""Group confidence maps and part affinity fields into people: OpenPose's bottom-up method.

Source: Cao, Hidalgo, Simon, Wei and Sheikh, "OpenPose: Realtime Multi-Person 2D Pose Estimation using Part Affinity
Fields" (2019), sections 3.3 and 3.4. Vectorised with NumPy: no loop runs over pixels or pairs of joints.

Letters in shapes: `P` parts, `L` limbs, `H` and `W` the maps' cells, `N` peaks, `M` pairs, `S` samples on a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.pose.models.card import Limb

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_FAINT: Final = 1e-6
"""Lower bound of a map's values before taking their logarithm."""
_SHORTEST_CELLS: Final = 1e-3
"""Lower bound of a line's length where it is a divisor."""


# A limb is accepted if the field points along the line in at least MIN_ALIGNED_FRACTION of its samples, and the mean
# along the line, minus a penalty for lines longer than half the map, is positive.
MIN_PEAK: Final = 0.05
"""Lower maxima of a confidence map are ignored."""
LINE_SAMPLES: Final = 10
"""Number of points on a line at which the field is sampled, ends included."""
MIN_ALIGNMENT: Final = 0.05
"""A sample of the field agrees with the line if their scalar product is above this."""
MIN_ALIGNED_FRACTION: Final = 0.8
"""The fraction of a line's samples that must agree."""
MIN_PARTS: Final = 4
"""The minimum number of joints in a person."""
MIN_PERSON_SCORE: Final = 0.4
"""The minimum of a person's score: joint and limb scores summed, divided by the number of joints."""


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """Joint candidates, sorted by part. part: `[N]`. x, y: `[N]` in cells, 0 at the centre of the first one.

    score: `[N]`, the confidence map at the peak. first: `[P + 1]`, index of each part's first peak.
    """

    part: Ints
    x: Floats
    y: Floats
    score: Floats
    first: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Grouped:
    """The `G` people of one picture, highest score first.

    positions: `[G, P, 2]` float32, x and y in cells, 0 at the centre of the first one; 0 where not found.
    confidence: `[G, P]` float32 in [0, 1]; 0 where not found. score: `[G]`, see `MIN_PERSON_SCORE`.
    """

    positions: Floats
    confidence: Floats
    score: Floats

    def __len__(self) -> int:
        return len(self.score)


def group(heatmaps: Floats, fields: Floats, limbs: Sequence[Limb], min_parts: int = MIN_PARTS) -> Grouped:
    """Find the people in `heatmaps` (`[P, H, W]`, no background) and `fields` (`[C, H, W]`, C at least 2 L)."""
    peaks = find_peaks(heatmaps)
    return assembled(peaks, connections(peaks, fields, limbs), limbs, len(heatmaps), min_parts)


def find_peaks(heatmaps: Floats) -> Peaks:
    """Find all local maxima of `[P, H, W]` above `MIN_PEAK`; fit a Gaussian to the neighbours for subcell positions.

    A plateau yields its last cell in reading order. Maxima at the map's border are not refined across it.
    """
    parts, height, width = heatmaps.shape
    padded = np.zeros((parts, height + 2, width + 2), np.float32)
    padded[:, 1:-1, 1:-1] = heatmaps
    inner = padded[:, 1:-1, 1:-1]
    is_peak = inner > MIN_PEAK
    for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (0, -1)):
        is_peak &= inner >= padded[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
    for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
        is_peak &= inner > padded[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
    part, row, column = np.nonzero(is_peak)
    score = heatmaps[part, row, column]
    x = column + _between_cells(padded, part, row + 1, column + 1, 0, 1, (column > 0) & (column < width - 1))
    y = row + _between_cells(padded, part, row + 1, column + 1, 1, 0, (row > 0) & (row < height - 1))
    first = np.searchsorted(part, np.arange(parts + 1))
    return Peaks(part, x.astype(np.float32), y.astype(np.float32), score, first)


def _between_cells(
    padded: Floats, part: Ints, row: Ints, column: Ints, down: int, right: int, inside: NDArray[np.bool_]
) -> Floats:
    """Return each peak's offset from its cell's centre along one axis, `[N]`: a parabola through three logarithms."""
    before = np.log(np.maximum(padded[part, row - down, column - right], _FAINT))
    at = np.log(np.maximum(padded[part, row, column], _FAINT))
    after = np.log(np.maximum(padded[part, row + down, column + right], _FAINT))
    curvature = before - 2 * at + after
    shift = np.where(curvature < 0, 0.5 * (before - after) / np.minimum(curvature, -_FAINT), 0)
    return np.asarray(np.where(inside, np.clip(shift, -0.5, 0.5), 0), np.float32)


@dataclass(frozen=True, slots=True)
class Connection:
    """A limb that was found: its kind, the two peaks it connects, and its score."""

    limb: int
    start: int
    end: int
    score: float


def connections(peaks: Peaks, fields: Floats, limbs: Sequence[Limb]) -> list[Connection]:
    """Find the limbs that the field supports, sorted by kind. Each kind of limb uses each peak at most once."""
    kinds, starts, ends = _pairs(peaks, limbs)
    scores, accepted = _line_integrals(peaks, fields, limbs, kinds, starts, ends)
    kept = np.flatnonzero(accepted)
    kinds, starts, ends, scores = kinds[kept], starts[kept], ends[kept], scores[kept]
    found: list[Connection] = []
    taken: set[tuple[int, int]] = set()  # limb and peak
    order = np.lexsort((-scores, kinds))  # each limb's best line first
    columns = (column[order].tolist() for column in (kinds, starts, ends, scores))
    for kind, start, end, score in zip(*columns, strict=True):
        if (kind, start) not in taken and (kind, end) not in taken:
            taken |= {(kind, start), (kind, end)}
            found.append(Connection(kind, start, end, score))
    return found


def _pairs(peaks: Peaks, limbs: Sequence[Limb]) -> tuple[Ints, Ints, Ints]:
    """Return limb, first peak and second peak of every candidate pair: three times `[M]`, sorted by limb."""
    first = peaks.first.tolist()
    kinds, starts, ends = [], [], []
    for kind, limb in enumerate(limbs):
        a = np.arange(first[limb.start], first[limb.start + 1])
        b = np.arange(first[limb.end], first[limb.end + 1])
        kinds.append(np.full(len(a) * len(b), kind))
        starts.append(np.repeat(a, len(b)))
        ends.append(np.tile(b, len(a)))
    return np.concatenate(kinds), np.concatenate(starts), np.concatenate(ends)


def _line_integrals(
    peaks: Peaks, fields: Floats, limbs: Sequence[Limb], kinds: Ints, starts: Ints, ends: Ints
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return `[M]` scores and whether both criteria hold. Pairs that fail the first one early are not fully sampled."""
    _, height, width = fields.shape
    channel_x = np.array([limb.x for limb in limbs])[kinds]
    channel_y = np.array([limb.y for limb in limbs])[kinds]
    x, y = peaks.x[starts], peaks.y[starts]
    along_x, along_y = peaks.x[ends] - x, peaks.y[ends] - y
    length = np.hypot(along_x, along_y)
    unit_x, unit_y = along_x / np.maximum(length, _SHORTEST_CELLS), along_y / np.maximum(length, _SHORTEST_CELLS)
    flat = fields.reshape(-1)
    places = np.linspace(0, 1, LINE_SAMPLES, dtype=np.float32)

    def read(pairs: Ints, at: Floats) -> Floats:
        """Return the field's component along the lines of `pairs`, at the fractions `at` of their lengths, `[m, s]`."""
        column = np.rint(x[pairs, None] + along_x[pairs, None] * at).astype(np.int32)
        row = np.rint(y[pairs, None] + along_y[pairs, None] * at).astype(np.int32)
        cell = row * width + column
        size = height * width
        across = flat[cell + (channel_x[pairs] * size)[:, None]] * unit_x[pairs, None]
        return np.asarray(across + flat[cell + (channel_y[pairs] * size)[:, None]] * unit_y[pairs, None])

    allowed_misses = LINE_SAMPLES - int(np.ceil(MIN_ALIGNED_FRACTION * LINE_SAMPLES - 1e-9))
    # Most pairs belong to two different people, with no field between them: a few samples in the middle show it.
    middle = len(places) // 2
    probes = slice(max(0, middle - allowed_misses), min(len(places), middle + allowed_misses + 1))
    everyone = np.arange(len(kinds))
    misses = (read(everyone, places[probes]) <= MIN_ALIGNMENT).sum(axis=1)
    promising = everyone[misses <= allowed_misses]
    values = read(promising, places)
    aligned = (values > MIN_ALIGNMENT).sum(axis=1) >= LINE_SAMPLES - allowed_misses
    penalty = np.minimum(0.5 * max(height, width) / np.maximum(length[promising], _SHORTEST_CELLS) - 1, 0)
    mean = values.mean(axis=1) + penalty
    scores = np.zeros(len(kinds), np.float32)
    accepted = np.zeros(len(kinds), np.bool_)
    scores[promising] = mean
    accepted[promising] = aligned & (mean > 0)
    return scores, accepted


def assembled(
    peaks: Peaks, found: Sequence[Connection], limbs: Sequence[Limb], parts: int, min_parts: int = MIN_PARTS
) -> Grouped:
    """Merge limbs that share a peak into people, unless a person would have a part twice."""
    people: list[dict[int, int]] = []  # for each person: part -> peak; empty once merged into another person
    limb_scores: list[float] = []
    owner = [-1] * len(peaks.part)
    for connection in found:
        limb = limbs[connection.limb]
        a, b = owner[connection.start], owner[connection.end]
        if a < 0 and b < 0:
            owner[connection.start] = owner[connection.end] = len(people)
            people.append({limb.start: connection.start, limb.end: connection.end})
            limb_scores.append(connection.score)
        elif a == b:
            limb_scores[a] += connection.score
        elif a < 0 or b < 0:
            known = max(a, b)
            part, peak = (limb.start, connection.start) if a < 0 else (limb.end, connection.end)
            if part not in people[known]:
                people[known][part] = peak
                owner[peak] = known
                limb_scores[known] += connection.score
        elif people[a].keys().isdisjoint(people[b]):
            people[a] |= people[b]
            for peak in people[b].values():
                owner[peak] = a
            limb_scores[a] += limb_scores[b] + connection.score
            people[b] = {}
    peak_scores = peaks.score.tolist()
    scored = [
        ((limb_scores[i] + sum(peak_scores[peak] for peak in person.values())) / len(person), person)
        for i, person in enumerate(people)
        if len(person) >= min_parts
    ]
    kept = sorted((entry for entry in scored if entry[0] >= MIN_PERSON_SCORE), key=lambda entry: -entry[0])
    positions = np.zeros((len(kept), parts, 2), np.float32)
    confidence = np.zeros((len(kept), parts), np.float32)
    for row, (_, person) in enumerate(kept):
        own_parts, own_peaks = list(person), list(person.values())
        positions[row, own_parts, 0], positions[row, own_parts, 1] = peaks.x[own_peaks], peaks.y[own_peaks]
        confidence[row, own_parts] = np.clip(peaks.score[own_peaks], 0, 1)
    return Grouped(positions, confidence, np.array([score for score, _ in kept], np.float32))
