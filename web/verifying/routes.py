"""Whether a file is marked as synthetic: `dance verify` for visitors.

POST /api/verify
    The body is a video (MP4, MOV, WebM, MKV, AVI) or a picture (PNG, JPEG, WebP), of at most `verify_bytes` as
    `GET /api/config` says; pictures have at most 64 MiB. It is told by its content, never by a name, and deleted before
    the answer is sent. With `?sidecar=N`, the first N bytes of the body are the file's .c2pa, which holds the Content
    Credentials of files that cannot hold any themselves. 200:

    `{"mark": "marked", "credentials": null or {…}, "watermark": null or {…}, "searched_pictures": 25,
    "consent": {…}, "server": "this", "server_asked": true}`

    mark: "marked" as synthetic, "changed" since it was signed (or its credentials are damaged), "unmarked": no mark was
    found, which does not say that it is real.

    credentials: `{"state": "valid", "signer": "Anna", "organisation": "…", "self_made": true, "software": "…",
    "digital_source_types": ["http://…"], "states": {"actor": "anna", "actor_version": 2, …}, "ingredients": [{"title":
    "clip.mp4", "has_credentials": false}], "faults": ["…"], "in_sidecar": false}`. state: "trusted" (an authority of
    WEB_VERIFY_TRUST names the signer), "valid" (not changed, but nothing vouches for the signer's name), "changed",
    "invalid" (damaged or forged: the rest cannot be relied on). All of it comes from the file.

    watermark: `{"server_key": "1a2b" or null, "session": "…" or null, "legible": true, "strength": 21.3,
    "false_alarm": 1e-40, "scale": 1.0}`. server: whose key it names: "this" server's (present or former), "another"
    one's, "unknown" (not legible, a server without a key, or this one's keys are not known), null without a watermark.

    consent: `{"allowed": "yes", "no" or "unknown", "words": "…", "actor": "anna", "actor_version": 2, "uses": null or
    ["public"], "until": "2027-12-31" or null, "ended_because": "…" or null, "same_record": true or null}`: whether the
    consent of the person still holds, by this server's record of the actor that valid credentials name. actor: "" if
    none do. uses: null without a record; [] if only its words say what it is for.

    server_asked: whether the orchestrator answered; null if there was nothing to ask.

Codes of refusals: bad_request 400, connection_lost 400, file_too_large 413, pictures_too_large 413, not_checkable 415,
not_a_video 415 (it only begins like one), unreadable_file 415, check_too_long 422, too_many_yours 429, full 503,
no_room 507. A visitor who goes away stops the check.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from web.access.refusals import Refused
from web.access.visitors import Visitors
from web.dances.messages import whole_number
from web.verifying.verifier import MOST_SIDECAR_BYTES, Verifier


def routes(verifier: Verifier, visitors: Visitors) -> list[BaseRoute]:
    """Return the route."""

    async def verify(request: Request) -> Response:
        visitor = visitors.of(request)
        sidecar_bytes = whole_number(request.query_params.get("sidecar", "0"), "sidecar")
        if sidecar_bytes < 0:
            raise Refused(400, "bad_request", "sidecar must be a number of bytes.")
        if sidecar_bytes > MOST_SIDECAR_BYTES:
            raise Refused(413, "file_too_large", f"A .c2pa file may have at most {MOST_SIDECAR_BYTES} bytes.")
        return JSONResponse(await verifier.verify(visitor, request, sidecar_bytes))

    return [Route("/api/verify", verify, methods=["POST"])]
