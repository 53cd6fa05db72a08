"""Dancers that are drawn from a seed: another body, other clothes, another room and another dance for each."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from samples.cast import Performer
from samples.renderer.appearance import Fabric, Look, Rgb
from samples.renderer.choreography import ARMS, STANCES, ArmPose, Dance, KeyPose, key_pose
from samples.renderer.geometry import unit
from samples.renderer.prints import Print
from samples.renderer.proportions import BodyShape
from samples.renderer.room import Poster, Room

_SKINS: Final[tuple[Rgb, ...]] = ((232, 190, 160), (205, 150, 116), (168, 116, 84), (120, 80, 58), (222, 172, 132))
_HAIRS: Final[tuple[Rgb, ...]] = ((40, 30, 24), (110, 70, 40), (196, 160, 96), (150, 66, 34), (150, 150, 152))
_WORDS: Final = ("DANCE", "MOVE", "42", "JAZZ", "SOUL")


def dancer(seed: int) -> Performer:
    """Return a person in a room; their dance is what `docs/training.md` asks to film: from all sides, then freely."""
    random = np.random.default_rng([seed, 0])

    def colour(low: int = 20, high: int = 240) -> Rgb:
        red, green, blue = (int(level) for level in random.integers(low, high, 3))
        return red, green, blue

    def fabric() -> Fabric:
        pattern = random.choice(["plain", "hoops", "dots", "denim"])
        return Fabric(colour(), colour(), str(pattern), pitch_m=float(random.uniform(0.05, 0.12)))  # type: ignore[arg-type]

    long_hair = bool(random.random() < 0.5)
    legs = float(random.uniform(0.88, 1.06))
    body = BodyShape(
        thigh_m=0.43 * legs,
        shin_m=0.42 * legs,
        hip_half_m=float(random.uniform(0.088, 0.104)),
        shoulder_half_m=float(random.uniform(0.165, 0.190)),
        trunk_girth=float(random.uniform(0.92, 1.18)),
        limb_girth=float(random.uniform(0.92, 1.15)),
        waist=float(random.uniform(0.82, 0.98)),
    )
    look = Look(
        skin=_SKINS[int(random.integers(len(_SKINS)))],
        hair=_HAIRS[int(random.integers(len(_HAIRS)))],
        lips=(176, 84, 80),
        iris=colour(40, 130),
        top=fabric(),
        sleeves=fabric() if random.random() < 0.4 else None,
        chest_print=Print("star", str(random.choice(_WORDS)), colour()) if random.random() < 0.5 else None,
        bottom=fabric(),
        shoe=colour(),
        sole=colour(),
        sock=colour(),
        sleeve=float(random.uniform(0.4, 1.9)),
        long_hair=long_hair,
        bust_m=0.045 if long_hair else 0.0,
    )
    room = Room(
        wall="brick" if random.random() < 0.5 else "plaster",
        wall_rgb=colour(110, 220),
        lower_wall_rgb=colour(90, 200),
        floor="planks" if random.random() < 0.5 else "tiles",
        floor_rgb=colour(80, 180),
        skirting_rgb=colour(70, 235),
        posters=(Poster(float(random.uniform(-1.4, 0.9)), 1.15, 0.50, 0.60, colour(), colour()),),
        field_of_view_deg=float(random.uniform(24, 30)),
        light=(float(random.choice([-1, 1]) * random.uniform(0.3, 0.7)), 1.25, 0.95),
    )
    return Performer(f"drawn-{seed}", body, look, room, dance(seed, beats=28, all_around=True))


def dance(seed: int, *, beats: int, all_around: bool = False) -> Dance:
    """Return a dance of `beats` random key poses; `all_around` turns the dancer once about themselves on the way."""
    random = np.random.default_rng([seed, 1 if all_around else 2])
    poses = [_key_pose(random, _turn_deg(random, beat / beats, all_around)) for beat in range(beats)]
    return Dance(tuple(poses), beat_seconds=float(random.uniform(0.45, 0.6)))


def showing(performer: Performer, seed: int, beats: int) -> Performer:
    """Return the same person in the same place in another dance, which no training sees."""
    return replace(performer, name=f"{performer.name}-show", dance=dance(seed, beats=beats))


def _turn_deg(random: np.random.Generator, progress: float, all_around: bool) -> float:
    free = float(random.uniform(-42, 42))
    return 360 * (progress - 0.4) / 0.4 + 0.3 * free if all_around and 0.4 <= progress < 0.8 else free


def _key_pose(random: np.random.Generator, turn_deg: float) -> KeyPose:
    left = str(random.choice(list(ARMS)))
    right = left if random.random() < 0.4 else str(random.choice(list(ARMS)))
    arms = [
        ArmPose(unit(ARMS[name].upper + random.normal(0, 0.1, 3)), unit(ARMS[name].fore + random.normal(0, 0.1, 3)))
        for name in (left, right)
    ]
    stance = STANCES[str(random.choice(list(STANCES)))]
    x, z = float(random.uniform(-0.25, 0.25)), float(random.uniform(-0.35, 0.3))
    return key_pose(arms[0], arms[1], stance, x, z, turn_deg, -0.5 * float(np.clip(turn_deg, -60, 60)))
