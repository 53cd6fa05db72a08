// What a dancer must do before the dance can begin, from the joints that the camera shows.

const DARK = 32; // mean brightness of 0 to 255
const NEAR_EDGE = 0.01; // of the picture's height
const SMALL = 0.3; // of the picture's height, from nose to ankles
const NEEDED_MS = 1000;
const FORGIVEN_MS = 250; // a frame or two in which a joint is missed

/**
 * Return a word for what is wrong, or 'whole'.
 *
 * joints: Float32Array [joint_count * 3] of x px, y px, confidence, or null without a person. brightness: 0 to 255.
 * The server places a body once head, hips and both ankles are seen together, so these must be there.
 */
export function advice(joints, width, height, brightness, names) {
  if (!joints) return brightness < DARK ? 'too_dark' : 'nobody_seen';
  const at = name => {
    const index = 3 * names.indexOf(name);
    return joints[index + 2] > 0 ? {x: joints[index], y: joints[index + 1]} : null;
  };
  const nose = at('Nose'), hip = at('MidHip'), feet = [at('RAnkle'), at('LAnkle')];
  if (!nose && feet.every(Boolean)) return 'show_head';
  if (!hip || !feet.every(Boolean)) return brightness < DARK ? 'too_dark' : 'show_feet';
  if (!nose) return 'show_head';
  const lowest = Math.max(...feet.map(each => each.y));
  if (lowest > height * (1 - NEAR_EDGE)) return 'show_feet';
  if (nose.y < height * 4 * NEAR_EDGE) return 'show_head';
  if (Math.hypot(lowest - nose.y, (feet[0].x + feet[1].x) / 2 - nose.x) < SMALL * height) return 'come_closer';
  return 'whole';
}

/** Whether the body was whole for a second. */
export class WholeForASecond {
  #since_ms = null;
  #last_ms = null;

  /** See a frame's advice; return how much of the second has passed, 0 to 1. */
  see(word, now_ms) {
    if (word === 'whole') {
      this.#since_ms ??= now_ms;
      this.#last_ms = now_ms;
    } else if (this.#last_ms !== null && now_ms - this.#last_ms > FORGIVEN_MS) {
      this.#since_ms = this.#last_ms = null;
    }
    return this.#since_ms === null ? 0 : Math.min(1, (now_ms - this.#since_ms) / NEEDED_MS);
  }
}
