"""Rounded cones and ellipsoids, blended smoothly into one signed distance.

World axes: x to the right of the picture, y up, z towards the camera; in metres.
Shapes: N points, K primitives.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
"""`[3]` or `[n, 3]`, metres or a direction."""
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]


def vector(x: float, y: float, z: float) -> Vector:
    return np.array([x, y, z], np.float64)


def unit(v: Vector) -> Vector:
    """Normalise `v` to length one. Raises ValueError for a vector without a direction."""
    length = float(np.linalg.norm(v))
    if length < 1e-9:
        raise ValueError(f"a vector of length {length} has no direction")
    return v / length


def rotation(axis: str, degrees: float) -> Vector:
    """Return the `[3, 3]` right-handed rotation about the `x`, `y` or `z` axis."""
    cos, sin = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cos
    matrix[first, second], matrix[second, first] = -sin, sin
    return matrix


def frame_along(y_axis: Vector, facing: Vector) -> Vector:
    """Return `[3, 3]` whose columns are unit axes: y along `y_axis`, z as close to `facing` as possible."""
    y = unit(y_axis)
    x = np.cross(y, facing)
    if float(np.linalg.norm(x)) < 1e-4:  # `facing` is parallel to `y_axis`: use any other direction
        x = np.cross(y, vector(0.31, 0.17, 0.93))
    x = unit(x)
    return np.stack([x, y, np.cross(x, y)], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """A cone with round ends from `origin_m` along its own y axis; an ellipsoid if `length_m` is 0.

    axes: `[3, 3]`, columns are the local axes in the world.
    squash: `[3]`, local coordinates are divided by it before radii are compared, so `(1, 1, .8)` flattens
        a limb and `(rx, ry, rz)` with radius 1 is an ellipsoid.
    pattern_origin_m: where the fabric's pattern starts along y, so that adjacent primitives can share one pattern.
    hemmed: the far end is flat, as for a sleeve or a trouser leg.
    """

    origin_m: Vector
    axes: Vector
    length_m: float
    start_radius_m: float
    end_radius_m: float
    squash: tuple[float, float, float]
    material: str
    pattern_origin_m: float = 0.0
    hemmed: bool = False

    @property
    def end_m(self) -> Vector:
        return self.origin_m + self.axes[:, 1] * self.length_m

    @property
    def reach_m(self) -> float:
        """Upper bound of the distance of the primitive's points from its axis."""
        return max(self.start_radius_m, self.end_radius_m) * max(self.squash)


def cone(
    start_m: Vector,
    end_m: Vector,
    start_radius_m: float,
    end_radius_m: float,
    material: str,
    *,
    wide: float = 1.0,
    deep: float = 1.0,
    facing: Vector | None = None,
    pattern_origin_m: float = 0.0,
    hemmed: bool = False,
) -> Primitive:
    """Create a rounded cone between two points; `wide` and `deep` scale its section across and along `facing`."""
    axes = frame_along(end_m - start_m, vector(0, 0, 1) if facing is None else facing)
    length_m = float(np.linalg.norm(end_m - start_m))
    squash = (wide, 1.0, deep)
    return Primitive(start_m, axes, length_m, start_radius_m, end_radius_m, squash, material, pattern_origin_m, hemmed)


def ellipsoid(centre_m: Vector, axes: Vector, radii_m: Sequence[float], material: str) -> Primitive:
    return Primitive(centre_m, axes, 0.0, 1.0, 1.0, (radii_m[0], radii_m[1], radii_m[2]), material)


class Field:
    """The signed distance to a smooth union of primitives, for many points at once."""

    def __init__(self, primitives: Sequence[Primitive], blend_m: float) -> None:
        self.primitives = tuple(primitives)
        self.blend_m = blend_m
        axes_K33 = np.stack([p.axes.T for p in primitives])
        origin_K3 = np.stack([p.origin_m for p in primitives])
        self._to_local = axes_K33.reshape(-1, 3).astype(np.float32)
        self._offset = np.einsum("kij,kj->ki", axes_K33, origin_K3).reshape(-1, 1).astype(np.float32)

        def column(values: Sequence[float]) -> Floats:
            return np.array(values, np.float32)[:, None]

        self._length = column([p.length_m for p in primitives])
        self._per_length = column([1 / p.length_m if p.length_m > 0 else 0.0 for p in primitives])
        self._radius = column([p.start_radius_m for p in primitives])
        self._growth = column([p.end_radius_m - p.start_radius_m for p in primitives])
        self._per_squash = [column([1 / p.squash[i] for p in primitives]) for i in range(3)]
        self._round = all(p.squash == (1.0, 1.0, 1.0) for p in primitives)
        self._hem = column([p.length_m if p.hemmed else np.inf for p in primitives])
        self._any_hem = any(p.hemmed for p in primitives)

    def local_m(self, points_3N: Floats) -> Floats:
        """Return the points in each primitive's local axes, `[K, 3, N]`."""
        local: Floats = self._to_local @ points_3N - self._offset
        return local.reshape(len(self.primitives), 3, -1)

    def distances_m(self, points_3N: Floats) -> Floats:
        """Return the distance to each primitive, `[K, N]`; exact for round cones, first order for squashed ones."""
        local = self.local_m(points_3N)
        x, y, z = local[:, 0], local[:, 1], local[:, 2]
        along = np.clip(y * self._per_length, 0, 1)
        radius = self._radius + self._growth * along
        over_hem = y - self._hem if self._any_hem else None
        y = y - along * self._length
        if self._round:
            distance = np.sqrt(x * x + y * y + z * z) - radius
        else:
            # Near the surface, dividing by the gradient's length converts the squashed value back to metres.
            sx, sy, sz = self._per_squash
            x, y, z = x * sx, y * sy, z * sz
            size = np.sqrt(x * x + y * y + z * z)
            x, y, z = x * sx, y * sy, z * sz
            distance = (size - radius) * size / np.maximum(np.sqrt(x * x + y * y + z * z), np.float32(1e-6))
        return distance if over_hem is None else np.maximum(distance, over_hem)

    def distance_m(self, points_3N: Floats) -> Floats:
        """Return the distance to the smooth union, `[N]`."""
        distance = self.distances_m(points_3N)
        least: Floats = distance.min(axis=0)
        if len(self.primitives) == 1:
            return least
        total = np.exp((least - distance) * np.float32(1 / self.blend_m)).sum(axis=0)
        blended: Floats = least - np.float32(self.blend_m) * np.log(total)
        return blended

    def normals(self, points_3N: Floats, step_m: float = 1.5e-3) -> Floats:
        """Return unit normals, `[3, N]`: the distance's gradient from four samples at a tetrahedron's corners."""
        normal = np.zeros_like(points_3N)
        for corner in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
            towards = np.array(corner, np.float32)[:, None]
            normal += towards * self.distance_m(points_3N + towards * np.float32(step_m))
        normal /= np.maximum(np.linalg.norm(normal, axis=0), np.float32(1e-9))
        return normal

    def nearest(self, points_3N: Floats) -> tuple[Ints, Floats]:
        """Return the index of the nearest primitive, `[N]`, and the points in its local axes, `[3, N]`."""
        index = self.distances_m(points_3N).argmin(axis=0)
        return index, self.local_m(points_3N)[index, :, np.arange(index.size)].T
