"""Make an actor from the page, over HTTP.

A *making* is one attempt of a visitor to become an actor: footage, consent, training. Only its visitor sees it. All
answers are JSON unless stated otherwise. Errors are those of `web.access.refusals`; their codes are named below.
Without `WEB_MAKES_ACTORS` all of this answers 404 `not_offered`.

    GET    /api/makings                        what is offered here, and the visitor's makings
    GET    /api/makings/name?name=NAME         the actor's id that a name becomes, and whether it is free
    POST   /api/makings                        begin a making
    GET    /api/makings/ID                     its state
    POST   /api/makings/ID/film                drop the footage, to film again
    PUT    /api/makings/ID/footage?offset=N    a piece of a video file, in place of filming
    POST   /api/makings/ID/consent             store the consent
    POST   /api/makings/ID/start               queue the training
    POST   /api/makings/ID/cancel              end it, and delete the footage
    GET    /api/makings/ID/preview?after=N     the newest preview, a PNG
    DELETE /api/makings/ID                     cancel it, delete the footage, and forget it
    DELETE /api/makings/actors/ACTOR           withdraw an actor: delete all its versions

**GET /api/makings**: `{"steps": [STEP...], "limits": {"seconds", "bytes", "name_characters", "words_characters",
"chunk_bytes"}, "frame_rate", "minutes", "preset", "picture_px": [640, 480], "makings": [MAKING...]}`. The newest making
comes first.
STEP is `{"id": "front", "views": ["front", "left_foot", "right_foot"], "seconds": 2.0}`, in the order of filming: a
step is good once each of its views was seen for so many seconds while it was asked for. The last step, `dance`, has no
views: the person moves freely for so long. More frames a second than `frame_rate` are thinned out, so 15 to 30 are
worth sending, each of as many pixels as `picture_px`. `minutes` of training follow the preparation of the footage.

**GET /api/makings/name**: `{"actor": "anna", "free": true, "yours": false}`. An actor of one's own is free to get a new
version.

**POST /api/makings** `{"name": "Anna", "delete_footage": true}`: 201 and the making. `delete_footage` (default true):
delete the footage and everything made from it when the training ends; a cancelled making always deletes it.
422 `bad_name`: no letter or digit in it, or too long. 409 `name_taken`: an actor or a making of that name exists and is
not this visitor's. 409 `making_exists`: this visitor already has one that has not ended; cancel it, or go on with it.
507 `disk_full`.

**MAKING**:

    {"id": "…", "name": "Anna", "actor": "anna", "state": "filming", "created": "2026-01-31T12:00:00Z",
     "footage": {"kind": "camera" | "file" | "", "frames": 300, "seconds": 20.1, "bytes": 12000000, "size": 12000000,
                 "steps": {"front": 4.0, …}, "views": {"front": 3.2, …}, "end": "" | "full" | "size"},
     "consent": null | {"name", "typed", "shown", "at"},
     "delete_footage": true,
     "position": 0,
     "progress": null | {"stage", "phase", "part", "done", "total", "unit", "seconds_left", "elapsed_seconds"},
     "version": 0, "versions": [1, 2], "preview": 0,
     "findings": [{"word": "whole_body", "level": "warning" | "refused", "measured": "…", "advice": "…"}],
     "problem": null | {"code": "…", "text": "…"},
     "ended": null | "2026-01-31T12:03:00Z", "footage_deleted": false}

`state`, and what follows it:

    filming     footage is missing or can still grow                   consent, start
    waiting     in the queue; `position` 1 is next, 0 is not waiting   training, or cancelled
    training    see `progress`                                         done, refused, failed or cancelled
    refused     the footage is not worth training on: `findings` says why; POST …/film, and start again
    done        the actor has its last version
    failed      `problem` says why; POST …/start tries again if the footage is still there
    cancelled   by the visitor

`version` is the newest published version, 0 before the first: from 1 on the actor is served, and its card exists, while
the training goes on. `preview` counts the previews: a changed number is a new picture. `progress.stage` is a stable
word: `starting`, `looking` (poses, place and outlines in the footage), `cutting` (limbs and the first version),
`learning`, `finishing` (scores, publishing). `phase`, `part` (0 to 1, null if unknown), `done`, `total`, `unit` and
`seconds_left` are those of the training's own progress lines. `findings` also holds the warnings of usable footage.
The words of findings are those of `dance prepare`, in snake_case: `poses`, `length`, `whole_body`, `size`, `faces`,
`hands`, `sides`, `arms`, `hand_shapes`, `feet`, `back`, `other_people`, `camera`, `light`, `cuts`, `leaps`,
`frame_rate`, `sharpness`, `frame_rates`, `damage`, `outlines`, `place`, `props`. Codes of `problem`: `footage_refused`
(see `findings`), `footage_unusable`, `too_short` and `not_good_enough` (of a refused making), `disk_full` and
`training_failed` (of a failed one).

**Filming** uses the live session's WebSocket: its first message is `{"film": {"making": "ID"}}`, and then each frame is
a message of kind 2 with its capture time, as in a live session; `{"step": "front"}` names the step of the frames that
follow. Frames beyond the limits are not kept (`footage.end` is then `full`). A gap of more than half a second begins a
new file, so a lost connection or a pause does no harm. The gateway keeps the frames as they come; `Makings.filming`
opens the spool for the session. Its `pose` takes the pose of each frame, wherever it was found, and returns for how
long each view was seen; `append` keeps frames that all have the first one's size (`footage.end` is `size` once one had
another).

**PUT …/footage?offset=N**: bytes from N on, at most `limits.chunk_bytes`; `&size=TOTAL` with the first. Answers the
making; `footage.bytes` is how much is there. 409 `wrong_offset` has `received_bytes` beside the error: go on there. The
bytes must be an MP4, MOV, MKV, WebM or AVI: 415 `not_a_video`. 413 `footage_too_large`. 409 `already_filmed` in other
states than `filming`. Offset 0 begins again, and replaces frames that were filmed. The last piece answers once the
video was opened: then `footage.frames` is above 0; 415 `unreadable_clip`, 413 `footage_too_long` and `clip_too_big`
(its pictures) drop it again.

**POST …/consent** `{"name": "Anna K.", "typed": "I agree", "shown": "the whole text that the page showed"}`: stored
with the time, and later with the actor, where everybody who may use the actor can read it. 422 `bad_consent`: one of
them is empty or too long. It can be repeated until the start.

**POST …/start**: 409 `no_consent`, `no_footage` (none, or an upload that is not complete), `already_started`;
429 `too_many` with Retry-After: the queue is full.

**POST …/cancel**: answers at once with the state `cancelled`; then the training is ended and the files are deleted.
Versions that were published already stay until they are withdrawn.

**DELETE …/ID**: 204, once its files are gone; 500 `not_deleted` if they cannot be deleted now. If its actor exists,
only the footage goes: the record says whose actor it is.

**DELETE …/actors/ACTOR**: 204. Only for the visitor who made it here (404 `not_yours` otherwise), and not while it is
in training (409 `in_training`). New sessions no longer find the actor; running ones go on to their end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from motion.documents import BadDocument, Fields, parsed
from web.access.refusals import Refused
from web.access.visitors import Visitor, Visitors
from web.dances.clips import CHUNK_BYTES
from web.dances.messages import body_of, whole_number
from web.making.makings import MOST_WORDS_CHARACTERS, Makings, WrongOffset
from web.making.names import MOST_NAME_CHARACTERS
from web.making.store import Making
from web.making.view import STEPS, filmed_px, preview_number

_MOST_JSON_BYTES: Final = 2**17
_PATH: Final = "/api/makings"


def routes(makings: Makings | None, visitors: Visitors) -> list[BaseRoute]:
    """Return the routes of makings; None for a gateway that makes no actors."""
    if makings is None:
        return _routes_without()
    handlers = _Handlers(makings, visitors)
    paths: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("GET", "", handlers.listed),
        ("POST", "", handlers.begin),
        ("GET", "/name", handlers.name),
        ("DELETE", "/actors/{actor}", handlers.withdraw),
        ("GET", "/{id}", handlers.shown),
        ("DELETE", "/{id}", handlers.forget),
        ("POST", "/{id}/film", handlers.film),
        ("PUT", "/{id}/footage", handlers.upload),
        ("POST", "/{id}/consent", handlers.agree),
        ("POST", "/{id}/start", handlers.start),
        ("POST", "/{id}/cancel", handlers.cancel),
        ("GET", "/{id}/preview", handlers.preview),
    ]
    return [Route(_PATH + path, handler, methods=[method]) for method, path, handler in paths]


def _routes_without() -> list[BaseRoute]:
    async def refuse(request: Request) -> Response:
        raise Refused(404, "not_offered", "This server makes no actors.")

    methods = ["GET", "POST", "PUT", "DELETE"]
    return [Route(_PATH, refuse, methods=methods), Route(_PATH + "/{rest:path}", refuse, methods=methods)]


class _Handlers:
    def __init__(self, makings: Makings, visitors: Visitors) -> None:
        self._makings = makings
        self._visitors = visitors
        self._store = makings.store

    async def listed(self, request: Request) -> Response:
        settings = self._makings.settings
        mine = self._store.of(self._visitor(request).id)
        return JSONResponse(
            {
                "steps": [asdict(step) for step in STEPS],
                "limits": {
                    "seconds": settings.max_making_seconds,
                    "bytes": settings.max_making_bytes,
                    "name_characters": MOST_NAME_CHARACTERS,
                    "words_characters": MOST_WORDS_CHARACTERS,
                    "chunk_bytes": CHUNK_BYTES,
                },
                "frame_rate": settings.making_frame_rate,
                "minutes": settings.making_minutes,
                "preset": settings.making_preset,
                "picture_px": filmed_px(settings.making_preset),
                "makings": [self._makings.view(making) for making in mine],
            }
        )

    async def name(self, request: Request) -> Response:
        return JSONResponse(self._makings.name(self._visitor(request), request.query_params.get("name", "")))

    async def begin(self, request: Request) -> Response:
        visitor = self._visitor(request)
        said = await _said(request)
        try:
            name, delete_footage = (
                said.text("name", 4 * MOST_NAME_CHARACTERS),
                said.flag("delete_footage", default=True),
            )
        except BadDocument as error:
            raise _bad(error) from error
        return self._answer(self._makings.begin(visitor, name, delete_footage=delete_footage), 201)

    async def shown(self, request: Request) -> Response:
        return self._answer(self._making(request))

    async def forget(self, request: Request) -> Response:
        making = self._making(request)
        await self._makings.forget(making)
        return Response(status_code=204)

    async def film(self, request: Request) -> Response:
        making = self._making(request)
        await self._makings.film(making)
        return self._answer(making)

    async def upload(self, request: Request) -> Response:
        making = self._making(request)
        offset = whole_number(request.query_params.get("offset", ""), "offset")
        size = request.query_params.get("size")
        chunk = await body_of(request, CHUNK_BYTES, "footage_too_large")
        try:
            await self._makings.upload(making, offset, None if size is None else whole_number(size, "size"), chunk)
        except WrongOffset as wrong:
            error = {"code": wrong.word, "text": str(wrong)}
            return JSONResponse({"error": error, "received_bytes": wrong.received_bytes}, wrong.status)
        return self._answer(making)

    async def agree(self, request: Request) -> Response:
        making = self._making(request)
        said = await _said(request)
        try:
            words = [said.text(word, 2 * MOST_WORDS_CHARACTERS) for word in ("name", "typed", "shown")]
        except BadDocument as error:
            raise Refused(422, "bad_consent", f"This consent cannot be used: {error}.") from error
        self._makings.agree(making, *words)
        return self._answer(making)

    async def start(self, request: Request) -> Response:
        making = self._making(request)
        self._makings.start(making)
        return self._answer(making)

    async def cancel(self, request: Request) -> Response:
        making = self._making(request)
        self._makings.cancel(making)
        return self._answer(making)

    async def preview(self, request: Request) -> Response:
        making = self._making(request)
        number = preview_number(making)
        if number <= whole_number(request.query_params.get("after", "0"), "after"):
            return Response(status_code=204)
        kept = {"cache-control": "private, no-store"}
        return FileResponse(making.preview, media_type="image/png", headers=kept)

    async def withdraw(self, request: Request) -> Response:
        await self._makings.withdraw(self._visitor(request), request.path_params["actor"])
        return Response(status_code=204)

    def _visitor(self, request: Request) -> Visitor:
        return self._visitors.of(request)

    def _making(self, request: Request) -> Making:
        making_id: str = request.path_params["id"]
        return self._store.find(self._visitor(request).id, making_id)

    def _answer(self, making: Making, status: int = 200) -> Response:
        return JSONResponse(self._makings.view(making), status)


async def _said(request: Request) -> Fields:
    try:
        return Fields.of(parsed(await body_of(request, _MOST_JSON_BYTES, "bad_request")))
    except BadDocument as error:
        raise _bad(error) from error


def _bad(error: BadDocument) -> Refused:
    return Refused(400, "bad_request", f"This request cannot be used: {error}.")
