// What a making is doing, and what was found in its footage.
import {number, sentence, t} from '../words.js';

/** Make an element; key: of its words. */
export function make(name, key = '') {
  const made = document.createElement(name);
  if (key) made.dataset.t = key;
  return made;
}

export const training = {
  /** The element of a making, which `update` fills in. */
  element() {
    const box = make('div'), words = make('p'), bar = make('progress'), picture = make('img'), list = make('ul');
    box.className = 'training';
    words.setAttribute('aria-live', 'polite');
    picture.hidden = true;
    box.append(words, bar, picture, list);
    return box;
  },

  /** Show how far a making is. */
  update(root, making) {
    const [words, bar, picture, list] = root.querySelector('.training').children;
    const text = state(making);
    if (words.textContent !== text) words.textContent = text;
    bar.hidden = making.state !== 'training';
    const part = making.progress?.part ?? null;
    if (part === null) bar.removeAttribute('value'); else bar.value = part;
    bar.setAttribute('aria-label', text);
    if (making.preview && picture.dataset.number !== String(making.preview)) {
      picture.dataset.number = making.preview;
      picture.src = `api/makings/${making.id}/preview?after=${making.preview - 1}`;
      picture.alt = t('making_preview');
      picture.hidden = false;
    }
    list.replaceChildren(...(making.findings ?? []).map(finding => {
      const item = make('li');
      item.className = finding.level === 'refused' ? 'wrong' : '';
      item.textContent = sentence(`finding_${finding.word}`, finding.advice);
      return item;
    }));
  },
};

function state(making) {
  const {progress, problem} = making;
  switch (making.state) {
    case 'waiting': return t('making_waiting', {n: making.position});
    case 'training': {
      const what = t(`making_${progress?.stage ?? 'starting'}`);
      const seconds = Math.round(progress?.seconds_left ?? 0);
      const left = seconds > 0 ? t('time_left', {time: t('seconds', {n: seconds})}) : '';
      const card = making.versions.length ? t('making_card', {actor: making.actor}) : '';
      return [what, left, card].filter(Boolean).join(' · ');
    }
    case 'done': return t('making_done', {actor: making.actor, version: number(making.version)});
    case 'refused': case 'failed': return sentence(`making_${problem?.code}`, problem?.text ?? '');
    case 'cancelled': return t(making.footage_deleted ? 'making_cancelled' : 'making_cancelling');
    default: return t(`making_${making.state}`);
  }
}
