"""A complete client: `python examples/transfer_client.py samples/source_clip.mp4 sample out/actor.mp4`."""

import sys
from collections.abc import Iterator

import av
import grpc
import numpy as np
from dance.v1 import transfer_pb2, transfer_pb2_grpc
from dance.v1.frame_pb2 import Picture
from simplejpeg import decode_jpeg, encode_jpeg

options = [("grpc.enable_http_proxy", 0)]  # connect directly; remove this if only a proxy reaches the server
source, actor, out, address = (*sys.argv[1:], "127.0.0.1:50050")[:4]


def requests() -> Iterator[transfer_pb2.TransferRequest]:
    """Yield the config first, then the frames."""
    yield transfer_pb2.TransferRequest(config=transfer_pb2.TransferConfig(actor=actor, frame_rate_hz=float(rate_hz)))
    for sequence, frame in enumerate(video.decode(video=0)):
        jpeg = encode_jpeg(frame.to_ndarray(format="rgb24"), quality=95)
        picture = Picture(encoding="PICTURE_ENCODING_JPEG", data=jpeg, width_px=frame.width, height_px=frame.height)
        yield transfer_pb2.TransferRequest(frame=transfer_pb2.TransferFrame(sequence=sequence, picture=picture))


video = av.open(source)  # not closed: gRPC reads it in its own thread, which may outlive the call
with av.open(out, "w") as result, grpc.insecure_channel(address, options) as channel:
    rate_hz = video.streams.video[0].average_rate or 25
    answers = transfer_pb2_grpc.TransferServiceStub(channel).Transfer(requests())  # type: ignore[no-untyped-call]
    size = next(answers).accepted.stage_size  # the first response; then one answer per frame, in order
    written = result.add_stream("libx264", rate=rate_hz, width=size.width_px, height=size.height_px)
    pixels = np.zeros((size.height_px, size.width_px, 3), np.uint8)
    for response in answers:
        if response.HasField("draining"):
            raise SystemExit("the server is shutting down; `dance transfer` would reconnect and resume")
        if response.answer.HasField("picture"):  # otherwise no person was found: repeat the last picture
            pixels = decode_jpeg(response.answer.picture.data)
        result.mux(written.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
    result.mux(written.encode(None))
print(f"wrote {out}")
