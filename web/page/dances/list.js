// The visitor's dances and recordings: what they are doing, and what can be done with them.
import {number, sentence, t} from '../words.js';

const ACTIVE = new Set(['waiting', 'measuring', 'dancing', 'finishing']);

/** Whether something happens with a dance without the visitor. */
export const isActive = dance => ACTIVE.has(dance.state);

/**
 * Show the dances in `list`, a ul. on: {play(dance), resume(dance), finish(dance), cancel(dance),
 * remove(dance), recording}; recording: the id of what this page records now, or null.
 * uploads: id -> bytes so far, of uploads from this page. An element stays while its dance does, so that focus stays.
 */
export function showDances(list, dances, uploads, on) {
  const there = new Map([...list.children].map(each => [each.dataset.id, each]));
  for (const [id, element] of there) if (!dances.some(each => each.id === id)) element.remove();
  dances.forEach((dance, index) => {
    const element = there.get(dance.id) ?? made(dance);
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
    update(element, dance, uploads.get(dance.id) ?? null, on);
  });
}

function made(dance) {
  const element = document.createElement('li');
  element.className = 'dance';
  element.dataset.id = dance.id;
  const words = document.createElement('div'), actions = document.createElement('div');
  words.className = 'words';
  actions.className = 'actions';
  words.append(document.createElement('strong'), document.createElement('span'), document.createElement('progress'), document.createElement('small'));
  element.append(words, actions);
  return element;
}

function update(element, dance, uploaded, on) {
  const [words, actions] = element.children, [name, state, bar, notes] = words.children;
  element.dataset.state = dance.state;
  name.textContent = title(dance);
  const {text, part} = progress(dance, uploaded);
  state.textContent = text;
  state.classList.toggle('wrong', dance.state === 'failed');
  bar.hidden = part === undefined;
  bar.setAttribute('aria-label', text);
  if (part === null) bar.removeAttribute('value'); else if (part !== undefined) bar.value = part;
  notes.textContent = remarks(dance);
  const offered = offers(dance, uploaded, on.recording);
  if (actions.dataset.offers === offered.join(' ') + document.documentElement.lang) return;
  actions.dataset.offers = offered.join(' ') + document.documentElement.lang;
  actions.replaceChildren(...offered.map(offer => action(offer, dance, on)));
}

function action(offer, dance, on) {
  if (offer === 'download') {
    const link = document.createElement('a');
    link.className = 'button';
    link.href = `api/dances/${dance.id}/result?download=1`;
    link.download = '';
    link.textContent = t('download');
    return link;
  }
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = t({play: 'play', resume: 'choose_again', finish: 'finish_recording', cancel: 'cancel', remove: 'delete'}[offer]);
  button.addEventListener('click', () => on[offer](dance));
  return button;
}

function offers(dance, uploaded, recording) {
  if (dance.state === 'recording' && dance.id !== recording) return ['finish', 'remove']; // of a page that was left
  if (dance.state === 'done') return ['play', 'download', 'remove'];
  if (dance.state === 'uploading' && uploaded === null) return ['resume', 'remove'];
  return ['failed', 'cancelled', 'recording'].includes(dance.state) ? ['remove'] : ['cancel'];
}

/** The name of a dance for people. */
export function title(dance) {
  const values = {actor: dance.actor, sample: t(`sample_${dance.source.sample}`)};
  return t(dance.kind === 'recording' ? 'title_recording' : dance.source.sample ? 'title_sample' : 'title_clip', values);
}

// The state in words, and how much is done: 0 to 1, null if unknown, undefined without a bar.
function progress(dance, uploaded) {
  const {state, done, of, measured} = dance;
  const counted = (key, value) => {
    const left = dance.seconds_left === null ? '' : t('time_left', {time: inWords(dance.seconds_left)});
    const rate = state === 'dancing' && dance.rate_hz ? t('at_rate', {n: number(dance.rate_hz, 1)}) : '';
    const text = [t(key, {done: number(value), of: of ? number(of) : '?'}), rate, left].filter(Boolean).join(' · ');
    return {text, part: of ? value / of : null};
  };
  switch (state) {
    case 'uploading': {
      const {bytes, received_bytes} = dance.source, sent = uploaded ?? received_bytes;
      const percent = bytes ? Math.floor(100 * sent / bytes) : 0;
      return {text: t(uploaded === null ? 'upload_stopped' : 'uploading', {percent}), part: bytes ? sent / bytes : null};
    }
    case 'waiting':
      if (dance.word) return {text: sentence(dance.word, dance.text), part: null};
      return {text: dance.place ? t('place_in_queue', {n: dance.place + 1}) : t('soon'), part: null};
    case 'measuring': return counted('measuring', measured ?? 0);
    case 'dancing': return dance.word ? {text: sentence(dance.word, dance.text), part: of ? done / of : null} : counted('dancing_frames', done ?? 0);
    case 'finishing': return counted('finishing', done ?? 0);
    case 'failed': return {text: sentence(dance.word, dance.text)};
    case 'done': return {text: t('done', {seconds: number(dance.result?.seconds ?? 0, 1), time: inWords(dance.deletes_in_seconds ?? 0)})};
    default: return {text: t(`state_${state}`)};
  }
}

function remarks(dance) {
  const counted = Object.entries(dance.remarks ?? {}).filter(([name]) => ['no_person', 'not_placed', 'bad_frame', 'out of stage'].includes(name))
    .map(([name, n]) => t(`counted_${name.replaceAll(' ', '_')}`, {n}));
  const again = dance.began_again ? [t('began_again', {n: dance.began_again})] : [];
  return [...again, ...counted, ...(dance.notes ?? [])].join(' ');
}

/** Return a length of time for people. */
export function inWords(seconds) {
  return seconds < 90 ? t('seconds', {n: Math.max(1, Math.round(seconds))}) : t('minutes', {n: Math.round(seconds / 60)});
}
