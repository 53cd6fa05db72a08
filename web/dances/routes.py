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
    204 if there is nothing newer than number N (-1 at first), otherwise 200 with a binary message as of the live
    WebSocket: u32 little-endian length of the head, the head in JSON, then its parts. The head: `{"number": 13,
    "sequence": 12, "width_px": 512, "height_px": 512, "source": 31000, "pose": 1644, "picture": 52000,
    "no_picture": "", "state": "dancing"}`. `source`, `pose` and `picture` are the lengths of the parts, in this order;
    0 if one is missing. Source and picture are JPEG. The pose is float32 little-endian `[joints, 3]`: x, y in pixels
    of a frame of `width_px` x `height_px`, which is what the pose was found in, and confidence. All three show the same frame;
    while the body is measured, there is only a source. Ask again right after an answer, or after 200 ms without one.
GET /dances/{id}/result
    The MP4, with Range. `?download=1` adds Content-Disposition: attachment. 409 `not_ready` before the state is "done".
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

Codes of refusals: no_such_dance 404, no_such_sample 404, bad_request 400, bad_background 400, no_such_actor 404,
wrong_offset 409, wrong_state 409, not_ready 409, too_many_dances 429, clip_too_large 413, chunk_too_large 413,
picture_too_large 413, not_a_video 415, not_a_picture 415, no_room 507. Words of failed dances: not_a_video,
unreadable_clip, clip_too_long, clip_too_big (its side), unreadable_background, nothing_to_dance (no picture came),
no_body, refused (by the server), server_gone, too_much (its result), no_room, unreadable_sound, internal.
"""
