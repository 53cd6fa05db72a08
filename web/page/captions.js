// The words over and under the panels. They remember what they say, to say it again in another language.
import {sentence, t} from './words.js';

const $ = id => document.getElementById(id);
const LONG_MS = 7000; // that a guide's sentence did not help
const KNOWN = {before: 'actor_before', too_slow: 'no_too_slow', clip_prepared: 'clip_prepared', lost: 'connection_lost'};
const REASONS = new Set(['chosen', 'fast_enough', 'trying', 'faster', 'no_faster', 'starting']);

const said = {guide: null, why: null, way: null, size: null};
let guided_since = {word: '', at_ms: 0};

/** What the dancer has to do; null hides it. onText: called with a sentence that is new. */
export function guide(word, progress, onText = () => {}) {
  said.guide = word;
  $('guide').hidden = word === null;
  $('whole').hidden = word !== 'whole';
  if (word === null) return;
  const now = performance.now();
  if (guided_since.word !== word) guided_since = {word, at_ms: now};
  const long = word === 'show_feet' && now - guided_since.at_ms > LONG_MS;
  const text = t(long ? 'guide_show_feet_long' : `guide_${word}`);
  const changed = $('guide').textContent !== text; // screen readers read a change once
  sayOnce($('guide'), text);
  if (word === 'before') return;
  if (changed) onText(text);
  $('whole').value = progress;
  why('waits');
}

/** Why the actor's panel shows no new picture; null hides it. */
export function why(word, text = '') {
  said.why = [word, text];
  $('actor-words').hidden = word === null;
  $('actor').classList.toggle('old', word !== null && !['before', 'waits'].includes(word));
  if (word === null) return;
  const key = word === 'waits' ? 'actor_waits' : KNOWN[word] ?? `guide_${word}`, found = t(key);
  sayOnce($('actor-words'), found === key ? sentence(word, text) : found);
}

/** The connection, in words; 'open' hides them. */
export function connection(state, word) {
  $('connection').hidden = state === 'open';
  $('connection').textContent = state === 'open' ? '' : t(state === 'lost' ? 'connection_lost' : 'connecting');
  $('connection').title = state === 'lost' && word ? sentence(word) : '';
}

/** Where the pose is found, and why. here: whether the server is this machine. running: whether a dance is under way. */
export function way(name, reason, here) {
  said.way = [name, reason, here];
  $('privacy').textContent = t(name === 'browser' ? 'stays_here' : here ? 'frames_stay_here' : 'frames_are_sent');
  $('way-why').textContent = t(`way_${REASONS.has(reason) ? reason : 'failed'}`);
  $('switch-way').hidden = reason === 'trying';
  $('switch-way').textContent = t(name === 'browser' ? 'switch_to_server' : 'switch_to_browser');
  $('switch-way').dataset.to = name === 'browser' ? 'server' : 'browser';
  document.body.dataset.way = name;
}

/** At which size the actor is drawn, [width, height], if it is a smaller one; null for its own. */
export function drawnAt(size) {
  said.size = size;
  $('drawn-at').textContent = size ? t('drawn_smaller', {size: `${size[0]} × ${size[1]}`}) : '';
}

/** Nothing is danced any more: take away what was only true during the dance. */
export function over() {
  said.way = null;
  $('privacy').textContent = $('way-why').textContent = '';
  $('switch-way').hidden = true;
  $('rate').textContent = '';
  drawnAt(null);
  guide(null, 0);
  connection('open', '');
}

/** Say everything again, in the language of now. */
export function again() {
  if (said.guide) guide(said.guide, $('whole').value);
  if (said.why) why(...said.why);
  if (said.way) way(...said.way);
  drawnAt(said.size);
}

// Screen readers read a text again whenever it is set.
function sayOnce(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
