// The visitor's camera: opened, chosen, watched.
import {ApiError} from '../api.js';

const WORDS = {
  NotAllowedError: 'camera_denied', SecurityError: 'camera_denied', NotFoundError: 'no_camera',
  OverconstrainedError: 'no_camera', NotReadableError: 'camera_busy', AbortError: 'camera_busy',
};
const LUMA_WIDTH = 32, LUMA_HEIGHT = 24;
// Cameras show their whole width at such a size; smaller ones often cut the sides off.
const WANTED_PX = {width: {ideal: 1280}, height: {ideal: 720}};

/** The cameras of this machine: [{id, label}]. Labels are empty until the visitor has allowed a camera once. */
export async function cameras() {
  const devices = await navigator.mediaDevices?.enumerateDevices() ?? [];
  return devices.filter(each => each.kind === 'videoinput').map(each => ({id: each.deviceId, label: each.label}));
}

export class Camera {
  #video;
  #stream;
  #stopped = false;
  #shrunk = new OffscreenCanvas(1, 1).getContext('2d', {alpha: false});
  #light = new OffscreenCanvas(LUMA_WIDTH, LUMA_HEIGHT).getContext('2d', {willReadFrequently: true});

  constructor(video, stream, onLost) {
    this.#video = video;
    this.#stream = stream;
    const [track] = stream.getVideoTracks();
    track.onended = () => { if (!this.#stopped) { this.stop(); onLost(new ApiError('camera_unplugged', 'the camera ended')); } };
  }

  /** Open a camera on `video`. onLost: called with an ApiError when it is unplugged. Rejects with an ApiError. */
  static async open(video, deviceId, onLost) {
    if (!navigator.mediaDevices?.getUserMedia) throw new ApiError('camera_insecure', 'a camera needs https or localhost');
    if (!('requestVideoFrameCallback' in video)) throw new ApiError('browser_too_old', 'requestVideoFrameCallback is missing');
    const wanted = {...WANTED_PX, frameRate: {ideal: 30}};
    // Otherwise Chromium crops pictures of another shape, and a dancer needs room for both arms.
    if (navigator.mediaDevices.getSupportedConstraints().resizeMode) wanted.resizeMode = {exact: 'none'};
    let stream;
    try {
      if (deviceId) wanted.deviceId = {exact: deviceId};
      stream = await navigator.mediaDevices.getUserMedia({video: wanted, audio: false});
    } catch (error) {
      if (error.name === 'OverconstrainedError' && deviceId) return Camera.open(video, '', onLost);
      throw new ApiError(WORDS[error.name] ?? 'camera_failed', `${error.name}: ${error.message}`);
    }
    video.srcObject = stream;
    try {
      await video.play();
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      throw new ApiError('camera_failed', error.message);
    }
    return new Camera(video, stream, onLost);
  }

  /** The camera's own frames a second, as it reports them; 30 if it does not. */
  get rate_hz() { return this.#stream.getVideoTracks()[0].getSettings().frameRate || 30; }
  get deviceId() { return this.#stream.getVideoTracks()[0].getSettings().deviceId; }

  /** Call `onFrame(video, {sequence, at_ms})` for every frame that is shown. Sequences count the camera's frames. */
  watch(onFrame) {
    const next = (now_ms, {presentedFrames}) => {
      if (this.#stopped) return;
      this.#video.requestVideoFrameCallback(next);
      onFrame(this.#video, {sequence: presentedFrames, at_ms: now_ms});
    };
    this.#video.requestVideoFrameCallback(next);
  }

  /** The size in pixels, {width, height}, of a picture of at most so many pixels. */
  size(most_pixels) {
    const {videoWidth: width, videoHeight: height} = this.#video, scale = Math.sqrt(most_pixels / (width * height));
    if (scale >= 1) return {width, height};
    const [w, h] = [width, height].map(side => 2 * Math.floor(scale * side / 2)); // videos need even sides
    return {width: w, height: h};
  }

  /** Resolve to the picture of now, an ImageBitmap with all that the camera sees, of at most so many pixels. */
  async picture(most_pixels) {
    const {width, height} = this.size(most_pixels);
    if (width === this.#video.videoWidth) return createImageBitmap(this.#video);
    const {canvas} = this.#shrunk;
    if (canvas.width !== width || canvas.height !== height) {
      Object.assign(canvas, {width, height});
      this.#shrunk.imageSmoothingQuality = 'medium';
    }
    this.#shrunk.drawImage(this.#video, 0, 0, width, height);
    return canvas.transferToImageBitmap();
  }

  /** The mean brightness of the picture, 0 to 255. */
  brightness() {
    this.#light.drawImage(this.#video, 0, 0, LUMA_WIDTH, LUMA_HEIGHT);
    const {data} = this.#light.getImageData(0, 0, LUMA_WIDTH, LUMA_HEIGHT);
    let sum = 0;
    for (let at = 0; at < data.length; at += 4) sum += 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    return 4 * sum / data.length;
  }

  stop() {
    this.#stopped = true;
    for (const track of this.#stream.getTracks()) track.stop();
    if (this.#video.srcObject === this.#stream) this.#video.srcObject = null; // else another camera shows there already
  }
}
