"""`dance actors canary | promote | rollback` on a folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from client.__main__ import run
from serving.actors import rollout_cli
from serving.actors.consent import ConsentRecord
from serving.actors.rollout import Canary, Served
from serving.actors.store import ActorStore
from tests.damaged_actors import DAMAGES
from tests.pipeline.fake_stages import person
from tests.tiny_actors import publish_tiny
from tests.tiny_wardrobes import tiny_wardrobe, with_arms_turned


@pytest.fixture
def store(tmp_path: Path) -> ActorStore:
    """A folder with the actor `kind` in two versions."""
    store, parts = ActorStore(tmp_path / "actors"), tmp_path / "parts"
    parts.mkdir()
    for _ in range(2):
        publish_tiny(store, parts, "kind")
    return store


def dance(store: ActorStore, *words: str) -> int:
    """Run `dance actors` on the folder, and return its exit code."""
    return run(["actors", *words, "--actors", str(store.root)])


def test_a_version_is_tried_served_and_taken_back(store: ActorStore, capsys):
    """Each step is one command, which prints what new sessions get; the list shows it too."""
    assert dance(store, "canary", "kind", "--version", "2", "--percent", "5") == 0
    assert store.served("kind") == Served(1, Canary(2, 5))
    assert "kind: version 1 to 95 %, version 2 to 5 % of the new sessions" in capsys.readouterr().out
    assert dance(store) == 0
    listed = capsys.readouterr().out
    assert "95 %" in listed
    assert "5 %" in listed
    assert dance(store, "promote", "kind") == 0
    assert store.served("kind") == Served(2, previous=1)
    assert dance(store, "rollback", "kind") == 0
    assert store.served("kind") == Served(1)
    assert dance(store, "promote", "kind", "--newest") == 0
    assert not (store.root / "kind" / "serving.json").exists()
    assert "version 2 to 100 % of the new sessions (and any newer one to come)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["canary", "kind", "--version", "2", "--percent", "100"], 2, "--percent must lie between 0 and 100"),
        (["canary", "kind", "--percent", "10"], 2, "--version"),
        (["canary", "kind", "--version", "7", "--percent", "10"], 1, "has no version 7; it has: 1, 2"),
        (["canary", "nobody", "--version", "1", "--percent", "10"], 1, "there is no actor 'nobody'; there are: kind"),
        (["promote", "kind", "--version", "7"], 1, "has no version 7"),
        (["promote", "kind", "--version", "1", "--newest"], 2, "exclude each other"),
        (["rollback", "../kind"], 1, "is not an actor id"),
    ],
)
def test_mistakes_are_one_line_and_change_nothing(store: ActorStore, capsys, words, code, said):
    """The error names what is wrong."""
    assert dance(store, *words) == code
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1
    assert not (store.root / "kind" / "serving.json").exists()


def test_a_version_that_cannot_be_served_is_not_given_to_anybody(store: ActorStore, capsys):
    """The command reports it, so that no session meets it."""
    (store.root / "kind" / "2" / "generator.onnx").unlink()
    assert dance(store, "promote", "kind") == 1
    assert "lacks generator.onnx" in capsys.readouterr().err


def test_a_version_that_nobody_gets_is_listed_as_not_served(store: ActorStore, capsys):
    """The list and the last line of a training say that a version is published but not served."""
    published = publish_tiny(store, store.root.parent / "parts", "kind", serve=False)
    assert dance(store) == 0
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [(row[2].strip(), row[8].strip()) for row in rows] == [
        ("3", "not served"), ("2", "100 %"), ("1", "not served"),
    ]  # fmt: skip
    assert rollout_cli.published_line(published) == f"kind version 3 is published in {published.folder}, but not served"
    assert dance(store, "promote", "kind") == 0
    assert (
        rollout_cli.published_line(published)
        == f"kind version 3 is published in {published.folder}, and new sessions get it"
    )


def test_nothing_to_go_back_to(store: ActorStore, capsys):
    """A second rollback is an error."""
    assert dance(store, "rollback", "kind") == 0
    assert dance(store, "rollback", "kind") == 1
    assert capsys.readouterr().err == "error: nothing was served before version 1\n"


def test_the_same_is_done_where_that_command_is_not(store: ActorStore, capsys):
    """The same commands work in a container that only has the packages of the services."""
    actors = ["--actors", str(store.root)]
    assert rollout_cli.main(["canary", "kind", "--version", "2", "--percent", "5", *actors]) == 0
    assert store.served("kind") == Served(1, Canary(2, 5))
    assert rollout_cli.main(["promote", "kind", *actors]) == 0
    assert rollout_cli.main(["rollback", "kind", *actors]) == 0
    assert store.served("kind") == Served(1)
    assert rollout_cli.main(["promote", "kind", "--newest", *actors]) == 0
    assert store.served("kind").version == 2
    capsys.readouterr()
    assert rollout_cli.main(["promote", "nobody", *actors]) == 1
    assert capsys.readouterr().err == "error: there is no actor 'nobody'; there are: kind\n"


def test_versions_are_chosen_in_a_folder_and_not_on_a_server(store: ActorStore, capsys):
    """The server only reads the folder; these commands do not work over the network."""
    assert run(["actors", "--server", "127.0.0.1:1", "rollback", "kind"]) == 2
    assert "works on a folder (--actors), not on a server" in capsys.readouterr().err


def test_the_list_says_what_a_wardrobe_shows(store: ActorStore, tmp_path: Path, capsys):
    """Size, key frames, facings and consent have columns; a bare warp is said, and that the person's pixels are inside.

    A long consent is shortened.
    """
    poses = [with_arms_turned(person(), angle) for angle in (0.0, 1.0)]
    assert dance(store) == 0
    assert "pictures of the person" not in "".join(capsys.readouterr())
    actor = publish_tiny(store, tmp_path, "dressed", side_px=64, wardrobe=tiny_wardrobe(poses, 64))
    agreed = ConsentRecord.of_text("Anna Person, to this demonstration, on the first of March")
    store.publish(
        replace(actor, trained={"bare_warp": True}, consent=agreed), {path.name: path for path in actor.files}
    )
    assert dance(store) == 0
    shown = capsys.readouterr()
    bare, trained = (row.split("│") for row in shown.out.splitlines() if "dressed" in row)
    assert [cell.strip() for cell in trained[6:8]] == ["0.0 MB", "2 frames: front"]
    assert [row[9].strip() for row in (bare, trained)] == [
        "Anna Person, to this demonstration, on…",
        "not needed: drawn by a test",
    ]
    assert [row[10].strip() for row in (bare, trained)] == ["ready: moved limbs, not trained yet", "ready"]
    assert "dressed contains pictures of the person, cut from the footage" in shown.err
    assert "person's consent" in shown.err


def test_damaged_actors_are_listed_beside_the_others(store: ActorStore, capsys):
    """The table lists them all, each with its reason, and exits with 0; no other command fails because of them."""
    for name, (damage, _) in DAMAGES.items():
        shutil.copytree(store.root / "kind" / "1", store.root / name / "1")
        damage(store.root / name)
    assert dance(store) == 0
    states: dict[str, str] = {}
    name = ""
    for row in (row.split("│") for row in capsys.readouterr().out.splitlines() if row.startswith("│")):
        name = row[1].strip() or name  # a long reason continues on the next line
        states[name] = f"{states.get(name, '')} {row[-2].strip()}"
    assert set(states) == {"kind", *DAMAGES}
    assert "ready" in states.pop("kind")
    for name, state in states.items():
        assert DAMAGES[name][1].replace(" ", "") in state.replace(" ", "")
    for name, (_, said) in DAMAGES.items():
        assert dance(store, "promote", name) == 1
        told = " ".join(capsys.readouterr().err.split())
        assert said in told
        assert "Traceback" not in told
        assert rollout_cli.main(["rollback", name, "--actors", str(store.root)]) == 1
        assert capsys.readouterr().err.startswith("error: ")
