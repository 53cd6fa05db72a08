// The dance in front of a camera: guide first, then dance, until something ends it.
import {ApiError} from '../api.js';
import {Camera} from './camera.js';
import {WholeForASecond, advice} from './guide.js';
import {LiveSession} from './session.js';
import {Trial, enoughHere} from './trial.js';
import {BrowserWay, ServerWay} from './way.js';

const HIDDEN_MS = 20_000; // a hidden page shows no frames, and the server would end the silent session
const MISSING_MS = 700; // without a picture of the actor, before the page says why
const LUMA_EVERY = 8;

/**
 * settings: {actor, version, way: 'auto' | 'browser' | 'server', reason, camera, size_px, background: {message, bytes}};
 * reason: why the way is the browser's or the server's, '' with 'auto'.
 * on: {state(key, values), guide(word | null, progress), why(word | null), connection(state, word), way(name, why),
 * accepted(facts), answer(facts), recording(word), end(error | null)}. `end` is called once.
 */
export class CameraDance {
  #parts; #settings; #on;
  #camera = null; #way = null; #why = ''; #session = null; #trial = null;
  #phase = 'starting'; // starting, guiding, dancing, ended
  #whole = new WholeForASecond();
  #pending = new Map(); // sequence -> frame in flight
  #busy = false; #frames = 0; #brightness = 255; #pictured_ms = 0; #hidden = 0; #decided = false;
  #visibility = () => this.#seen();

  constructor(parts, settings, on) {
    this.#parts = parts; // {video, stage, tables}
    this.#settings = settings;
    this.#on = on;
  }

  get session() { return this.#session; }
  get cameraId() { return this.#camera?.deviceId ?? ''; }

  /** Open the camera, and guide the dancer. Never rejects: every ending is told to `on.end`. */
  async start() {
    try {
      this.#on.state('asking_camera');
      this.#camera = await Camera.open(this.#parts.video, this.#settings.camera, error => this.#fail(error));
      if (this.#phase === 'ended') { this.#camera.stop(); return; }
      await this.#startWay(this.#settings.way);
      if (this.#phase === 'ended') return;
      document.addEventListener('visibilitychange', this.#visibility);
      this.#camera.watch((video, {sequence, at_ms}) => this.#frame(sequence, at_ms));
    } catch (error) { this.#fail(error); }
  }

  /** Find the pose elsewhere from now on: 'browser' or 'server'. */
  async switchWay(name) {
    this.#settings = {...this.#settings, reason: 'chosen'};
    this.#decided = true;
    this.#phase = 'starting';
    await this.#closeSession();
    this.#trial?.browser.close();
    this.#trial = null;
    try {
      await this.#startWay(name);
    } catch (error) { this.#fail(error); }
  }

  /** End the dance. */
  async stop() { await this.#end(null); }

  async #startWay(wanted) {
    this.#way?.close();
    this.#way = null;
    let why = wanted === 'auto' ? 'starting' : this.#settings.reason || 'chosen';
    if (wanted !== 'server') {
      this.#on.state('loading_pose', {percent: 0});
      try {
        this.#way = await BrowserWay.start(this.#parts.tables, (done, all) =>
          this.#on.state('loading_pose', {percent: all ? Math.round(100 * done / all) : 0}));
      } catch (error) {
        if (wanted === 'browser') throw error;
        why = error.word ?? 'pose_failed';
        this.#decided = true;
      }
    }
    this.#use(this.#way ?? new ServerWay(), why);
  }

  #use(way, why) {
    this.#way = way;
    this.#why = why;
    if (this.#phase === 'ended') { way.close(); return; }
    this.#phase = 'guiding';
    this.#whole = new WholeForASecond();
    this.#on.way(way.name, why);
    this.#on.state(why === 'trying' ? 'trying_server' : 'guiding');
    if (way.needsServerForGuide) this.#open();
  }

  async #frame(sequence, at_ms) {
    this.#endTrial();
    const way = this.#way;
    if (this.#busy || !way || this.#phase === 'starting') return;
    const sends = this.#phase === 'dancing' || way.needsServerForGuide;
    if (sends && !this.#session?.hasRoom) return;
    this.#busy = true;
    let picture = null;
    try {
      if (this.#frames++ % LUMA_EVERY === 0) this.#brightness = this.#camera.brightness();
      picture = await this.#camera.picture(way.most_pixels);
      const {width, height} = picture;
      const {joints, ms, message} = await way.look(picture, width, height, at_ms);
      if (way !== this.#way || this.#phase === 'ended') { picture.close(); return; }
      const frame = {picture, joints, width, height, at_ms, pose_ms: ms};
      if (this.#phase === 'guiding' && !way.needsServerForGuide) {
        this.#guide(frame);
        picture.close();
        this.#decide(ms);
      } else {
        this.#pending.set(sequence, frame);
        if (!this.#session?.send(message(sequence, at_ms / 1000), sequence)) this.#forget(sequence);
      }
    } catch (error) {
      picture?.close();
      if (way === this.#way) this.#fail(error);
    } finally { this.#busy = false; }
  }

  // Show what the camera sees and what is missing; begin once the body was whole for a second.
  #guide(frame) {
    const {picture, joints, width, height} = frame;
    this.#parts.stage.showGuide(picture, joints, width, height);
    const word = advice(joints, width, height, this.#brightness, this.#parts.tables.body_names);
    const progress = this.#whole.see(word, performance.now());
    this.#on.guide(word, progress);
    if (word === 'whole' && this.#settled && !this.#session) this.#open();
    if (progress < 1 || !this.#settled) return;
    this.#phase = 'dancing';
    this.#pictured_ms = performance.now();
    this.#on.guide(null, 1);
    this.#on.state(this.#session?.accepted ? 'dancing' : 'opening');
  }

  #open() {
    const {actor, version, size_px, background} = this.#settings;
    const config = {actor, version, size_px, sends: this.#way.sends, background: background.message};
    const session = this.#session = new LiveSession(config, background.bytes, {
      accepted: facts => { if (session === this.#session) { this.#on.accepted(facts); if (this.#phase === 'dancing') this.#on.state('dancing'); } },
      answer: answer => { if (session === this.#session) this.#answered(answer); },
      connection: (state, word) => {
        if (session !== this.#session) return;
        if (state === 'lost') this.#forgetAll();
        this.#on.connection(state, word);
      },
      recording: word => this.#on.recording(word),
      end: error => { if (session === this.#session && error) this.#fail(error); },
    });
  }

  #answered({head, picture, joints}) {
    const frame = this.#pending.get(head.seq) ?? null;
    this.#pending.delete(head.seq);
    this.#forget(head.seq);
    if (!frame) return;
    if (joints) frame.joints = joints;
    this.#trial?.answered();
    if (this.#phase === 'guiding') {
      this.#guide(frame);
      frame.picture.close();
      return;
    }
    this.#parts.stage.show(frame, picture).then(shown => {
      const now = performance.now();
      if (shown) { this.#pictured_ms = now; this.#on.why(null); }
      else if (now - this.#pictured_ms > MISSING_MS) this.#on.why(this.#missing(head, frame));
      this.#on.answer({head, shown, latency_ms: now - frame.at_ms, pose_ms: frame.pose_ms, way: this.#way?.name});
    }).catch(error => this.#fail(error));
  }

  #missing(head, frame) {
    if (head.no === 'dropped') return 'too_slow';
    const word = advice(frame.joints, frame.width, frame.height, this.#brightness, this.#parts.tables.body_names);
    return word === 'whole' ? head.no ?? 'no_picture' : word;
  }

  // Whether the first pictures have told where the pose is found. A dance begins while the server is still tried.
  get #settled() { return this.#decided || this.#settings.way !== 'auto'; }

  // 'auto': stay in the browser if it is fast enough, otherwise see whether the server holds a higher rate.
  #decide(ms) {
    if (this.#settled) return;
    const rate = enoughHere(this.#parts, ms, this.#camera.rate_hz);
    if (rate === null) return;
    this.#decided = true;
    if (rate.enough) { this.#on.way('browser', this.#why = 'fast_enough'); return; }
    this.#trial = new Trial(this.#way, rate.here_hz);
    this.#whole = new WholeForASecond();
    this.#use(new ServerWay(), 'trying');
  }

  async #endTrial() {
    const result = this.#trial?.result();
    if (!result) return;
    const {browser} = this.#trial;
    this.#trial = null;
    if (result.server_wins) {
      browser.close();
      this.#on.way('server', this.#why = 'faster');
      return;
    }
    this.#phase = 'starting';
    await this.#closeSession();
    browser.reset();
    this.#use(browser, 'no_faster');
  }

  #forget(before) {
    for (const [sequence, frame] of this.#pending) {
      if (sequence > before) return;
      frame.picture.close();
      this.#pending.delete(sequence);
    }
  }

  #forgetAll() { this.#forget(Infinity); }

  async #closeSession() {
    const session = this.#session;
    this.#session = null;
    this.#forgetAll();
    await session?.stop();
  }

  #seen() {
    clearTimeout(this.#hidden);
    if (document.hidden) {
      this.#hidden = setTimeout(async () => {
        if (this.#phase === 'ended') return;
        this.#phase = 'starting';
        this.#on.state('paused');
        await this.#closeSession();
      }, HIDDEN_MS);
    } else if (this.#phase === 'starting' && this.#way) {
      this.#use(this.#way, this.#why);
    }
  }

  #fail(error) {
    this.#end(error instanceof Error && error.word ? error : new ApiError('page_failed', String(error?.stack ?? error)));
  }

  async #end(error) {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    clearTimeout(this.#hidden);
    document.removeEventListener('visibilitychange', this.#visibility);
    this.#camera?.stop();
    await this.#closeSession();
    this.#trial?.browser.close();
    this.#way?.close();
    this.#on.end(error);
  }
}
