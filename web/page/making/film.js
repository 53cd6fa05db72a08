// Films the visitor step by step: pictures go to the server, with the poses that this browser finds in them.
import {ApiError, send} from '../api.js';
import {Camera} from '../live/camera.js';
import {advice} from '../live/guide.js';
import {BrowserWay, ServerWay} from '../live/way.js';

const GOOD_MS = 900; // "good" stays this long before the next step

/**
 * One filming, until all steps are good, the visitor ends it, or something fails.
 *
 * making: the id. offer: of GET api/makings. parts: {video, stage (a 2d canvas), tables, drawSkeleton}.
 * on: {state(key, values), step(step, {missing, part, good}), guide(word), end(error | null)}; `end` is called once.
 */
export class Film {
  #making; #steps; #rate_hz; #most_pixels; #parts; #on;
  #camera = null; #finder = null; #encoder = new ServerWay(); #socket = null;
  #index = 0; #views = {}; #began_ms = 0; #good_ms = 0;
  #finding = false; #encoding = false; #sent_ms = 0; #ended = false; #sequence = 0; #brightness = 255; #cutoff = '';

  constructor(making, {steps, frame_rate, picture_px}, parts, on) {
    this.#making = making;
    this.#steps = steps;
    this.#rate_hz = frame_rate;
    this.#most_pixels = picture_px[0] * picture_px[1];
    this.#parts = parts;
    this.#on = on;
  }

  async start(deviceId) {
    try {
      this.#on.state('asking_camera');
      this.#camera = await Camera.open(this.#parts.video, deviceId, error => this.end(error));
      if (this.#ended) { this.#close(); return; } // the dialog was closed meanwhile
      this.#finder = await BrowserWay.start(this.#parts.tables, (done, all) =>
        this.#on.state('loading_pose', {percent: all ? Math.round(100 * done / all) : 0}));
      if (this.#ended) { this.#close(); return; }
      await this.#connect();
      if (this.#ended) { this.#close(); return; }
      this.#begin(0);
      this.#camera.watch((video, {at_ms}) => this.#frame(video, at_ms));
    } catch (error) { this.#fail(error); }
  }

  /** Go on to the next step although this one is not good. */
  skip() { this.#next(); }

  /** End; error: an ApiError, null if it was filmed to the end, undefined if the visitor ended it. */
  end(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.#close();
    this.#on.end(error);
  }

  #fail(error) { this.end(error.word ? error : new ApiError('page_failed', String(error?.stack ?? error))); }

  #close() {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send('end');
    else this.#socket?.close();
    this.#camera?.stop();
    this.#finder?.close();
  }

  async #connect() {
    const {ticket} = await send('api/ticket');
    const address = new URL('api/live', document.baseURI);
    address.protocol = address.protocol.replace('http', 'ws');
    const socket = this.#socket = new WebSocket(address);
    await new Promise((resolve, reject) => {
      socket.onopen = () => socket.send(JSON.stringify({ticket, film: {making: this.#making}}));
      socket.onclose = () => {
        const error = new ApiError('gateway_unreachable', 'the connection was lost');
        reject(error);
        this.end(error);
      };
      socket.onmessage = ({data}) => {
        const said = JSON.parse(data);
        if (said.filming) { this.#views = said.filming.views; resolve(); }
        else if (said.filmed) this.#filmed(said.filmed);
        else if (said.refused) { const error = new ApiError(said.refused.code, said.refused.text); reject(error); this.end(error); }
      };
    });
  }

  #filmed({views, end}) {
    this.#views = views;
    if (end && !this.#cutoff) {
      this.#cutoff = end;
      this.#on.state(`film_${end}`);
    }
    this.#judge();
  }

  #begin(index) {
    this.#index = index;
    this.#began_ms = performance.now();
    this.#good_ms = 0;
    this.#socket.send(JSON.stringify({step: this.#steps[index].id}));
    this.#judge();
  }

  #next() {
    if (this.#index + 1 < this.#steps.length) this.#begin(this.#index + 1); else this.end(null);
  }

  // Tell how far the step is, and go on a moment after it is good.
  #judge() {
    if (this.#ended) return;
    const step = this.#steps[this.#index], now = performance.now();
    const parts = step.views.length
      ? step.views.map(view => Math.min(1, (this.#views[view] ?? 0) / step.seconds))
      : [Math.min(1, (now - this.#began_ms) / 1000 / step.seconds)];
    const good = parts.every(part => part >= 1);
    const missing = step.views.filter((view, index) => parts[index] < 1);
    const part = parts.reduce((sum, each) => sum + each, 0) / parts.length;
    this.#on.step(step, {missing, part, good, number: this.#index + 1, of: this.#steps.length});
    if (!good) return;
    this.#good_ms ||= now;
    if (now - this.#good_ms > GOOD_MS) this.#next();
  }

  #frame(video, at_ms) {
    if (this.#ended || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#send(video, at_ms);
    this.#find(at_ms);
  }

  async #send(video, at_ms) {
    const due = at_ms - this.#sent_ms >= 0.9 * 1000 / this.#rate_hz;
    if (!due || this.#encoding || this.#cutoff || this.#socket.bufferedAmount > 1 << 20) return;
    this.#encoding = true;
    this.#sent_ms = at_ms;
    try {
      const {width, height} = this.#camera.size(this.#most_pixels), {message} = await this.#encoder.look(video, width, height);
      if (!this.#ended) this.#socket.send(message(this.#sequence++, at_ms / 1000));
    } catch (error) { this.#fail(error); }
    finally { this.#encoding = false; }
  }

  async #find(at_ms) {
    if (this.#finding) return;
    this.#finding = true;
    try {
      const picture = await this.#camera.picture(this.#finder.most_pixels), {width, height} = picture;
      const {joints, message} = await this.#finder.look(picture, width, height, at_ms);
      if (this.#ended) { picture.close(); return; }
      this.#brightness = this.#camera.brightness();
      this.#show(picture, joints, width, height);
      this.#socket.send(message(this.#sequence++, at_ms / 1000));
    } catch (error) { this.#fail(error); }
    finally { this.#finding = false; }
  }

  #show(picture, joints, width, height) {
    const {stage, tables, drawSkeleton} = this.#parts;
    Object.assign(stage.canvas, {width, height});
    stage.drawImage(picture, 0, 0);
    drawSkeleton(stage, joints, tables, width, height);
    picture.close();
    this.#on.guide(advice(joints, width, height, this.#brightness, tables.body_names));
    this.#judge();
  }
}
