"""Signed distances, blends and rotations."""

import numpy as np
import pytest

from samples.renderer.geometry import Field, cone, ellipsoid, frame_along, rotation, unit, vector


def test_a_rounded_cone_knows_its_distance() -> None:
    """Beside, beyond and inside a cone of constant radius, the distance is that to its axis minus the radius."""
    field = Field([cone(vector(0, 0, 0), vector(0, 1, 0), 0.1, 0.1, "skin")], blend_m=0.01)
    points = np.array([[0.5, 0.5, 0], [0, 1.4, 0], [0, 0.5, 0]], np.float32).T
    np.testing.assert_allclose(field.distance_m(points), [0.4, 0.3, -0.1], atol=1e-6)


def test_an_ellipsoid_is_zero_on_its_surface() -> None:
    """All six ends of the axes are on the surface, and a millimetre outside is about a millimetre away."""
    radii = np.array([0.3, 0.2, 0.1])
    field = Field([ellipsoid(vector(0, 0, 0), np.eye(3), radii.tolist(), "face")], blend_m=0.01)
    ends = np.concatenate([np.diag(radii), -np.diag(radii)]).T
    np.testing.assert_allclose(field.distance_m(ends.astype(np.float32)), 0, atol=1e-6)
    out = ends + 0.001 * np.sign(ends)
    np.testing.assert_allclose(field.distance_m(out.astype(np.float32)), 0.001, rtol=0.02)


def test_a_hem_cuts_the_cone_flat() -> None:
    """A hemmed cone ends at its hem: beyond it, the distance is that to the plane of the hem."""
    field = Field([cone(vector(0, 0, 0), vector(0, 1, 0), 0.1, 0.1, "top", hemmed=True)], blend_m=0.01)
    np.testing.assert_allclose(field.distance_m(np.array([[0], [1.02], [0]], np.float32)), 0.02, atol=1e-6)


def test_a_blend_only_adds_flesh() -> None:
    """The smooth union is nowhere thinner than its parts, and nowhere thicker by more than the blend times log K."""
    upright = cone(vector(0, 0, 0), vector(0, 1, 0), 0.1, 0.05, "skin")
    level = cone(vector(0, 1, 0), vector(1, 1, 0), 0.05, 0.1, "skin")
    field = Field([upright, level], blend_m=0.02)
    points = np.random.default_rng(0).uniform(-1, 2, (3, 400)).astype(np.float32)
    plain = field.distances_m(points).min(axis=0)
    swollen = plain - field.distance_m(points)
    assert swollen.min() >= -1e-6
    assert swollen.max() <= 0.02 * np.log(2) + 1e-6


def test_normals_point_away_from_a_sphere() -> None:
    field = Field([ellipsoid(vector(0, 0, 0), np.eye(3), (0.2, 0.2, 0.2), "face")], blend_m=0.01)
    around = np.random.default_rng(0).standard_normal((3, 50))
    around /= np.linalg.norm(around, axis=0)
    np.testing.assert_allclose(field.normals((0.2 * around).astype(np.float32)), around, atol=5e-3)


@pytest.mark.parametrize("axis", "xyz")
def test_a_rotation_keeps_lengths_and_hands(axis: str) -> None:
    matrix = rotation(axis, 37)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)


def test_a_turn_to_the_left_faces_the_right_of_the_picture() -> None:
    """A turn above 0 moves the front, +z, towards +x, which is the dancer's left and the picture's right."""
    assert (rotation("y", 30) @ vector(0, 0, 1))[0] == pytest.approx(0.5)


def test_a_frame_exists_for_parallel_directions() -> None:
    axes = frame_along(vector(0, 0, 2), vector(0, 0, 1))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)


def test_a_zero_vector_has_no_direction() -> None:
    with pytest.raises(ValueError, match="has no direction"):
        unit(vector(0, 0, 0))
