// One worker with MediaPipe: start it, ask it, notice when it dies or falls silent.

/** An error with a stable `word` in snake_case, for which the page has its own sentence. */
export class PoseError extends Error {
  constructor(word, text) {
    super(text);
    this.name = 'PoseError';
    this.word = word;
  }
}

export class PoseRunner {
  #worker;
  #waiting = new Map(); // id -> {resolve, reject, timer}
  #next = 0;
  #failed = null;
  #within;

  /** within: `start_ms` and `answer_ms`, after which a silent worker is given up. */
  constructor(address, within) {
    this.#within = within;
    this.#worker = new Worker(address);
    this.#worker.onmessage = ({data}) => this.#answered(data);
    this.#worker.onerror = event => {
      event.preventDefault();
      this.#fail(new PoseError('pose_worker_failed', event.message || 'the worker of the pose finder could not be loaded'));
    };
  }

  /** start: see worker.js. Rejects with a PoseError. */
  async start(start) { await this.#ask('start', {start}, [], this.#within.start_ms); }

  /** Find landmarks in `bitmap`, which is used up. Resolves to {found, ms}, or rejects with a PoseError. */
  find(bitmap, at_ms) {
    const id = this.#next++;
    return this.#ask(id, {id, bitmap, at_ms}, [bitmap], this.#within.answer_ms);
  }

  /** Forget the person: the next picture begins a new video. */
  reset() { if (!this.#failed) this.#worker.postMessage({reset: true}); }

  close() { this.#fail(new PoseError('pose_closed', 'the pose finder was closed')); }

  #ask(id, message, transfer, within_ms) {
    if (this.#failed) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      const silent = () => this.#fail(new PoseError('pose_worker_silent', `the pose finder did not answer within ${within_ms} ms`));
      this.#waiting.set(id, {resolve, reject, timer: setTimeout(silent, within_ms)});
      this.#worker.postMessage(message, transfer);
    });
  }

  #answered(data) {
    if (data.error) { this.#fail(new PoseError(data.error.word, data.error.text)); return; }
    const id = data.ready ? 'start' : data.id;
    const waiter = this.#waiting.get(id);
    if (!waiter) return;
    this.#waiting.delete(id);
    clearTimeout(waiter.timer);
    waiter.resolve(data);
  }

  #fail(error) {
    this.#failed ??= error;
    this.#worker.terminate();
    for (const {reject, timer} of this.#waiting.values()) { clearTimeout(timer); reject(this.#failed); }
    this.#waiting.clear();
  }
}
