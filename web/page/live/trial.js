// Which way holds the higher rate: the browser's own pose finder, or pictures sent to the server.

const GOOD_HZ = 15; // fast enough in any case
const OF_CAMERA = 0.8;
const NOT_COUNTED = 2; // the first looks still find face and hands
const ENOUGH_LOOKS = 10, FEWEST_LOOKS = 3, ENOUGH_MS = 1000;
const WARM_UP = 6, TRIAL_MS = 2500, LONGEST_MS = 10_000, CLEARLY = 1.2;

const times = new WeakMap(); // of one dance, by its parts

/** See the milliseconds of one look; return null until there are enough, then {enough, here_hz}. */
export function enoughHere(parts, ms, camera_hz) {
  const seen = times.get(parts) ?? [];
  times.set(parts, seen);
  seen.push(ms);
  const counted = seen.slice(NOT_COUNTED);
  const long = counted.length >= FEWEST_LOOKS && counted.reduce((sum, each) => sum + each, 0) >= ENOUGH_MS;
  if (counted.length < ENOUGH_LOOKS && !long) return null;
  const sorted = counted.sort((one, other) => one - other);
  times.delete(parts);
  const here_hz = 1000 / Math.max(1, sorted[sorted.length >> 1]);
  return {enough: here_hz >= Math.min(GOOD_HZ, OF_CAMERA * camera_hz), here_hz};
}

/** Counts the server's answers for some seconds. browser: the way to come back to. here_hz: its rate. */
export class Trial {
  #answers = 0;
  #began_ms = 0;
  #opened_ms = performance.now();
  #here_hz;

  constructor(browser, here_hz) {
    this.browser = browser;
    this.#here_hz = here_hz;
  }

  answered() {
    this.#answers += 1;
    if (this.#answers === WARM_UP) this.#began_ms = performance.now();
  }

  /** Return {server_wins, server_hz} once it is known, null before. */
  result() {
    const now = performance.now(), spent_ms = now - this.#began_ms;
    if (!this.#began_ms || spent_ms < TRIAL_MS) return now - this.#opened_ms > LONGEST_MS ? {server_wins: false, server_hz: 0} : null;
    const server_hz = (this.#answers - WARM_UP) / spent_ms * 1000;
    return {server_wins: server_hz > CLEARLY * this.#here_hz, server_hz};
  }
}
