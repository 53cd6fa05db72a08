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
    GET    /api/makings/ID/preview             the newest preview, a PNG
    DELETE /api/makings/ID                     cancel it, and forget it
    DELETE /api/makings/actors/ACTOR           withdraw an actor: delete all its versions

**GET /api/makings**: `{"steps": [STEP...], "limits": {"seconds", "bytes", "frame_bytes", "name_characters",
"words_characters", "chunk_bytes"}, "minutes", "preset", "makings": [MAKING...]}`. The newest making comes first.
STEP is `{"id": "front", "views": ["front"], "seconds": 2.0}`, in the order of filming: a step is good once each of its
views was seen for so many seconds. `minutes` of training follow the preparation of the footage.

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
                 "steps": {"front": 4.0, …}, "views": {"front": 3.2, …}, "end": "" | "full"},
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
`frame_rate`, `sharpness`, `frame_rates`, `damage`, `outlines`, `place`, `props`. Codes of `problem`: `no_body`,
`too_short`, `footage_refused`, `footage_unreadable`, `disk_full`, `not_published`, `training_failed`,
`cluster_failed`.

**Filming** uses the live session's WebSocket: its first message is `{"film": {"making": "ID"}}`, and then each frame is
a message of kind 2 with its capture time, as in a live session; `{"step": "front"}` names the step of the frames that
follow. Frames beyond the limits are not kept (`footage.end` is then `full`). A gap of more than half a second begins a
new file, so a lost connection or a pause does no harm. The gateway keeps the frames as they come; `Makings.filming`
opens the spool for the session.

**PUT …/footage?offset=N**: bytes from N on, at most `limits.chunk_bytes`; `&size=TOTAL` with the first. Answers the
making; `footage.bytes` is how much is there. 409 `wrong_offset` with `"offset"` in the error: go on there. The bytes
must be an MP4, MOV, MKV, WebM or AVI: 415 `not_a_video`. 413 `footage_too_large`. It replaces frames that were filmed.

**POST …/consent** `{"name": "Anna K.", "typed": "I agree", "shown": "the whole text that the page showed"}`: stored
with the time, and later with the actor, where everybody who may use the actor can read it. 422 `bad_consent`: one of
them is empty or too long. It can be repeated until the start.

**POST …/start**: 409 `no_consent`, `no_footage` (none, or an upload that is not complete), `already_started`;
429 `too_many` with Retry-After: the queue is full.

**POST …/cancel**: answers at once with the state `cancelled`; then the training is ended and the files are deleted.
Versions that were published already stay until they are withdrawn.

**DELETE …/actors/ACTOR**: 204. Only for the visitor who made it here (404 `not_yours` otherwise), and not while it is
in training (409 `in_training`). New sessions no longer find the actor; running ones go on to their end.
"""

from __future__ import annotations
