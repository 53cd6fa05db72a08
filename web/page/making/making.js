// Become an actor: a name and consent, filming or a file, then the training, until there is a card.
import {ApiError, ask, read, send, upload} from '../api.js';
import {drawSkeleton} from '../skeleton.js';
import {fill, sentence, t} from '../words.js';
import {drawFigure} from './figures.js';
import {Film} from './film.js';
import {make, training} from './training.js';

const POLL_MS = 1000;

export class Making {
  #dialog; #video; #tables; #onActor; #cameraId;
  #offer = null; #making = null; #film = null; #timer = 0; #news = ''; #shown = ''; #actors = new Set();

  /** dialog: where it happens. onActor: called with the id when an actor has a new version, or is gone. */
  constructor(dialog, video, tables, cameraId, onActor) {
    this.#dialog = dialog;
    this.#video = video;
    this.#tables = tables;
    this.#cameraId = cameraId;
    this.#onActor = onActor;
    dialog.addEventListener('close', () => this.#film?.end()); // a training is followed on, for its card
  }

  /** Open the dialog where the visitor left it: at the beginning, or at a making that has not ended. */
  async open() {
    this.#offer = await read('api/makings');
    this.#actors = new Set((await read('api/actors')).actors.map(each => each.actor));
    this.#making = this.#offer.makings.find(each => !['done', 'cancelled'].includes(each.state)) ?? null;
    this.#shown = '';
    this.#dialog.showModal();
    this.#show();
  }

  #show() {
    const state = this.#making?.state ?? 'new', consented = Boolean(this.#making?.consent);
    const screen = state === 'filming' ? (consented ? 'footage' : 'consent') : state;
    const screens = {new: () => this.#askName(), consent: () => this.#askConsent(), footage: () => this.#askFootage()};
    if (screen in screens) { screens[screen](); return; }
    this.#follow();
  }

  #draw(...children) {
    const heading = make('h2', 'making_heading'), wrong = make('p');
    heading.id = 'making-heading';
    wrong.className = 'wrong';
    wrong.id = 'making-wrong';
    wrong.setAttribute('role', 'alert');
    const close = make('button', 'close');
    close.type = 'button';
    close.addEventListener('click', () => this.#dialog.close());
    const bar = make('div');
    bar.className = 'bar';
    const buttons = children.filter(each => each.tagName === 'BUTTON');
    bar.append(...buttons, close);
    const body = make('div');
    body.className = 'making';
    body.append(heading, ...children.filter(each => each.tagName !== 'BUTTON'), wrong, bar);
    this.#dialog.replaceChildren(body);
    fill(this.#dialog);
  }

  #wrong(error) {
    const place = this.#dialog.querySelector('#making-wrong');
    if (place) place.textContent = error ? sentence(error.word ?? 'page_failed', error.text ?? error.message) : '';
  }

  // Do something that may be refused, and show what follows from it. Resolves to whether it was done.
  async #attempt(work) {
    this.#wrong(null);
    try {
      this.#making = await work();
      this.#show();
      return true;
    } catch (error) {
      this.#wrong(error);
      return false;
    }
  }

  #askName() {
    const name = field('making_name', 'text'), remove = check('making_delete', true), next = button('next');
    next.addEventListener('click', () => this.#attempt(() =>
      send('api/makings', {name: name.input.value.trim(), delete_footage: remove.input.checked})));
    this.#draw(make('p', 'making_intro'), name.label, remove.label, this.#mine(), next);
    name.input.focus();
  }

  // The visitor's own actors, each with a button that withdraws the consent.
  #mine() {
    const list = make('ul');
    list.className = 'actors';
    const made = new Set(this.#offer.makings.filter(each => each.versions.length).map(each => each.actor));
    for (const actor of [...made].filter(each => this.#actors.has(each))) {
      const item = make('li'), withdraw = button('withdraw');
      item.append(Object.assign(make('span'), {textContent: actor}), withdraw);
      withdraw.setAttribute('aria-label', t('withdraw_actor', {actor}));
      withdraw.addEventListener('click', async () => {
        if (!confirm(t('withdraw_sure', {actor}))) return;
        try {
          await ask(`api/makings/actors/${encodeURIComponent(actor)}`, {method: 'DELETE'});
          item.remove();
          this.#onActor(actor);
        } catch (error) { this.#wrong(error); }
      });
      list.append(item);
    }
    return list;
  }

  #askConsent() {
    const shown = [t('consent_text', {actor: this.#making.actor}), t(this.#making.delete_footage ? 'consent_deleted' : 'consent_kept')].join(' ');
    const text = make('blockquote');
    text.textContent = shown;
    const name = field('consent_name', 'text'), typed = field('consent_typed', 'text'), next = button('agree');
    typed.input.placeholder = t('consent_words');
    next.addEventListener('click', () => {
      const words = typed.input.value.trim();
      if (words.toLowerCase() !== t('consent_words').toLowerCase()) { this.#wrong(new ApiError('consent_words', '')); return; }
      this.#attempt(() => send(`api/makings/${this.#making.id}/consent`, {name: name.input.value.trim(), typed: words, shown}));
    });
    this.#draw(text, name.label, typed.label, next, this.#cancelButton());
    name.input.focus();
  }

  #askFootage() {
    const {footage} = this.#making, there = footage.frames > 0 || (footage.bytes > 0 && footage.bytes === footage.size);
    const film = button(there ? 'film_again' : 'film_start', !there), file = button('footage_file');
    const start = button('making_start', true), chooser = make('input');
    chooser.type = 'file';
    chooser.accept = 'video/*';
    chooser.hidden = true;
    chooser.addEventListener('change', () => this.#uploadFile(chooser.files[0]));
    film.addEventListener('click', async () => {
      if (!there || await this.#attempt(() => send(`api/makings/${this.#making.id}/film`))) this.#filmNow();
    });
    file.addEventListener('click', () => chooser.click());
    start.addEventListener('click', () => this.#attempt(() => send(`api/makings/${this.#making.id}/start`)));
    const said = make('p', there ? 'footage_there' : 'footage_how');
    this.#draw(said, chooser, ...(there ? [start] : []), film, file, this.#cancelButton());
  }

  #filmNow() {
    const screen = make('canvas'), figure = make('canvas'), words = make('p'), how = make('p'), bar = make('progress'), lacks = make('p'), skip = button('film_skip'), stop = button('film_stop');
    screen.className = 'camera';
    Object.assign(figure, {width: 220, height: 220, className: 'figure'});
    figure.setAttribute('aria-hidden', 'true');
    words.setAttribute('aria-live', 'polite');
    words.className = 'step';
    const row = make('div');
    row.className = 'filming';
    const told = make('div');
    lacks.className = 'small';
    told.append(figure, words, bar, lacks, how);
    row.append(screen, told);
    this.#draw(row, skip, stop);
    const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };
    const parts = {video: this.#video, stage: screen.getContext('2d'), tables: this.#tables, drawSkeleton};
    const film = this.#film = new Film(this.#making.id, this.#offer, parts, {
      state: (key, values) => say(how, t(key, values)),
      guide: word => { if (word !== 'whole') say(how, t(`guide_${word}`)); else if (how.textContent && !how.dataset.kept) say(how, ''); },
      step: (step, {missing, part, good, number, of}) => {
        drawFigure(figure, step.id);
        say(words, good ? t('step_good') : `${number}/${of} · ${t(`step_${step.id}`)}`);
        bar.value = part;
        const views = missing.map(each => t(`view_${each}`)).join(', ');
        say(lacks, views && part > 0 ? t('step_lacks', {views}) : '');
        bar.setAttribute('aria-label', views || t('step_good'));
      },
      end: error => { this.#film = null; this.#filmed(error); },
    });
    skip.addEventListener('click', () => film.skip());
    stop.addEventListener('click', () => film.end());
    film.start(this.#cameraId());
  }

  async #filmed(error) {
    await this.#attempt(() => read(`api/makings/${this.#making.id}`));
    if (error) this.#wrong(error);
  }

  async #uploadFile(file) {
    if (!file) return;
    const bar = make('progress');
    this.#draw(make('p', 'footage_uploading'), bar);
    await this.#attempt(async () => {
      await upload(`api/makings/${this.#making.id}/footage`, file, {
        chunk_bytes: this.#offer.limits.chunk_bytes, onProgress: bytes => { bar.value = bytes / file.size; },
      });
      return read(`api/makings/${this.#making.id}`);
    });
    if (this.#making.state === 'filming' && !this.#making.footage.bytes) this.#show();
  }

  // The training: its progress, its pictures, and its end.
  async #follow() {
    clearTimeout(this.#timer);
    const making = this.#making;
    // A new version is listed a moment before it is served, so the cards are loaded again at the end.
    const news = `${making.id} ${making.versions.length} ${making.state === 'done'}`;
    if (making.versions.length && news !== this.#news) this.#onActor(making.actor);
    this.#news = news;
    const shown = `${making.state} ${making.findings.length}`;
    if (!this.#dialog.open) this.#shown = '';
    else if (this.#shown !== shown) {
      this.#shown = shown;
      const again = button('film_again'), retry = button('making_retry', true);
      again.addEventListener('click', () => this.#attempt(() => send(`api/makings/${making.id}/film`)));
      retry.addEventListener('click', () => this.#attempt(() => send(`api/makings/${making.id}/start`)));
      const buttons = {refused: [again], failed: making.footage_deleted ? [] : [retry], waiting: [this.#cancelButton()], training: [this.#cancelButton()]};
      this.#draw(training.element(making), ...(buttons[making.state] ?? []));
    }
    if (this.#dialog.open) training.update(this.#dialog, making);
    if (!['waiting', 'training'].includes(making.state)) return;
    this.#timer = setTimeout(async () => {
      let now = making;
      try { now = await read(`api/makings/${making.id}`); this.#wrong(null); } catch (error) { this.#wrong(error); }
      if (this.#making !== making) return; // it was cancelled meanwhile
      this.#making = now;
      this.#follow();
    }, POLL_MS);
  }

  #cancelButton() {
    const cancel = button('making_cancel');
    cancel.addEventListener('click', async () => {
      if (!confirm(t('making_cancel_sure'))) return;
      const making = this.#making;
      this.#making = {...making, state: 'cancelled', footage_deleted: false};
      this.#show(); // it may take some seconds until the training has ended and its files are gone
      try {
        await ask(`api/makings/${making.id}`, {method: 'DELETE'});
      } catch (error) {
        this.#making = making;
        this.#show();
        this.#wrong(error);
        return;
      }
      this.#making = null;
      this.#dialog.close();
    });
    return cancel;
  }
}

function button(key, main = false) {
  const made = make('button', key);
  made.type = 'button';
  if (main) made.className = 'main';
  return made;
}

function field(key, type) {
  const label = make('label'), input = make('input'), text = make('span', key);
  Object.assign(input, {type, required: true, maxLength: 200});
  label.append(text, input);
  return {label, input};
}

function check(key, checked) {
  const label = make('label'), input = make('input'), text = make('span', key);
  Object.assign(input, {type: 'checkbox', checked});
  label.className = 'check';
  label.append(input, text);
  return {label, input};
}
