"""Which actors a gateway that other machines can reach shows: those whose consent is stated.

An orchestrator on loopback serves them all, because it takes its callers for the person at the machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from client.connection.session import DanceClient
from client.connection.types import ActorListing
from web.access.refusals import Refused


class StatedConsents:
    """Refuses actors whose consent is not stated.

    stated_except: the actors that need no stated consent. None if none does, because only this machine sees the page.
    """

    def __init__(self, stated_except: Collection[str] | None) -> None:
        self._stated_except = stated_except

    def shown(self, listed: Iterable[ActorListing]) -> list[ActorListing]:
        """Return the list with refused actors as unavailable ones, without their previews."""
        return [one if self._may_be_shown(one) else _withheld(one) for one in listed]

    async def check(self, client: DanceClient, actor: str, version: int) -> None:
        """Ask the orchestrator for the consent, if it has to be stated. Raises Refused 409 and ServerError."""
        if self._stated_except is None or actor in self._stated_except:
            return
        listed = await client.actors(actor, version)
        if not any(map(self._may_be_shown, listed)):
            raise Refused(409, "consent_not_stated", f"{_reason(actor, version).capitalize()}.")

    def _may_be_shown(self, listed: ActorListing) -> bool:
        if self._stated_except is None or listed.actor in self._stated_except:
            return True
        return listed.consent_record is not None


def _withheld(listed: ActorListing) -> ActorListing:
    reason = listed.unavailable or _reason(listed.actor, listed.version)
    return replace(listed, unavailable=reason, served_percent=0.0, has_preview=False, preview=None)


def _reason(actor: str, version: int) -> str:
    which = f" version {version}" if version else ""
    return (
        f"the consent to actor {actor!r}{which} is not stated, and other machines can reach this page: train "
        "the actor with --consent, or name it in WEB_ALLOWED_WITHOUT_CONSENT"
    )
