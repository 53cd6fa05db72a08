// Records the actor: the server keeps the pictures as they are shown, and this browser the microphone's sound.
import {ApiError, send} from '../api.js';

const SOUND_TYPES = ['audio/webm;codecs=opus', 'audio/mp4'];

export class Recorder {
  #dance; #dances; #sound = null; #chunks = []; #sound_at_ms = 0; #first_picture_ms = null;

  constructor(dances) { this.#dances = dances; }

  /** The id of the recording that the live session must be told after it has reconnected; null if there is none. */
  get id() { return this.#dance?.id ?? null; }

  /** Begin. actor: an actor's id. withSound: record the microphone too. Rejects with an ApiError. */
  async start(actor, withSound) {
    if (withSound) await this.#listen();
    try {
      this.#dance = await send('api/recordings', {actor});
      this.#dances.recording = this.#dance.id;
    } catch (error) { this.#stopSound(); throw error; }
  }

  /** A picture of the actor was shown. */
  pictured() { this.#first_picture_ms ??= performance.now(); }

  /** End: the server makes the video from what it has. Rejects with an ApiError. */
  async stop() {
    const {id} = this.#dance;
    this.#dance = null;
    this.#dances.recording = null;
    const sound = await this.#stopSound();
    const begins = this.#first_picture_ms === null ? 0 : (this.#sound_at_ms - this.#first_picture_ms) / 1000;
    await this.#dances.finishRecording(id, sound, sound ? begins : 0);
  }

  async #listen() {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
    } catch (error) { throw new ApiError('microphone_denied', error.message); }
    const mimeType = SOUND_TYPES.find(type => MediaRecorder.isTypeSupported(type));
    const recorder = this.#sound = new MediaRecorder(stream, mimeType ? {mimeType} : {});
    recorder.ondataavailable = ({data}) => this.#chunks.push(data);
    recorder.onstart = () => { this.#sound_at_ms = performance.now(); };
    recorder.start(1000);
  }

  async #stopSound() {
    const recorder = this.#sound;
    if (!recorder) return null;
    this.#sound = null;
    if (recorder.state !== 'inactive') {
      await new Promise(resolve => { recorder.onstop = resolve; recorder.stop(); });
    }
    for (const track of recorder.stream.getTracks()) track.stop();
    return new Blob(this.#chunks, {type: recorder.mimeType});
  }
}
