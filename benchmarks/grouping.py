"""How long does grouping take, compared with plain loops? `python -m benchmarks.grouping`.

20 people in maps of 46 x 82 cells, drawn from known skeletons. Both versions run in turns in one process, and their
results are compared, so neither can save time by finding less. "CPU" is the time of the thread itself; on a shared
machine, the clock also counts the time of other programs.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.drawn_people import HEIGHT, LIMBS, PARTS, STANDING, WIDTH, Floats, Maps, draw_maps
from services.pose.openpose.grouping import (
    LINE_SAMPLES,
    MIN_ALIGNED_FRACTION,
    MIN_ALIGNMENT,
    MIN_PEAK,
    Connection,
    Grouped,
    Peaks,
    assembled,
    group,
)

GOAL_MS = 10.0


def crowd(count: int, seed: int = 0) -> list[Floats]:
    """Return that many overlapping people in two rows: COCO-18, `[18, 2]` in cells."""
    rng = np.random.default_rng(seed)
    columns = math.ceil(count / 2)
    people = []
    for number in range(count):
        height = rng.uniform(18, 22)
        x = (number % columns + 0.5) * WIDTH / columns + rng.uniform(-0.5, 0.5)
        y = (1 if number < columns else HEIGHT - 24) + rng.uniform(0, 1)
        people.append(STANDING * height * (0.8, 1) + (x, y))
    return people


def group_in_loops(heatmaps: Maps, fields: Maps) -> Grouped:
    """`services.pose.openpose.grouping.group` as in the paper: a loop over cells, two over the joints of a limb."""
    parts, height, width = heatmaps.shape
    found: list[tuple[int, float, float, float]] = []
    for part in range(parts):
        for y in range(height):
            for x in range(width):
                level = float(heatmaps[part, y, x])
                if level > MIN_PEAK and _is_peak(heatmaps[part], x, y):
                    found += [(part, *_refined(heatmaps[part], x, y), level)]
    part_of = np.array([peak[0] for peak in found])
    peaks = Peaks(
        part_of,
        np.array([peak[1] for peak in found], np.float32),
        np.array([peak[2] for peak in found], np.float32),
        np.array([peak[3] for peak in found], np.float32),
        np.searchsorted(part_of, np.arange(parts + 1)),
    )
    connections: list[Connection] = []
    for kind, limb in enumerate(LIMBS):
        candidates = []
        for i, one in enumerate(found):
            for j, other in enumerate(found):
                if one[0] == limb.start and other[0] == limb.end:
                    score = _line_integral(fields[limb.x], fields[limb.y], one, other)
                    if score is not None:
                        candidates.append((score, i, j))
        taken: set[int] = set()
        for score, i, j in sorted(candidates, key=lambda candidate: -candidate[0]):
            if i not in taken and j not in taken:
                taken |= {i, j}
                connections.append(Connection(kind, i, j, score))
    return assembled(peaks, connections, LIMBS, parts)


def _is_peak(heatmap: Maps, x: int, y: int) -> bool:
    height, width = heatmap.shape
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if (dx or dy) and 0 <= x + dx < width and 0 <= y + dy < height:
                later = (dy, dx) > (0, 0) if dy >= 0 else False
                neighbour = heatmap[y + dy, x + dx]
                if neighbour > heatmap[y, x] or (later and neighbour == heatmap[y, x]):
                    return False
    return True


def _refined(heatmap: Maps, x: int, y: int) -> tuple[float, float]:
    height, width = heatmap.shape

    def shift(before: float, at: float, after: float) -> float:
        a, b, c = (math.log(max(value, 1e-6)) for value in (before, at, after))
        curvature = a - 2 * b + c
        return min(max(0.5 * (a - c) / min(curvature, -1e-6), -0.5), 0.5) if curvature < 0 else 0.0

    dx = shift(heatmap[y, x - 1], heatmap[y, x], heatmap[y, x + 1]) if 0 < x < width - 1 else 0.0
    dy = shift(heatmap[y - 1, x], heatmap[y, x], heatmap[y + 1, x]) if 0 < y < height - 1 else 0.0
    return x + dx, y + dy


def _line_integral(
    field_x: Maps,
    field_y: Maps,
    one: tuple[int, float, float, float],
    other: tuple[int, float, float, float],
) -> float | None:
    along_x, along_y = other[1] - one[1], other[2] - one[2]
    length = max(math.hypot(along_x, along_y), 1e-3)
    values = []
    for number in range(LINE_SAMPLES):
        at = number / (LINE_SAMPLES - 1)
        x, y = round(one[1] + at * along_x), round(one[2] + at * along_y)
        values.append((field_x[y, x] * along_x + field_y[y, x] * along_y) / length)
    aligned = sum(value > MIN_ALIGNMENT for value in values)
    mean = sum(values) / len(values) + min(0.5 * max(field_x.shape) / length - 1, 0)
    return float(mean) if aligned >= MIN_ALIGNED_FRACTION * LINE_SAMPLES and mean > 0 else None


def main() -> None:
    """Print both times and their ratio."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=20)
    arguments.add_argument("--rounds", type=int, default=5)
    chosen = arguments.parse_args()
    heatmaps, fields = draw_maps(crowd(chosen.people))
    seconds: dict[str, list[tuple[float, float]]] = {"vectorised": [], "plain loops": []}
    for _ in range(chosen.rounds):
        found = {}
        for name in seconds:
            started, started_cpu = time.perf_counter(), time.thread_time()
            if name == "vectorised":
                found[name] = group(heatmaps, fields, LIMBS)
            else:
                found[name] = group_in_loops(heatmaps, fields)
            seconds[name].append((time.perf_counter() - started, time.thread_time() - started_cpu))
        same = _same(*found.values())
        assert len(found["vectorised"]) == chosen.people, f"found {len(found['vectorised'])} people"
        assert same, "the two found different people"
    medians_ms = {name: 1000 * np.median(times, axis=0) for name, times in seconds.items()}
    print(f"{chosen.people} people, {PARTS} parts, {len(LIMBS)} limbs, maps of {HEIGHT} x {WIDTH} cells")
    for name, value_ms in medians_ms.items():
        print(f"{name}: median {value_ms[0]:.1f} ms on the clock, {value_ms[1]:.2f} ms of CPU")
    print(f"ratio, in CPU: {medians_ms['plain loops'][1] / medians_ms['vectorised'][1]:.0f}")
    print(f"goal {GOAL_MS:g} ms of CPU: {'met' if medians_ms['vectorised'][1] < GOAL_MS else 'missed'}")


def _same(one: Grouped, other: Grouped) -> bool:
    def rows(grouped: Grouped) -> NDArray[np.float32]:
        order = np.lexsort(grouped.positions[:, 1].T)
        return np.asarray(grouped.positions[order], np.float32)

    return one.positions.shape == other.positions.shape and bool(np.abs(rows(one) - rows(other)).max() < 1e-3)


if __name__ == "__main__":
    main()
