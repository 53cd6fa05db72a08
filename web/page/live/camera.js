// The visitor's camera: opened, chosen, watched.
import {ApiError} from '../api.js';

const WORDS = {
  NotAllowedError: 'camera_denied', SecurityError: 'camera_denied', NotFoundError: 'no_camera',
  OverconstrainedError: 'no_camera', NotReadableError: 'camera_busy', AbortError: 'camera_busy',
};
const LUMA_WIDTH = 32, LUMA_HEIGHT = 24;
/** What a dance needs: larger pictures find no more joints, and take longer. */
const FOR_DANCING = {width: 640, height: 480};

/** The cameras of this machine: [{id, label}]. Labels are empty until the visitor has allowed a camera once. */
export async function cameras() {
  const devices = await navigator.mediaDevices?.enumerateDevices() ?? [];
  return devices.filter(each => each.kind === 'videoinput').map(each => ({id: each.deviceId, label: each.label}));
}

export class Camera {
  #video;
  #stream;
  #most_pixels;
  #stopped = false;
  #light = new OffscreenCanvas(LUMA_WIDTH, LUMA_HEIGHT).getContext('2d', {willReadFrequently: true});

  constructor(video, stream, onLost, {width, height}) {
    this.#video = video;
    this.#stream = stream;
    this.#most_pixels = width * height;
    const [track] = stream.getVideoTracks();
    track.onended = () => { if (!this.#stopped) { this.stop(); onLost(new ApiError('camera_unplugged', 'the camera ended')); } };
  }

  /**
   * Open a camera on `video`, with all that it sees. Rejects with an ApiError.
   *
   * onLost: called with an ApiError when it is unplugged. size: what it should have; a larger picture is shrunk to as
   * many pixels.
   */
  static async open(video, deviceId, onLost, size = FOR_DANCING) {
    if (!navigator.mediaDevices?.getUserMedia) throw new ApiError('camera_insecure', 'a camera needs https or localhost');
    if (!('requestVideoFrameCallback' in video)) throw new ApiError('browser_too_old', 'requestVideoFrameCallback is missing');
    const wanted = {width: {ideal: size.width}, height: {ideal: size.height}, frameRate: {ideal: 30}};
    // Else Chromium cuts off what has another shape, and a dancer needs the room.
    if (navigator.mediaDevices.getSupportedConstraints().resizeMode) wanted.resizeMode = {exact: 'none'};
    let stream;
    try {
      if (deviceId) wanted.deviceId = {exact: deviceId};
      stream = await navigator.mediaDevices.getUserMedia({video: wanted, audio: false});
    } catch (error) {
      if (error.name === 'OverconstrainedError' && deviceId) return Camera.open(video, '', onLost, size);
      throw new ApiError(WORDS[error.name] ?? 'camera_failed', `${error.name}: ${error.message}`);
    }
    video.srcObject = stream;
    try {
      await video.play();
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      throw new ApiError('camera_failed', error.message);
    }
    return new Camera(video, stream, onLost, size);
  }

  /** The size of its pictures in pixels. */
  get width() { return this.#shrunk(this.#video.videoWidth); }
  get height() { return this.#shrunk(this.#video.videoHeight); }
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

  /** Resolve to the picture of now, an ImageBitmap of `width` and `height`. */
  picture() {
    const shrunk = {resizeWidth: this.width, resizeHeight: this.height, resizeQuality: 'medium'};
    return createImageBitmap(this.#video, this.width < this.#video.videoWidth ? shrunk : undefined);
  }

  #shrunk(side_px) {
    const scale = Math.sqrt(this.#most_pixels / (this.#video.videoWidth * this.#video.videoHeight));
    return scale < 1 ? 2 * Math.floor(scale * side_px / 2) : side_px; // even, as video needs it
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
