// A live session with the gateway: it reconnects by itself, also when the gateway was restarted.
import {ApiError, send} from '../api.js';
import {joints, parts} from './wire.js';

const PATIENCE_MS = 60_000, FIRST_WAIT_MS = 300, LONGEST_WAIT_MS = 5_000, END_MS = 3_000, LEAVING_MS = 4_000;
const TRANSIENT = new Set(['gateway_unreachable', 'server_unreachable', 'server_silent', 'draining', 'ticket', 'page_silent', 'http', 'no_visit']);

export class LiveSession {
  #config;
  #background;
  #on;
  #socket = null;
  #ended = false;
  #pending = new Set(); // sequences without an answer yet

  /**
   * config: the first message, without its ticket. background: bytes of a picture, or null.
   * on: {accepted(facts), answer({head, picture, joints}), connection('connecting' | 'open' | 'lost', word),
   * recording(word), end(error)}; recording: why a recording takes no more pictures.
   * `end` is called once, with an ApiError, or null after `stop`.
   */
  constructor(config, background, on) {
    this.#config = config;
    this.#background = background;
    this.#on = on;
    this.accepted = null;
    queueMicrotask(() => this.#run()); // after the caller has the session
  }

  /** Whether a frame can be sent now: the session is open, and not too many frames are in flight. */
  get hasRoom() {
    return this.accepted !== null && this.#pending.size < this.accepted.in_flight && this.#socket.bufferedAmount < 262_144;
  }

  /** Send a frame's message; false if the connection was lost meanwhile. */
  send(message, sequence) {
    if (this.accepted === null || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#pending.add(sequence);
    this.#socket.send(message);
    return true;
  }

  /** Send a text message, an object. */
  say(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** End the session; the answers to the frames in flight still come. Resolves when it has ended. */
  async stop() {
    if (this.#ended) return;
    this.#ended = true;
    const socket = this.#socket;
    if (socket?.readyState === WebSocket.OPEN) {
      socket.send('end');
      await new Promise(resolve => {
        socket.addEventListener('close', resolve, {once: true});
        setTimeout(resolve, END_MS);
      });
    }
    socket?.close();
    this.#on.end(null);
  }

  async #run() {
    let lost_since = performance.now(), wait_ms = FIRST_WAIT_MS, was_open = false;
    while (!this.#ended) {
      this.#on.connection(was_open ? 'lost' : 'connecting', this.#lastWord);
      const opened_at = performance.now();
      const error = await this.#once();
      if (this.#ended) return;
      was_open ||= this.#wasOpen;
      if (this.#wasOpen) { lost_since = performance.now(); wait_ms = FIRST_WAIT_MS; }
      this.#wasOpen = false;
      this.#lastWord = error.word;
      const lost_ms = performance.now() - lost_since;
      // The page that this one replaced may still be leaving.
      const worthwhile = error.word === 'too_many_yours' ? lost_ms < LEAVING_MS : TRANSIENT.has(error.word) && (was_open || lost_ms < PATIENCE_MS);
      if (!worthwhile) {
        this.#ended = true;
        this.#on.end(error);
        return;
      }
      if (error.word === 'no_visit') await send('api/visit').catch(() => {});
      if (performance.now() - opened_at < wait_ms) await new Promise(resolve => setTimeout(resolve, wait_ms));
      wait_ms = Math.min(2 * wait_ms, LONGEST_WAIT_MS);
    }
  }

  #wasOpen = false;
  #lastWord = ''; // why the last connection ended

  // One WebSocket, from its ticket to its end. Resolves to the ApiError that says why it ended.
  async #once() {
    let ticket;
    try {
      ({ticket} = await send('api/ticket'));
    } catch (error) { return error; }
    if (this.#ended) return null;
    const address = new URL('api/live', document.baseURI);
    address.protocol = address.protocol.replace('http', 'ws');
    const socket = this.#socket = new WebSocket(address);
    socket.binaryType = 'arraybuffer';
    let reason = null;
    socket.onopen = () => {
      socket.send(JSON.stringify({ticket, ...this.#config}));
      if (this.#background) socket.send(this.#background);
    };
    socket.onmessage = ({data}) => { reason = this.#heard(data) ?? reason; };
    const {code} = await new Promise(resolve => { socket.onclose = resolve; });
    this.accepted = null;
    this.#pending.clear();
    return reason ?? new ApiError(code === 1009 ? 'message_too_large' : 'gateway_unreachable', `the connection closed with code ${code}`);
  }

  // Returns an ApiError for a message that ends the session.
  #heard(data) {
    if (typeof data !== 'string') {
      const answer = parts(data, ['picture', 'pose']);
      for (const sequence of this.#pending) if (sequence <= answer.head.seq) this.#pending.delete(sequence);
      this.#on.answer({head: answer.head, picture: answer.picture, joints: joints(answer.pose)});
      return null;
    }
    const said = JSON.parse(data);
    if (said.accepted) {
      this.#wasOpen = true;
      this.accepted = said.accepted;
      this.#on.accepted(said.accepted);
      this.#on.connection('open', '');
    } else if (said.reconnecting) {
      this.#on.connection('lost', said.reconnecting);
    } else if (said.connected) {
      this.#pending.clear();
      this.#on.connection('open', '');
    } else if (said.recording) {
      this.#on.recording(said.recording);
    } else if (said.refused) {
      return new ApiError(said.refused.code, said.refused.text);
    } else if (said.ended) {
      return new ApiError(said.ended, '');
    }
    return null;
  }
}
