// Where the dancer's pose is found: in this browser, or on the server, which is then sent the camera's pictures.
import {PoseFinder} from '../pose/finder.js';
import {EMPTY, JPEG, POSE, frameMessage} from './wire.js';

const JPEG_QUALITY = 0.85;
// In this browser, hands and faces gain from large pictures. To a server, each pixel is encoded, sent and decoded.
const HERE_PIXELS = 1280 * 720, SENT_PIXELS = 640 * 480;

/** In this browser: only joints leave this machine. */
export class BrowserWay {
  #finder;

  constructor(finder) { this.#finder = finder; }

  /** Load the networks. onProgress: called with the bytes so far and all bytes. Rejects with a PoseError. */
  static async start(tables, onProgress) { return new BrowserWay(await PoseFinder.start(tables, {onProgress})); }

  name = 'browser';
  sends = 'poses';
  most_pixels = HERE_PIXELS;
  needsServerForGuide = false;

  get processor() { return this.#finder.processor; }

  /** Resolve to {joints, ms, message(sequence, seconds)} of a picture, an ImageBitmap. */
  async look(picture, width, height, at_ms) {
    const {joints, ms} = await this.#finder.find(picture, width, height, at_ms);
    const message = (sequence, seconds) =>
      frameMessage(joints ? POSE : EMPTY, width, height, sequence, seconds, joints);
    return {joints, ms, message};
  }

  reset() { this.#finder.reset(); }
  close() { this.#finder.close(); }
}

/** On the server: pictures are sent, and the joints come back with the answers. */
export class ServerWay {
  #canvas = new OffscreenCanvas(1, 1);
  #context = this.#canvas.getContext('2d', {alpha: false});

  name = 'server';
  sends = 'pictures';
  most_pixels = SENT_PIXELS;
  needsServerForGuide = true;

  async look(picture, width, height) {
    const began_ms = performance.now();
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, {width, height});
    this.#context.drawImage(picture, 0, 0, width, height);
    const blob = await this.#canvas.convertToBlob({type: 'image/jpeg', quality: JPEG_QUALITY});
    const jpeg = new Uint8Array(await blob.arrayBuffer());
    const message = (sequence, seconds) => frameMessage(JPEG, width, height, sequence, seconds, jpeg);
    return {joints: null, ms: performance.now() - began_ms, message};
  }

  reset() { /* the server follows the dancer */ }
  close() { /* nothing is held */ }
}
