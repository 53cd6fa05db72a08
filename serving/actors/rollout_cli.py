"""`python -m serving.actors.rollout_cli COMMAND NAME`: set which version of an actor new sessions get, if any.

The commands are canary, promote, rollback, revoke and delete. They do the same as `dance actors ...`, for use in a
container with write access to the actors, where `dance` is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from motion.documents import shortened
from serving.actors.actor import Actor
from serving.actors.consent import MOST_NAME_CHARACTERS
from serving.actors.consent_history import MOST_REASON_CHARACTERS
from serving.actors.rollout import promoted, rolled_back, with_canary
from serving.actors.store import ActorStore
from serving.errors import ActorNotFound, ActorUnusable, BadInput, DanceError


def canary(store: ActorStore, name: str, version: int, percent: float) -> str:
    """Serve `version` to `percent` of the new sessions; return a line about what is served now.

    Like the other commands, raises BadInput, ActorNotFound, ActorUnusable for a version that cannot be served, and
    OSError.
    """
    store.load(name, version)  # fail now rather than in sessions
    store.serve(name, with_canary(store.served(name), version, percent))
    return described(store, name)


def promote(store: ActorStore, name: str, version: int = 0) -> str:
    """Serve `version` to all new sessions; 0 for the canary, or without one the newest."""
    now = store.served(name)
    version = version or (store.versions(name)[-1] if now.canary is None else now.canary.version)
    store.load(name, version)
    store.serve(name, promoted(now, version))
    return described(store, name)


def follow_newest(store: ActorStore, name: str) -> str:
    """Serve the newest version to all new sessions, including versions that are published later."""
    newest = max(store.versions(name), default=0)
    store.load(name, newest)
    store.serve(name, None)
    return described(store, name, later=" (and any newer one to come)")


def rollback(store: ActorStore, name: str) -> str:
    """Remove the canary; without one, serve the previous version."""
    then = rolled_back(store.served(name))
    store.load(name, then.version)
    store.serve(name, then)
    return described(store, name)


def revoke(store: ActorStore, name: str, version: int = 0, *, reason: str, by: str = "") -> str:
    """Revoke the consent to one version, or with 0 to the actor; see `ActorStore.revoke`. Raises BadInput too."""
    reason = _checked("--reason", reason, MOST_REASON_CHARACTERS)
    if not reason:
        raise BadInput("--reason", "cannot be blank: those who dance the actor read it")
    event = store.revoke(name, version, reason=reason, by=checked_by(by))
    return f"{name}: the consent to {numbered(event.versions)} was {event.text}"


def delete(store: ActorStore, name: str, version: int = 0, *, by: str = "") -> str:
    """Delete one version, or with 0 all of them; see `ActorStore.delete`. Raises BadInput too."""
    return f"deleted {name}, {numbered(store.delete(name, version, by=checked_by(by)))}"


def checked_by(by: str) -> str:
    """Return who does it, without white space around it. Raises BadInput for what the history cannot hold."""
    return _checked("--by", by, MOST_NAME_CHARACTERS)


def numbered(versions: Sequence[int]) -> str:
    """Return versions for people, such as "versions 1, 2"."""
    return f"version{'s' * (len(versions) > 1)} {', '.join(map(str, versions))}"


def described(store: ActorStore, name: str, *, later: str = "") -> str:
    """Return one line about what is served now."""
    now = store.served(name)
    shares = ", ".join(f"version {version} to {now.percent(version):g} %" for version in now.versions)
    return f"{name}: {shares} of the new sessions{later}; running sessions keep theirs"


def published_line(published: Actor) -> str:
    """Return the last line of a training: where its version is, and whether new sessions get it."""
    line = f"{published.id} version {published.version} is published in {published.folder}"
    with suppress(ActorNotFound, ActorUnusable):
        if ActorStore(published.folder.parent.parent).served(published.id).percent(published.version):
            return f"{line}, and new sessions get it"
    return f"{line}, but not served"


def _checked(option: str, text: str, most_characters: int) -> str:
    text = text.strip()
    if len(text) > most_characters:
        raise BadInput(option, f"{len(text)} characters; at most {most_characters} are kept")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(option, f"expected valid Unicode, got {shortened(text)}") from None
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.actors.rollout_cli",
        description="Set which version of an actor new sessions get, if any.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command, what in (
        ("canary", "serve a version to some of the new sessions"),
        ("promote", "serve a version to all new sessions; default: the canary, or without one the newest"),
        ("rollback", "remove the canary; without one, serve the previous version"),
        ("revoke", "revoke the consent; running sessions end at their next frame"),
        ("delete", "delete the files; the history of the consents stays"),
    ):
        one = commands.add_parser(command, help=what, description=what)
        one.add_argument("name", metavar="NAME", help="the actor")
        one.add_argument("--actors", type=Path, default=Path("/actors"), help="folder; default: %(default)s")
        if command != "rollback":
            one.add_argument("--version", type=int, required=command == "canary", default=0)
        if command == "canary":
            one.add_argument("--percent", type=float, required=True, help="above 0, below 100")
        if command in ("revoke", "delete"):
            one.add_argument("--by", default="", help="who does it, for the history")
        if command == "revoke":
            one.add_argument("--reason", required=True, help="why; sessions and the history say so")
        if command == "promote":
            one.add_argument("--newest", action="store_true", help="also any version published later")
    options = parser.parse_args(arguments)
    store = ActorStore(options.actors)
    try:
        match options.command:
            case "canary":
                print(canary(store, options.name, options.version, options.percent))
            case "promote" if options.newest:
                print(follow_newest(store, options.name))
            case "promote":
                print(promote(store, options.name, options.version))
            case "revoke":
                print(revoke(store, options.name, options.version, reason=options.reason, by=options.by))
            case "delete":
                print(delete(store, options.name, options.version, by=options.by))
            case _:
                print(rollback(store, options.name))
    except (DanceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
