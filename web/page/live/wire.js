// The messages of a live session, as web/live/messages.py describes them.

const HEAD_BYTES = 24;
export const POSE = 1, JPEG = 2, EMPTY = 3;

/** Return one frame as a message. kind: POSE, JPEG or EMPTY; payload: Float32Array or Uint8Array; seconds: captured. */
export function frameMessage(kind, width, height, sequence, seconds, payload = null) {
  const body = payload ? new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength) : null;
  const bytes = new Uint8Array(HEAD_BYTES + (body?.length ?? 0)), view = new DataView(bytes.buffer);
  view.setUint8(0, kind);
  view.setUint16(2, width, true);
  view.setUint16(4, height, true);
  view.setUint32(8, sequence, true);
  view.setFloat64(16, seconds, true);
  if (body) bytes.set(body, HEAD_BYTES);
  return bytes;
}

/** Split a binary answer into its head and its parts; `names`: the parts in order. A part of no bytes is null. */
export function parts(data, names) {
  const length = new DataView(data).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  const found = {};
  let at = 4 + length;
  for (const name of names) {
    found[name] = head[name] ? new Uint8Array(data, at, head[name]) : null;
    at += head[name] ?? 0;
  }
  return {head, ...found};
}

/** Return the joints of an answer's pose: Float32Array [joint_count * 3]. */
export const joints = bytes => bytes ? new Float32Array(bytes.slice().buffer) : null;
