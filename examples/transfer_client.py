"""A whole client in plain Python: `python examples/transfer_client.py dance.mp4 juggler out.mp4 [host:port]`.

Frames without a person repeat the last picture, so that the rate holds. Rotation is not applied: `dance transfer` does.
"""

import sys
from collections.abc import Iterator

import av
import grpc
import simplejpeg
from dance.v1 import frame_pb2, transfer_pb2, transfer_pb2_grpc

source, actor, out = sys.argv[1:4]
address = sys.argv[4] if len(sys.argv) > 4 else "127.0.0.1:50050"


def requests() -> Iterator[transfer_pb2.TransferRequest]:
    """The config first, then the frames."""
    rate_hz = float(video.streams.video[0].average_rate or 25)
    yield transfer_pb2.TransferRequest(config=transfer_pb2.TransferConfig(actor=actor, frame_rate_hz=rate_hz))
    for sequence, frame in enumerate(video.decode(video=0)):
        jpeg = simplejpeg.encode_jpeg(frame.to_ndarray(format="rgb24"), quality=95)
        size = {"width_px": frame.width, "height_px": frame.height}
        picture = frame_pb2.Picture(encoding="PICTURE_ENCODING_JPEG", data=jpeg, **size)
        yield transfer_pb2.TransferRequest(frame=transfer_pb2.TransferFrame(sequence=sequence, picture=picture))


with av.open(source) as video, av.open(out, "w") as result, grpc.insecure_channel(address) as channel:
    written = result.add_stream("libx264", rate=video.streams.video[0].average_rate)
    service = transfer_pb2_grpc.TransferServiceStub(channel)  # type: ignore[no-untyped-call]
    pixels, repeats = None, 0
    for response in service.Transfer(requests()):
        if response.WhichOneof("response") == "accepted":
            size = response.accepted.stage_size
            written.width, written.height = size.width_px, size.height_px
        elif response.WhichOneof("response") == "answer":
            repeats += 1
            if response.answer.WhichOneof("result") == "picture":  # else nobody was seen in this frame
                pixels = simplejpeg.decode_jpeg(response.answer.picture.data)
            while pixels is not None and repeats:  # a beginning without a person waits for the first picture
                result.mux(written.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
                repeats -= 1
        else:
            raise SystemExit(
                f"the server goes away at frame {response.draining.next_sequence}; `dance transfer` goes on"
            )
    result.mux(written.encode(None))
