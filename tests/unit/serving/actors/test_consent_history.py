"""Consents that end or are revoked, and actors whose consent is not stated."""

from __future__ import annotations

import errno
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from serving.actors.consent import ConsentRecord
from serving.actors.consent_history import (
    HISTORY_FILE,
    ConsentEvent,
    ConsentEventKind,
    agreement,
    append_event,
    read_history,
)
from serving.actors.rollout import Canary, Served
from serving.actors.store import ActorStore
from serving.errors import ActorNotFound, ActorUnusable, NoConsent
from tests.tiny_actors import publish_tiny

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AGREED = ConsentRecord(who="Anna", given_on=date(2026, 2, 1), words="to dancing")
AGAIN = replace(AGREED, given_on=date(2026, 3, 1))


@pytest.fixture
def store(tmp_path: Path) -> ActorStore:
    """A store at noon of 2026-03-01, with versions 1 and 2 of anna."""
    store = ActorStore(tmp_path / "actors", now=lambda: NOON)
    for _ in range(2):
        publish_tiny(store, tmp_path, "anna", consent=AGREED)
    return store


def _why_not(store: ActorStore, version: int = 0) -> tuple[str, str]:
    with pytest.raises(NoConsent) as refused:
        store.load("anna", version)
    return refused.value.reason, str(refused.value)


def test_a_consent_that_has_ended_is_refused(tmp_path: Path):
    """The last day itself still counts."""
    consent = replace(AGREED, until=date(2026, 3, 1))
    store = ActorStore(tmp_path / "actors", now=lambda: NOON)
    published = publish_tiny(store, tmp_path, "anna", consent=consent)
    assert store.load("anna").consent == consent
    later = ActorStore(store.root, now=lambda: datetime(2026, 3, 2, tzinfo=UTC))
    text = "the consent to actor 'anna' version 1 ended on 2026-03-01; a new version needs a new consent"
    assert _why_not(later) == ("expired", text)
    with pytest.raises(NoConsent):
        later.check_consent(published)
    (listed,) = later.listed()
    assert (listed.actor, listed.unavailable, listed.consent, listed.served_percent) == (None, text, consent, 0.0)
    with pytest.raises(NoConsent, match="ended on 2026-03-01"):
        publish_tiny(later, tmp_path, "anna", consent=consent)


def test_only_this_machine_dances_an_actor_without_a_stated_consent(tmp_path: Path):
    """A server that others reach refuses it, unless its settings name the actor."""
    here = ActorStore(tmp_path / "actors")
    publish_tiny(here, tmp_path, "anna", consent=ConsentRecord.of_text("not stated"))
    assert here.load("anna").version == 1
    reason, text = _why_not(ActorStore(here.root, stated_except=["ben"]))
    assert reason == "not_stated"
    assert text.endswith("train the actor with --consent, or name it in ORCHESTRATOR_ALLOWED_WITHOUT_CONSENT")
    assert ActorStore(here.root, stated_except=["anna"]).load("anna").version == 1


def test_revoking_an_actor_unserves_all_its_versions(store: ActorStore):
    """Refusals say when, by whom and why; the file with what is served goes, so that a later version is served."""
    store.serve("anna", Served(1, Canary(2, 10)))
    store.revoke("anna", reason="she asked for it", by="jo")
    text = "the consent to actor 'anna' version 1 was revoked on 2026-03-01 at 12:00 UTC by jo: she asked for it"
    assert _why_not(store, 1) == ("revoked", text)
    assert _why_not(store) == ("revoked", text.replace("version 1", "version 2"))
    assert store.served("anna").versions == ()
    assert not (store.root / "anna" / "serving.json").exists()
    assert [(one.version, one.served_percent, one.without_consent) for one in store.listed()] == [
        (2, 0.0, True),
        (1, 0.0, True),
    ]


def test_a_training_of_a_revoked_actor_needs_a_new_consent(store: ActorStore, tmp_path: Path):
    """It was given on the day of the revocation or later, and is another one than those that were revoked."""
    store.revoke("anna", reason="", by="")
    for old in (AGREED, replace(AGREED, recorded_by="max"), ConsentRecord.of_text("yes, again")):
        with pytest.raises(NoConsent, match=r"given on 2026-03-01 or later: --consent-on DATE"):
            publish_tiny(store, tmp_path, "anna", consent=old)
    assert publish_tiny(store, tmp_path, "anna", consent=AGAIN).version == 3
    assert store.load("anna").version == 3
    assert _why_not(store, 2)[0] == "revoked"
    store.revoke("anna", reason="", by="")
    with pytest.raises(NoConsent):
        publish_tiny(store, tmp_path, "anna", consent=replace(AGAIN, recorded_by="max"))


def test_a_version_that_was_copied_in_after_the_revocation_is_refused(store: ActorStore):
    """Its consent is the one that was revoked."""
    store.revoke("anna", reason="she asked")
    shutil.copytree(store.root / "anna" / "1", store.root / "anna" / "3")
    reason, text = _why_not(store, 3)
    assert (reason, text.endswith("this version's consent is not one that was given on 2026-03-01 or later")) == (
        "revoked",
        True,
    )


def test_one_revoked_version_leaves_the_others(store: ActorStore, tmp_path: Path):
    """Without a choice the newest of the others is served, a canary is dropped, and trainings go on."""
    store.revoke("anna", 2, reason="it shows a scar")
    assert store.served("anna") == Served(1)
    assert store.load("anna").version == 1
    store.serve("anna", Served(1, Canary(2, 10)))
    assert store.served("anna") == Served(1)
    store.serve("anna", Served(2))
    assert store.served("anna").versions == ()
    assert _why_not(store)[1].startswith("the consent to actor 'anna' version 2 was revoked on 2026-03-01")
    assert publish_tiny(store, tmp_path, "anna", consent=AGREED).version == 3
    assert store.load("anna").version == 3
    store.serve("anna", Served(2))
    assert _why_not(store)[0] == "revoked"
    store.serve("anna", None)
    with pytest.raises(ActorNotFound):
        store.revoke("anna", 9, reason="")


def test_a_deleted_version_is_not_said_to_have_failed_the_quality_gate(store: ActorStore):
    """It was the one that a person had chosen."""
    store.serve("anna", Served(2))
    store.delete("anna", 2)
    with pytest.raises(ActorUnusable, match=r"has version 1, .* or the version that was served is deleted"):
        store.load("anna")


def test_the_history_says_what_ended_a_version_that_is_gone(store: ActorStore):
    """A revocation rather than the deletion that followed it."""
    store.revoke("anna", 2, reason="it shows a scar")
    store.delete("anna")
    assert store.consents.past("anna", 1) == "actor 'anna' version 1 was deleted on 2026-03-01 at 12:00 UTC"
    assert store.consents.past("anna", 2).endswith("version 2 was revoked on 2026-03-01 at 12:00 UTC: it shows a scar")
    assert [store.consents.past(*gone) for gone in (("anna", 3), ("ben", 1))] == ["", ""]


def test_a_version_is_not_published_without_its_record(store: ActorStore, tmp_path: Path, monkeypatch):
    """A publisher that tries again does not publish it twice."""
    with monkeypatch.context() as patched:
        patched.setattr("serving.actors.consents.append_event", _full_disk)
        with pytest.raises(OSError, match="No space"):
            publish_tiny(store, tmp_path, "anna", consent=AGREED)
    assert store.versions("anna") == [1, 2]
    assert publish_tiny(store, tmp_path, "anna", consent=AGREED).version == 3
    assert not list((store.root / "anna").glob(".publishing-*"))


def _full_disk(home: Path, event: ConsentEvent) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("text", ["x" * 501, "\udcff"])
def test_an_event_that_could_not_be_read_is_not_written(store: ActorStore, text: str):
    """It would damage the history, and the actor with it."""
    with pytest.raises(ActorUnusable, match=r"'anna': consent_history\.jsonl: "):
        store.delete("anna", by=text)
    assert store.load("anna").version == 2


def test_the_history_says_what_happened(store: ActorStore):
    """Publications and revocations, in order, without the words of any consent."""
    store.revoke("anna", reason="she asked", by="jo")
    lines = [json.loads(line) for line in (store.root / "anna" / HISTORY_FILE).read_text().splitlines()]
    assert [(line["event"], line["versions"]) for line in lines] == [
        ("recorded", [1]),
        ("recorded", [2]),
        ("revoked", [1, 2]),
    ]
    assert {*lines[0]["consents"], *lines[2]["consents"]} == {agreement(AGREED)}
    assert "to dancing" not in str(lines)


def test_a_running_session_sees_a_revocation(store: ActorStore):
    """The check reads the file again as soon as it has changed, also if another process wrote it."""
    actor = store.load("anna", 1)
    store.check_consent(actor)
    ActorStore(store.root, now=lambda: NOON).revoke("anna", reason="enough")
    with pytest.raises(NoConsent, match="revoked on 2026-03-01 at 12:00 UTC: enough"):
        store.check_consent(actor)


def test_a_running_session_sees_a_deletion(store: ActorStore):
    """A version without its files is not danced from memory."""
    actor = store.load("anna", 1)
    shutil.rmtree(actor.folder)
    with pytest.raises(NoConsent, match="'anna' version 1 was deleted") as refused:
        store.check_consent(actor)
    assert refused.value.reason == "deleted"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "is not JSON"),
        ('{"event": "sold", "at": "2026-03-01T12:00:00+00:00", "versions": [1]}', "event: expected recorded, revoked"),
        ('{"event": "revoked", "at": "2026-03-01T12:00:00", "versions": [1]}', "at: expected a time with its zone"),
        ('{"event": "revoked", "at": "2026-03-01T12:00:00+00:00", "versions": [0]}', "versions"),
    ],
)
def test_a_damaged_history_serves_nothing(store: ActorStore, line: str, words: str):
    """The damaged line may be a revocation; the error names it."""
    path = store.root / "anna" / HISTORY_FILE
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ActorUnusable, match=f"consent_history.jsonl: line 3: {words}"):
        store.load("anna")


def test_writers_do_not_lose_each_others_events(tmp_path: Path):
    """They wait for each other."""
    kind = ConsentEventKind.RECORDED
    events = [ConsentEvent(kind=kind, at=NOON, versions=(version,)) for version in range(1, 41)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda event: append_event(tmp_path, event), events))
    assert sorted(event.versions for event in read_history(tmp_path).events) == [event.versions for event in events]
