"""Actors with a wardrobe, and those of releases before it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from motion.frame import PictureEncoding
from motion.pose import Pose
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.pieces import WARDROBE_VERSION, Wardrobe
from motion.wardrobe.storage import MOST_WARDROBE_BYTES
from services.generator.actor_network import Painter
from serving.actors.actor import actor_text
from serving.actors.store import METADATA_FILE, WARDROBE_FILE, Actor, ActorStore, WardrobeFacts
from serving.errors import ActorUnusable
from serving.pictures.codec import encode_picture
from tests.pipeline.fake_stages import person
from tests.released_actors import WITHOUT_WARDROBE
from tests.tiny_actors import publish_tiny, tiny_network
from tests.tiny_wardrobes import tiny_wardrobe, with_arms_turned

SIDE_PX = 64


@pytest.fixture(scope="module")
def wardrobe() -> Wardrobe:
    """A wardrobe of five key frames."""
    return tiny_wardrobe([with_arms_turned(person(), angle) for angle in np.linspace(0, 2, 5)], SIDE_PX)


@pytest.fixture
def store(tmp_path: Path) -> ActorStore:
    """An empty store."""
    return ActorStore(tmp_path / "actors")


@pytest.fixture
def dressed(store: ActorStore, tmp_path: Path, wardrobe: Wardrobe) -> Actor:
    """An actor with a wardrobe."""
    return publish_tiny(store, tmp_path, "kind", side_px=SIDE_PX, wardrobe=wardrobe)


def rewritten(actor: Actor, change: Callable[[dict], None]) -> None:
    """Change the actor's document."""
    file = actor.folder / METADATA_FILE
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def test_an_actor_carries_its_wardrobe(store: ActorStore, dressed: Actor, wardrobe: Wardrobe):
    """The facts are in actor.json, the limbs in a file beside it, and a reference drawn from them is the same."""
    actor = store.load("kind")
    assert actor.generator.reference
    assert actor.wardrobe == WardrobeFacts(WARDROBE_VERSION, 5, ("front",))
    assert actor.size_bytes == sum(path.stat().st_size for path in actor.folder.iterdir())
    pose: Pose = with_arms_turned(person(), 0.7)
    drawn, expected = draw_reference(actor.read_wardrobe(), pose), draw_reference(wardrobe, pose)
    assert drawn.picture.tobytes() == expected.picture.tobytes()
    assert drawn.picture.any()


def test_earlier_releases_refuse_a_wardrobe_by_its_format(dressed: Actor, store: ActorStore, tmp_path: Path):
    """Format 2 is unknown to them; an actor without a wardrobe keeps format 1 and the fields that they read."""
    assert json.loads((dressed.folder / METADATA_FILE).read_text())["format"] == 2
    plain = json.loads((publish_tiny(store, tmp_path, "plain").folder / METADATA_FILE).read_text())
    assert plain["format"] == 1
    assert "reference" not in plain["generator"]


def test_another_wardrobe_version_is_refused_at_load(store: ActorStore, dressed: Actor):
    """The error names both versions and what to do, as it does for label maps."""
    rewritten(dressed, lambda document: document["wardrobe"].update(version=WARDROBE_VERSION + 6))
    with pytest.raises(ActorUnusable) as refusal:
        store.load("kind")
    assert str(refusal.value) == (
        f"actor 'kind' version 1 has a wardrobe of version {WARDROBE_VERSION + 6}, "
        f"this server draws version {WARDROBE_VERSION}: train it again"
    )


def as_fifo(path: Path) -> None:
    """Put a FIFO in the place of a file."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (Path.unlink, "lacks wardrobe.npz"),
        (lambda path: os.truncate(path, 0), "wardrobe.npz: is empty"),
        (lambda path: os.truncate(path, MOST_WARDROBE_BYTES + 1), "wardrobe.npz: has .* bytes, at most .* are read"),
        (as_fifo, "wardrobe.npz: is not a regular file"),
    ],
)
def test_a_wardrobe_is_checked_before_it_is_read(store: ActorStore, dressed: Actor, damage, said: str):
    """A missing, empty or huge file, and one of another kind, is named when the actor is loaded."""
    damage(dressed.wardrobe_path)
    with pytest.raises(ActorUnusable, match=f"actor 'kind' version 1.*{said}"):
        store.load("kind")


def test_damage_inside_a_wardrobe_is_named(store: ActorStore, dressed: Actor):
    """The error names the actor, the file and the array, and contains no path."""
    data = bytearray(dressed.wardrobe_path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    dressed.wardrobe_path.write_bytes(data)
    with pytest.raises(ActorUnusable, match=r"^actor 'kind' version 1: wardrobe\.npz: \w+") as refusal:
        store.load("kind").read_wardrobe()
    assert str(store.root) not in str(refusal.value)


def test_a_wardrobe_must_fit_its_actor(store: ActorStore, dressed: Actor):
    """A wardrobe for pictures of another size, or with another number of key frames than in actor.json, is refused."""
    rewritten(dressed, lambda document: document["wardrobe"].update(key_frames=9))
    with pytest.raises(ActorUnusable, match=r"wardrobe.npz: has 5 key frames, expected 9 as in actor.json"):
        store.load("kind").read_wardrobe()
    rewritten(dressed, lambda document: document["stage"].update(out_width_px=32))
    with pytest.raises(ActorUnusable, match=r"wardrobe.npz: is cut for pictures of 64x64, the actor's have 32x64"):
        store.load("kind").read_wardrobe()


def test_an_actor_without_its_wardrobes_facts_is_not_published(store: ActorStore, dressed: Actor):
    """A network that takes a reference cannot be published without a wardrobe."""
    with pytest.raises(ActorUnusable, match="wardrobe: is missing, and the network takes a reference"):
        store.publish(replace(dressed, wardrobe=None), {WARDROBE_FILE: dressed.wardrobe_path})


def test_an_actor_of_the_release_before_wardrobes_still_draws(store: ActorStore, tmp_path: Path):
    """It loads with the file that release wrote, takes two pictures, and would be written again as it was."""
    folder = store.root / "sample" / "1"
    folder.mkdir(parents=True)
    (folder / METADATA_FILE).write_text(WITHOUT_WARDROBE)
    tiny_network(folder / "generator.onnx", ("label_map", "previous_frame"), "frame", 256, 3)
    tiny_network(folder / "face.onnx", ("label", "face"), "refined", 128, 0)
    plate = encode_picture(np.zeros((512, 512, 3), np.uint8), PictureEncoding.PNG)
    (folder / "plate.png").write_bytes(plate.data)
    actor = store.load("sample")
    assert (actor.wardrobe, actor.generator.reference) == (None, False)
    with pytest.raises(ValueError, match="has no wardrobe"):
        actor.read_wardrobe()
    label_map, previous = np.full((256, 256, 3), 100, np.uint8), np.full((256, 256, 3), 8, np.uint8)
    painter = Painter.open(actor, device="cpu", threads=1, precision="f32")
    (painted,) = painter.paint([(label_map, previous)])
    np.testing.assert_array_equal(painted.frame, np.full((256, 256, 3), 50 + 2 + 3))
    before, again = json.loads(WITHOUT_WARDROBE), json.loads(actor_text(actor))
    for network in ("generator", "face"):
        before[network]["enhanced"] = False  # it has been written since 0.1.1
    assert again.pop("consent_record")["words"] == before["consent"]
    assert again == {**before, "wardrobe": None}
