// Clips danced whole by the server: uploaded, followed, played; they go on without the page.
import {ApiError, ask, read, send, upload} from '../api.js';
import {joints, parts} from '../live/wire.js';
import {t} from '../words.js';
import {inWords, isActive, showDances} from './list.js';
import {play} from './player.js';

const POLL_MS = 1000, PREVIEW_MS = 200, IDLE_MS = 15_000;

export class Dances {
  #elements; #stage; #tables; #on;
  #dances = []; #limits = null; #uploads = new Map(); #timer = 0;
  #followed = null; // the dance whose preview the stage shows
  #previewing = false;
  recording = null; // the id of the recording that this page makes now

  /**
   * elements: {section, list, kept}; kept: where it says when they are deleted. on: {error(error), follow(dance | null), connection(state, word)}; follow is called when the stage begins
   * to show a dance, and with null when it no longer does.
   */
  constructor(elements, stage, tables, on) {
    this.#elements = elements;
    this.#stage = stage;
    this.#tables = tables;
    this.#on = on;
  }

  /** The sample dances of this server. */
  async samples() { return (await read('api/samples')).samples; }

  /** Load the visitor's dances, and go on following one that is being danced. */
  async begin() {
    await this.#load();
    const active = this.#dances.find(each => each.kind === 'dance' && isActive(each));
    if (active) this.follow(active.id);
  }

  /** Dance a file or a sample dance. wish: {actor, version, background, mirror}. onBegun: once the server takes it. */
  async dance(source, wish, onBegun = async () => {}) {
    const file = source instanceof File ? source : null;
    if (file && this.#limits && file.size > this.#limits.clip_bytes) {
      throw new ApiError('clip_too_large', `${file.size} bytes`);
    }
    const {picture, ...rest} = wish;
    const dance = await send('api/dances', {...rest, source: file ? {bytes: file.size} : {sample: source}});
    await onBegun();
    await this.#load();
    this.follow(dance.id);
    try {
      if (picture) await ask(`api/dances/${dance.id}/background`, {method: 'PUT', body: picture});
      if (file) await this.#upload(dance, file);
    } finally { await this.#load(); }
  }

  /** Upload a recording's sound, and follow it. */
  async finishRecording(id, sound, sound_begins_seconds) {
    const dance = await send(`api/recordings/${id}/stop`, {sound_bytes: sound?.size ?? 0, sound_begins_seconds});
    if (sound?.size) await this.#upload(dance, sound);
    await this.#load();
  }

  /** Show the preview of a dance on the stage. */
  follow(id) {
    this.#followed = {id, after: -1};
    this.#on.follow(this.#dances.find(each => each.id === id) ?? null);
    this.#preview();
  }

  unfollow() { this.#followed = null; }

  /** Show the list again, in another language for example. */
  show() {
    const {section, list, kept} = this.#elements;
    kept.textContent = this.#limits ? t('kept', {time: inWords(this.#limits.kept_seconds)}) : '';
    section.hidden = this.#dances.length === 0;
    showDances(list, this.#dances, this.#uploads, {
      play: dance => play(dance, this.#tables),
      resume: dance => this.#chooseAgain(dance),
      finish: dance => this.#act(() => send(`api/recordings/${dance.id}/stop`)),
      cancel: dance => this.#act(() => send(`api/dances/${dance.id}/cancel`)),
      remove: dance => this.#act(() => send(`api/dances/${dance.id}`, {}, 'DELETE')),
      recording: this.recording,
    });
  }

  async #load() {
    clearTimeout(this.#timer);
    try {
      const {dances, limits} = await read('api/dances');
      const before = this.#dances.find(each => each.id === this.#followed?.id);
      this.#dances = dances;
      this.#limits = limits;
      this.show();
      this.#on.connection('open', '');
      const now = dances.find(each => each.id === this.#followed?.id);
      if (before && now && now.state !== before.state) this.#changed(now);
    } catch (error) {
      if (error.word === 'gateway_unreachable') this.#on.connection('lost', error.word);
      else if (!['no_visit', 'http'].includes(error.word)) this.#on.error(error);
    }
    const active = this.#dances.some(each => isActive(each)) || this.#uploads.size > 0;
    this.#timer = setTimeout(() => this.#load(), active ? POLL_MS : IDLE_MS);
  }

  #changed(dance) {
    if (['done', 'failed', 'cancelled'].includes(dance.state)) {
      this.#followed = null;
      this.#on.follow(null, dance);
      if (dance.state === 'done') play(dance, this.#tables);
    } else {
      this.#on.follow(dance);
    }
  }

  async #act(request) {
    try {
      await request();
    } catch (error) { this.#on.error(error); }
    await this.#load();
  }

  async #upload(dance, blob) {
    this.#uploads.set(dance.id, dance.source.received_bytes);
    try {
      await upload(`api/dances/${dance.id}/upload`, blob, {
        received: dance.source.received_bytes,
        chunk_bytes: this.#limits?.chunk_bytes ?? 1 << 20,
        onProgress: bytes => { this.#uploads.set(dance.id, bytes); this.show(); },
      });
    } finally { this.#uploads.delete(dance.id); }
  }

  // After a reload, the browser no longer has the file: the visitor chooses it again, and the rest is sent.
  #chooseAgain(dance) {
    const chooser = document.createElement('input');
    chooser.type = 'file';
    chooser.onchange = () => {
      const [file] = chooser.files;
      if (!file) return;
      if (file.size !== dance.source.bytes) { this.#on.error(new ApiError('another_file', `${file.size} bytes`)); return; }
      this.#act(() => this.#upload(dance, file));
      this.follow(dance.id);
    };
    chooser.click();
  }

  async #preview() {
    if (this.#previewing) return;
    this.#previewing = true;
    while (this.#followed) {
      const followed = this.#followed;
      try {
        const response = await ask(`api/dances/${followed.id}/preview?after=${followed.after}`);
        if (response.status === 200) {
          const shown = parts(await response.arrayBuffer(), ['source', 'pose', 'picture']);
          followed.after = shown.head.number;
          if (followed === this.#followed) await this.#showPreview(shown);
          continue;
        }
      } catch (error) {
        if (error.word === 'no_such_dance') break;
      }
      await new Promise(resolve => setTimeout(resolve, PREVIEW_MS));
    }
    this.#previewing = false;
  }

  async #showPreview({head, source, pose, picture}) {
    const frame = source && {
      picture: await createImageBitmap(new Blob([source], {type: 'image/jpeg'})),
      joints: joints(pose), width: head.width_px, height: head.height_px,
    };
    await this.#stage.show(frame, picture);
  }
}
