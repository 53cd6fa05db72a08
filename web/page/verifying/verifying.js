// Checking a file: a visitor drops or picks it, and reads whether it is marked as synthetic.
import {ApiError, sendFile} from '../api.js';
import {number, sentence, t} from '../words.js';
import {findings} from './findings.js';

const OURS = {too_many_yours: 'too_many_checks', not_a_video: 'unreadable_file'}; // the words of dances do not fit here

export class Verifying {
  #parts; #most_bytes;
  #sending = null; #said = {}; // said: what is shown, to show it again in another language

  /** root: the panel. parts: its elements {choose, cancel, chooser, state, bar, verdict, rows, limits}. */
  constructor(root, parts, most_bytes) {
    this.root = root;
    this.#parts = parts;
    this.#most_bytes = most_bytes;
    parts.choose.addEventListener('click', () => parts.chooser.click());
    parts.cancel.addEventListener('click', () => this.#sending?.abort());
    parts.chooser.addEventListener('change', () => {
      this.check([...parts.chooser.files]);
      parts.chooser.value = ''; // so that the same file can be chosen again
    });
  }

  /** Open the panel, and bring it into view. */
  open() {
    this.root.open = true;
    this.#intoView();
    this.#parts.choose.focus({preventScroll: true});
  }

  #intoView() {
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const block = this.root.offsetHeight < innerHeight ? 'nearest' : 'start';
    this.root.scrollIntoView({block, behavior: still ? 'auto' : 'smooth'});
  }

  get #isSeen() {
    const {top, bottom} = this.root.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  }

  /** Check one of these files; a .c2pa file among them has its credentials. A check under way is cancelled. */
  async check(files) {
    this.#sending?.abort();
    this.root.open = true;
    const sidecar = files.find(each => /\.c2pa$/i.test(each.name)), file = files.find(each => each !== sidecar);
    if (!file && !sidecar) return;
    const sending = this.#sending = new AbortController();
    const show = said => { if (this.#sending === sending) { this.#said = {name: file?.name, ...said}; this.show(); } };
    try {
      if (!file) throw new ApiError('sidecar_alone', '');
      if (file.size > this.#most_bytes) throw new ApiError('file_too_large', '');
      const blob = sidecar ? new Blob([sidecar, file]) : file;
      show({sent: 0, of: blob.size});
      const found = await sendFile(`api/verify?sidecar=${sidecar?.size ?? 0}`, blob, {
        onProgress: bytes => show({sent: bytes, of: blob.size}), signal: sending.signal,
      });
      const seen = this.#isSeen; // who went on to dance meanwhile is not called back
      show({found});
      if (seen) this.#intoView();
    } catch (error) {
      show(error.name === 'AbortError' ? {cancelled: true} : {error});
    } finally {
      if (this.#sending === sending) this.#sending = null;
    }
  }

  /** Show everything again, in another language for example. */
  show() {
    const {choose, cancel, state, bar, verdict, rows, limits} = this.#parts;
    const {name = '', sent, of, found, error, cancelled} = this.#said, busy = sent !== undefined;
    if (!busy && document.activeElement === cancel) choose.focus();
    cancel.hidden = bar.hidden = !busy;
    if (busy && sent < of) bar.value = sent / of; else bar.removeAttribute('value');
    const percent = busy ? number(Math.floor(100 * sent / of)) : '';
    let said = cancelled ? t('state_cancelled') : '';
    if (busy) said = t(sent < of ? 'uploading' : 'verify_searching', {percent});
    if (error) said = sentence(OURS[error.word] ?? error.word ?? 'page_failed', error.text ?? error.message);
    state.textContent = said;
    state.classList.toggle('wrong', Boolean(error));
    bar.setAttribute('aria-label', said);
    const shown = found ? findings(found) : {verdict: '', limits: '', rows: []};
    this.root.dataset.mark = shown.mark ?? '';
    verdict.textContent = found ? t('verify_verdict', {name, verdict: shown.verdict}) : '';
    limits.textContent = shown.limits;
    rows.replaceChildren(...shown.rows.flatMap(row));
  }
}

function row([term, sentences]) {
  const name = document.createElement('dt'), said = document.createElement('dd');
  name.textContent = term;
  said.append(...sentences.map(each => Object.assign(document.createElement('p'), {textContent: each})));
  return [name, said];
}
