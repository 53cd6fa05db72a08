"""The HTTP interface of dances and recordings.

Every path begins with /api. A visitor sees only what is theirs: the rest answers 404 `no_such_dance`. Refusals are
`{"error": {"code": "clip_too_large", "text": "…"}}`, as everywhere. Times are in seconds, sizes in bytes or pixels.

GET /samples
    `{"samples": [{"id": "steps", "seconds": 6.0, "frames": 150, "rate_hz": 25.0, "width_px": 512, "height_px": 512,
    "bytes": 441892}]}`. The page has the title of each id in its words.
GET /samples/{id}/video
    The MP4, with Range.

GET /dances
    `{"dances": [DANCE, …], "limits": {…}}`: the visitor's own, dances and recordings, newest first. The limits:
    `clip_bytes`, `clip_seconds`, `clip_side_px`, `chunk_bytes`, `picture_bytes`, `dances` (of one visitor),
    `kept_seconds`, `recording_bytes`, `recording_seconds`, `sound_bytes`.
POST /dances
    `{"actor": "sample", "version": 0, "source": {"sample": "steps"} or {"bytes": 1234567}, "background": {"kind":
    "own"}, "mirror": false}` -> 201 DANCE. Backgrounds: `{"kind": "own"}`, `{"kind": "green"}`,
    `{"kind": "colour", "colour": "#102030"}`, `{"kind": "picture", "bytes": 34567}`. `mirror`: the actor moves as if
    the dancer were in front of a mirror. With a picture or a clip to upload, the state is "uploading" until all of it
    is there.
GET /dances/{id}
    DANCE.
PUT /dances/{id}/upload?offset=N
    The next bytes of the clip (or of a recording's sound), at most `chunk_bytes`, as the body -> 200 DANCE. The offset
    is how many bytes the server has, `source.received_bytes`. Another offset is 409
    `{"error": {"code": "wrong_offset", …}, "received_bytes": M}`: go on at M. Each request is one chunk; after a lost
    connection, ask for DANCE and go on. The last chunk answers once the clip was opened and checked.
PUT /dances/{id}/background
    The picture as the body (JPEG or PNG, at most `picture_bytes`) -> 200 DANCE. Before or after the clip.
GET /dances/{id}/preview?after=N
    204 if N (-1 at first) is the number of the newest one, otherwise 200 with a binary message as of the live
    WebSocket: u32 little-endian length of the head, the head in JSON, then its parts. The head: `{"number": 13,
    "sequence": 12, "width_px": 512, "height_px": 512, "source": 31000, "pose": 1644, "picture": 52000,
    "no_picture": "", "state": "dancing"}`. `source`, `pose` and `picture` are the lengths of the parts, in this order;
    0 if one is missing. Source and picture are JPEG. The pose is float32 little-endian `[joints, 3]`: x, y and
    confidence. x and y are pixels of a frame of `width_px` x `height_px`, in which the pose was found. All three
    belong to the same frame; while the body is measured, there is only a source. Ask again right after an answer, or
    after 200 ms without one.
GET /dances/{id}/result
    The MP4, with Range. `?download=1` makes it a download, named after the actor and the dance's time in UTC. 409
    `not_ready` before the state is "done".
GET /dances/{id}/source
    What was uploaded, or the sample, with Range, for playing it beside the result. Not flipped by `mirror`.
GET /dances/{id}/poses
    The poses of all frames, for the skeleton beside the played result, once the state is "done": u32 little-endian
    length of the head, the head in JSON (padded so that what follows begins at a multiple of 4 bytes), then three
    tables in little-endian: float32 `[frames]` times in seconds, as in source and result; int16 `[frames, joints, 2]`
    x and y in eighths of a pixel; uint8 `[frames, joints]` confidence * 255, all 0 for a frame without a dancer. The
    head: `{"frames": 150, "joints": 137, "width_px": 512, "height_px": 512}`. With `mirror`, x counts in the flipped
    frame. Frames from servers that send no poses have none.
POST /dances/{id}/cancel
    Stop it -> 200 DANCE, in state "cancelled". Its files are deleted at once, except `dance.json`.
DELETE /dances/{id}
    Stop it and delete everything -> 204.

POST /recordings
    `{"actor": "sample"}` -> 201 DANCE of kind "recording", in state "recording". The page then sends its id in the live
    session, which adds every shown picture from then on.
POST /recordings/{id}/stop
    `{"sound_bytes": 0 or N, "sound_begins_seconds": 0.0}` -> 200 DANCE. No more pictures. With sound (WebM or MP4 as
    from MediaRecorder) the state is "uploading" until PUT /dances/{id}/upload has sent all of it, then "waiting",
    "finishing" and "done". sound_begins_seconds: when the sound's first moment was, counted from the recording's first
    picture; negative if the sound is ahead. All routes of /dances/{id} apply, except poses, source and preview.

DANCE
    `{"id": "32 hex digits", "kind": "dance" or "recording", "state": "dancing", "word": "", "text": "",
    "actor": "sample", "version": 0, "mirror": false, "background": "own",
    "source": {"sample": "", "bytes": 1234567, "received_bytes": 1234567, "seconds": 6.0, "frames": 150,
               "rate_hz": 25.0, "width_px": 512, "height_px": 512, "has_sound": true, "media_type": "video/mp4"},
    "place": null, "measured": 150, "done": 75, "of": 150, "rate_hz": 12.4, "seconds_left": 6.0,
    "pictures": 74, "remarks": {"no_person": 1, "out of stage": 3}, "notes": ["…"], "began_again": 0,
    "result": null or {"bytes": 812345, "seconds": 6.0, "frames": 150, "width_px": 512, "height_px": 512},
    "deletes_in_seconds": null or 3540.0}`

    state: uploading, recording, waiting (in the queue: `place` 0 is next), measuring (the dancer's body, in a first
    pass: `measured` of `of` frames), dancing (`done` of `of`), finishing (the MP4 is written: `done` of `of` counts
    again), done, failed, cancelled.
    word and text: why it failed, or waits: `sign_in_again`, `server_full`, `server_lost` (it goes on by itself).
    `seconds`, `frames`, `of`, `rate_hz` and `seconds_left` are null while unknown. `source.seconds` to `media_type` are
    null or empty until the clip was checked. `remarks` count frames: reasons why there was no picture, and
    the server's remarks. `notes` are the reader's sentences about the clip. `began_again`: how often a restarted
    server could not go on and the dance began from its first frame.

Codes of refusals: no_such_dance 404, no_such_sample 404, bad_request 400, bad_background 400, no_wardrobe 400,
no_such_actor 404, consent_not_stated 409, wrong_offset 409, wrong_state 409, not_ready 409, too_many_dances 429,
clip_too_large 413, chunk_too_large 413, picture_too_large 413, not_a_video 415, not_a_picture 415, no_room 507. Words
of failed dances: not_a_video, unreadable_clip, clip_too_long, clip_too_big (its side), unreadable_background,
nothing_to_dance (no picture came), no_body, refused (by the server), server_gone, no_room, unreadable_sound, internal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from client.connection.types import ActorListing
from serving.process.atomic_files import written_whole
from web.access.refusals import Refused
from web.access.visitors import Visitor
from web.dances.clips import (
    CHUNK_BYTES,
    PICTURE_BYTES,
    SNIFFED_BYTES,
    SampleDance,
    append_chunk,
    check_background,
    check_beginning,
)
from web.dances.dance import BACKGROUND_FILE, POSES_FILE, RESULT_FILE, SOURCE_FILE, Dance, Kind, State
from web.dances.keeper import DanceKeeper
from web.dances.messages import (
    body_of,
    dance_wish,
    described,
    described_sample,
    json_of,
    limits,
    recording_wish,
    sound_wish,
    whole_number,
)
from web.dances.recordings import check_sound
from web.dances.store import no_room


def routes(keeper: DanceKeeper) -> list[BaseRoute]:
    """Return the routes of dances, recordings and sample dances."""
    handlers = _Handlers(keeper)
    paths: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("GET", "samples", handlers.samples),
        ("GET", "samples/{sample}/video", handlers.sample_video),
        ("GET", "dances", handlers.listed),
        ("POST", "dances", handlers.create),
        ("GET", "dances/{id}", handlers.shown),
        ("PUT", "dances/{id}/upload", handlers.upload),
        ("PUT", "dances/{id}/background", handlers.background),
        ("GET", "dances/{id}/preview", handlers.preview),
        ("GET", "dances/{id}/result", handlers.result),
        ("GET", "dances/{id}/source", handlers.source),
        ("GET", "dances/{id}/poses", handlers.poses),
        ("POST", "dances/{id}/cancel", handlers.cancel),
        ("DELETE", "dances/{id}", handlers.delete),
        ("POST", "recordings", handlers.record),
        ("POST", "recordings/{id}/stop", handlers.stop_recording),
    ]
    return [Route(f"/api/{path}", handler, methods=[method]) for method, path, handler in paths]


class _Handlers:
    def __init__(self, keeper: DanceKeeper) -> None:
        self._keeper = keeper
        self._store = keeper.store

    async def samples(self, request: Request) -> Response:
        self._visitor(request)
        return JSONResponse({"samples": [described_sample(sample) for sample in self._keeper.samples.values()]})

    async def sample_video(self, request: Request) -> Response:
        self._visitor(request)
        return FileResponse(self._sample(request.path_params["sample"]).path, media_type="video/mp4")

    async def listed(self, request: Request) -> Response:
        dances = self._store.of(self._visitor(request).id)
        described_dances = [described(self._keeper, dance) for dance in dances]
        return JSONResponse({"dances": described_dances, "limits": limits(self._keeper.settings)})

    async def create(self, request: Request) -> Response:
        visitor = self._visitor(request)
        wish = dance_wish(await json_of(request))
        most = self._keeper.settings.max_clip_bytes
        if wish["bytes"] > most:
            raise Refused(413, "clip_too_large", f"This clip has {wish['bytes']} bytes; at most {most} are taken.")
        clip = self._sample(wish["sample"]).clip if wish["sample"] else None
        await self._check_actor(visitor, wish)
        dance = self._store.create(visitor, Kind.DANCE, State.UPLOADING, clip=clip, **wish)
        if dance.has_all:
            await self._keeper.uploaded(dance)
        return self._answer(dance, 201)

    async def _check_actor(self, visitor: Visitor, wish: dict[str, Any]) -> None:
        async with self._keeper.orchestrator.client(visitor) as client:
            listed: list[ActorListing] = [actor for actor in await client.actors() if actor.actor == wish["actor"]]
            wanted = [actor for actor in listed if wish["version"] in (0, actor.version)]
            if not wanted:
                what = f"{wish['actor']!r} in version {wish['version']}"
                raise Refused(404, "no_such_actor", f"There is no actor {what}.")
            await self._keeper.orchestrator.consents.check(client, wish["actor"], wish["version"])
        if wish["place"].kind != "own" and all(actor.wardrobe is None for actor in wanted):
            raise Refused(400, "no_wardrobe", "This actor has no wardrobe and cannot leave its own place.")

    async def shown(self, request: Request) -> Response:
        return self._answer(self._dance(request))

    async def upload(self, request: Request) -> Response:
        dance = self._dance(request)
        offset = whole_number(request.query_params.get("offset", ""), "offset")
        chunk = await body_of(request, CHUNK_BYTES, "chunk_too_large")
        path = dance.folder / SOURCE_FILE
        sound = dance.record.kind is Kind.RECORDING
        async with dance.uploading:
            _expect(dance, State.UPLOADING)
            there = dance.received_bytes
            if offset != there or there == dance.record.bytes:
                text = f"The server has {there} bytes of this file: go on there."
                wrong = {"error": {"code": "wrong_offset", "text": text}, "received_bytes": there}
                return JSONResponse(wrong, 409)
            if not chunk or there + len(chunk) > dance.record.bytes:
                text = f"{dance.record.bytes} bytes were announced: a chunk of {len(chunk)} does not fit after {there}."
                raise Refused(400, "bad_request", text)
            if offset == 0:
                try:
                    check_beginning(chunk[:SNIFFED_BYTES], sound=sound)
                except Refused as refusal:
                    await self._store.end(dance, State.FAILED, refusal.word, str(refusal))
                    raise
            await asyncio.to_thread(self._store.check_room)
            try:
                await asyncio.to_thread(append_chunk, path, offset, chunk)
            except OSError as error:
                raise no_room() from error
            self._store.change(dance, touched_s=self._store.clock())
            if dance.has_all:
                if sound:
                    await self._check_sound(dance, path)
                await self._keeper.uploaded(dance)
        return self._answer(dance)

    async def _check_sound(self, dance: Dance, path: Path) -> None:
        try:
            await asyncio.to_thread(check_sound, path)
        except Refused as refusal:  # nothing that is sent later could mend it
            await self._store.end(dance, State.FAILED, refusal.word, str(refusal))
            raise

    async def background(self, request: Request) -> Response:
        dance = self._dance(request)
        data = await body_of(request, PICTURE_BYTES, "picture_too_large")
        async with dance.uploading:
            _expect(dance, State.UPLOADING)
            if dance.record.place.kind != "picture" or dance.has_background:
                raise Refused(409, "wrong_state", "This dance expects no picture.")
            picture = await asyncio.to_thread(check_background, data)
            with written_whole(dance.folder / BACKGROUND_FILE) as partial:
                partial.write_bytes(picture.data)
            self._store.change(dance, touched_s=self._store.clock())
            if dance.has_all:
                await self._keeper.uploaded(dance)
        return self._answer(dance)

    async def preview(self, request: Request) -> Response:
        dance = self._dance(request)
        after = whole_number(request.query_params.get("after", "-1"), "after")
        preview, number = dance.progress.preview, dance.progress.number
        if preview is None or number == after:
            return Response(status_code=204)
        message = preview.message(number, dance.record.state.value)
        return Response(message, media_type="application/octet-stream", headers={"cache-control": "no-store"})

    async def result(self, request: Request) -> Response:
        dance = self._dance(request)
        _expect_done(dance)
        begun = datetime.fromtimestamp(dance.record.created_s, UTC).strftime("%Y-%m-%d-%H%M%S")
        download = f"{dance.record.actor}-{begun}.mp4" if request.query_params.get("download") else None
        return _file(dance.folder / RESULT_FILE, "video/mp4", download)

    async def source(self, request: Request) -> Response:
        dance = self._dance(request)
        if dance.record.kind is Kind.RECORDING or dance.record.clip is None or not dance.has_all:
            raise Refused(409, "not_ready", "The clip is not there yet, or not any more.")
        return _file(self._keeper.source_of(dance), dance.record.clip.media_type)

    async def poses(self, request: Request) -> Response:
        dance = self._dance(request)
        _expect_done(dance)
        if dance.record.kind is Kind.RECORDING:
            raise Refused(409, "not_ready", "A recording has no poses.")
        return _file(dance.folder / POSES_FILE, "application/octet-stream")

    async def cancel(self, request: Request) -> Response:
        dance = self._dance(request)
        await self._keeper.cancel(dance)
        return self._answer(dance)

    async def delete(self, request: Request) -> Response:
        await self._keeper.remove(self._dance(request))
        return Response(status_code=204)

    async def record(self, request: Request) -> Response:
        visitor = self._visitor(request)
        dance = self._keeper.begin_recording(visitor, recording_wish(await json_of(request)))
        return self._answer(dance, 201)

    async def stop_recording(self, request: Request) -> Response:
        dance = self._dance(request)
        said = await json_of(request)
        async with dance.uploading:
            _expect(dance, State.RECORDING)
            await self._keeper.stop_recording(dance, *sound_wish(said))
        return self._answer(dance)

    def _visitor(self, request: Request) -> Visitor:
        visitor = self._keeper.visitors.of(request)
        self._keeper.queue.wake()  # a dance of this visitor may have waited for a sign-in
        return visitor

    def _dance(self, request: Request) -> Dance:
        dance_id: str = request.path_params["id"]
        return self._store.find(self._visitor(request).id, dance_id)

    def _sample(self, sample_id: str) -> SampleDance:
        if sample_id not in self._keeper.samples:
            raise Refused(404, "no_such_sample", "There is no such sample dance.")
        return self._keeper.samples[sample_id]

    def _answer(self, dance: Dance, status: int = 200) -> Response:
        return JSONResponse(described(self._keeper, dance), status)


def _expect(dance: Dance, state: State) -> None:
    if dance.record.state is not state:
        raise Refused(409, "wrong_state", f"That needs the state {state.value}; this is {dance.record.state.value}.")


def _expect_done(dance: Dance) -> None:
    if dance.record.state is not State.DONE:
        raise Refused(409, "not_ready", "It is not done yet, or it failed.")


def _file(path: Path, media_type: str, download: str | None = None) -> FileResponse:
    """Return a file, with Range, that only the visitor's own browser may keep."""
    if not path.is_file():
        raise Refused(409, "not_ready", "This file is not there.")
    kept = {"cache-control": "private, no-store"}
    return FileResponse(path, media_type=media_type, filename=download, headers=kept)
