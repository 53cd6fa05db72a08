// Finds the joints of one person in the pictures of a camera or a clip, without sending them anywhere.
//
//   const finder = await PoseFinder.start(tables, {processor: 'auto', onProgress});
//   const {joints, ms} = await finder.find(video, video.videoWidth, video.videoHeight, performance.now());
//   finder.close();
import {load} from './files.js';
import {joints} from './joints.js';
import {PoseError, PoseRunner} from './runner.js';

export {PoseError};

const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;
const NOT_COUNTED = 2; // a worker's first pictures with a person: it still has to find face and hands
const COUNTED = 8;
const ENOUGH_MS = 500; // of a processor's time, after which fewer pictures are enough
const FEWEST = 3;
// Larger pictures are reduced to this. Below it, hands and faces lose what they need.
const LARGEST_SIDE_PX = 1280;

export class PoseFinder {
  #tables;
  #runners; // 'cpu' and 'gpu' -> PoseRunner; both only while they are compared
  #active;
  #key; // of the choice in the browser's storage
  #times = {cpu: [], gpu: []};
  #seen = 0; // pictures with a person that the active runner has answered
  #last_ms = -Infinity;

  constructor(tables, runners, active, key, choice) {
    this.#tables = tables;
    this.#runners = runners;
    this.#active = active;
    this.#key = key;
    /** renderer: of WebGL. measured: whether on this visit. cpu_ms, gpu_ms: the median of a picture; null if unknown. */
    this.choice = choice;
  }

  /**
   * Load the networks (about 24 MB the first time) and start.
   *
   * tables: of `GET api/skeleton`. processor: 'cpu', 'gpu', or 'auto', which compares both in the first pictures with
   * a person and remembers the faster one for the next visit. onProgress: called with bytes so far and all bytes.
   * within: after how many milliseconds a silent worker is given up. Rejects with a PoseError.
   */
  static async start(tables, {processor = 'auto', onProgress, within = {}} = {}) {
    const {bundle, rules} = tables;
    const renderer = webglRenderer(), key = `pose-processor ${bundle.version}`;
    const earlier = processor === 'auto' ? remembered(key, renderer) : null;
    let wanted = [processor];
    if (processor === 'auto') {
      wanted = SOFTWARE.test(renderer) ? ['cpu'] : earlier ? [earlier.processor] : ['gpu', 'cpu'];
    }
    const files = await load(bundle, onProgress);
    const start = {
      ...files,
      options: {
        modelComplexity: 1, refineFaceLandmarks: true, smoothLandmarks: true,
        minDetectionConfidence: rules.min_detection_confidence, minTrackingConfidence: rules.min_tracking_confidence,
      },
    };
    const limits = {start_ms: 60_000, answer_ms: 20_000, ...within};
    const runners = {}, failures = [];
    await Promise.all(wanted.map(async name => {
      const runner = new PoseRunner(new URL('worker.js', import.meta.url), limits);
      try {
        await runner.start({...start, cpu: name === 'cpu'});
        runners[name] = runner;
      } catch (error) {
        runner.close();
        failures.push(error);
      }
    }));
    const active = wanted.find(name => runners[name]);
    if (!active) throw failures[0];
    const choice = {renderer, measured: false, cpu_ms: earlier?.cpu_ms ?? null, gpu_ms: earlier?.gpu_ms ?? null};
    return new PoseFinder(tables, runners, active, key, choice);
  }

  /** 'cpu' or 'gpu': what finds the next picture's pose. */
  get processor() { return this.#active; }

  /**
   * Find the person in `source` (a video, canvas, ImageBitmap or VideoFrame), shown as `width` x `height` px.
   *
   * at_ms: when it was captured; a time before the last one begins a new video. Resolves to joints, as in joints.js,
   * or null without a person, and ms, the milliseconds that the worker needed. Rejects with a PoseError.
   */
  async find(source, width, height, at_ms) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(source, reduction(width, height));
    } catch (error) {
      throw new PoseError('pose_no_picture', `this picture cannot be read: ${error.message}`);
    }
    if (at_ms < this.#last_ms) this.reset();
    else if (at_ms === this.#last_ms) at_ms += 0.001; // the program counts microseconds, each only once
    this.#last_ms = at_ms;
    const name = this.#active;
    let answer;
    try {
      answer = await this.#runners[name].find(bitmap, at_ms);
    } catch (error) {
      if (this.#active === name && !this.#dropped(name)) throw error;
      return {joints: null, ms: 0, faceAndHandsCarried: false}; // the other processor takes the next picture
    }
    const result = joints(answer.found, width, height, this.#tables);
    if (result) this.#compare(name, answer.ms);
    return {joints: result, ms: answer.ms, faceAndHandsCarried: false};
  }

  /** Forget the person, for a new video. */
  reset() {
    this.#last_ms = -Infinity;
    for (const runner of Object.values(this.#runners)) runner.reset();
  }

  close() { for (const runner of Object.values(this.#runners)) runner.close(); }

  // Remove a runner that failed. Returns whether another one goes on.
  #dropped(name) {
    const other = Object.keys(this.#runners).find(each => each !== name);
    if (!other) return false;
    this.#use(other);
    return true;
  }

  #use(name) {
    for (const other of Object.keys(this.#runners)) {
      if (other === name) continue;
      this.#runners[other].close();
      delete this.#runners[other];
    }
    this.#active = name;
  }

  // While there are two runners: time the first, then the second, then go on with the faster one.
  #compare(name, ms) {
    if (name !== this.#active || Object.keys(this.#runners).length < 2) return;
    this.#seen += 1;
    const times = this.#times[name];
    if (this.#seen > NOT_COUNTED) times.push(ms);
    const enough = times.length >= COUNTED
      || (times.length >= FEWEST && times.reduce((sum, each) => sum + each, 0) >= ENOUGH_MS);
    if (!enough) return;
    this.#seen = 0;
    const untimed = Object.keys(this.#runners).find(other => !this.#times[other].length);
    if (untimed) { this.#active = untimed; return; }
    const cpu_ms = median(this.#times.cpu), gpu_ms = median(this.#times.gpu);
    this.#use(gpu_ms < cpu_ms ? 'gpu' : 'cpu');
    this.choice = {renderer: this.choice.renderer, measured: true, cpu_ms, gpu_ms};
    remember(this.#key, {renderer: this.choice.renderer, processor: this.#active, cpu_ms, gpu_ms});
  }
}

function reduction(width, height) {
  const scale = LARGEST_SIDE_PX / Math.max(width, height);
  if (scale >= 1) return {};
  return {resizeWidth: Math.round(width * scale), resizeHeight: Math.round(height * scale), resizeQuality: 'medium'};
}

const median = values => [...values].sort((one, other) => one - other)[values.length >> 1];

// What draws WebGL's pictures here, in the browser's words. The program needs WebGL even to compute on the CPU.
function webglRenderer() {
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  if (!gl) throw new PoseError('pose_no_webgl', 'this browser has no WebGL 2');
  const details = gl.getExtension('WEBGL_debug_renderer_info');
  const renderer = String(gl.getParameter(details ? details.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension('WEBGL_lose_context')?.loseContext();
  return renderer;
}

// A browser may forbid storage; then every visit compares anew.
function remembered(key, renderer) {
  try {
    const choice = JSON.parse(localStorage.getItem(key));
    const {processor, cpu_ms, gpu_ms} = choice;
    return choice.renderer === renderer && ['cpu', 'gpu'].includes(processor) ? {processor, cpu_ms, gpu_ms} : null;
  } catch { return null; }
}

function remember(key, choice) {
  try { localStorage.setItem(key, JSON.stringify(choice)); } catch { /* see above */ }
}
