// MediaPipe's landmarks become joints, by the rules of the pose service. The tables come from the server.

const VALUES = 3; // x, y, confidence

/**
 * Convert what the worker found in a picture of `width` x `height` px.
 *
 * found: null, or body, face and hands as Float32Array of x, y (fractions of the picture) and visibility for each
 * landmark; a part that was not found is null. Returns Float32Array [joint_count * 3] of x px, y px and confidence
 * in [0, 1] (0: not seen, x and y mean nothing), or null without a person who is large enough.
 */
export function joints(found, width, height, tables) {
  if (!found?.body) return null;
  const {landmarks, parts, rules} = tables;
  const all = new Float32Array(tables.joint_count * VALUES);
  const put = (joint, x, y, confidence) => {
    if (confidence <= 0 || !(x >= 0 && x <= 1 && y >= 0 && y <= 1)) return;
    all.set([x * width, y * height, Math.min(1, confidence)], joint * VALUES);
  };
  const believed = visibility => visibility < rules.min_visibility ? 0 : visibility;
  const {body} = found;
  for (const [joint, from] of landmarks.body) {
    const [x, y, visibility] = body.subarray(from * VALUES);
    put(joint, x, y, believed(visibility));
  }
  for (const [joint, one, other] of landmarks.means) {
    const [x0, y0, visibility0] = body.subarray(one * VALUES), [x1, y1, visibility1] = body.subarray(other * VALUES);
    put(joint, (x0 + x1) / 2, (y0 + y1) / 2, believed(Math.min(visibility0, visibility1)));
  }
  if (extent(all, parts.body) < rules.min_height_fraction * height) return null;
  const add = (first, points, indices) => indices.forEach((from, index) => {
    put(first + index, points[from * VALUES], points[from * VALUES + 1], 1);
  });
  if (found.face) add(parts.face[0], found.face, landmarks.face);
  for (const hand of ['left_hand', 'right_hand']) {
    if (found[hand]) add(parts[hand][0], found[hand], Array.from({length: parts[hand][1] - parts[hand][0]}, (_, i) => i));
  }
  return all;
}

// The longer side of the upright box around the seen joints, in pixels, so that someone who lies counts as large.
function extent(all, [first, end]) {
  let left = Infinity, right = -Infinity, top = Infinity, bottom = -Infinity;
  for (let at = first * VALUES; at < end * VALUES; at += VALUES) {
    if (all[at + 2] === 0) continue;
    left = Math.min(left, all[at]); right = Math.max(right, all[at]);
    top = Math.min(top, all[at + 1]); bottom = Math.max(bottom, all[at + 1]);
  }
  return Math.max(right - left, bottom - top); // -Infinity without a joint
}
