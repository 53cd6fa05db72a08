// The cards of the actors: a moving preview, the name, the size, the quality, and whether the person agreed.
import {number, t} from './words.js';

/**
 * Show a card for each actor in `parent`, as radio buttons, so that arrow keys choose.
 *
 * actors: of GET api/actors. chosen: an actor's id. onChoose: called with an actor.
 */
export function showCards(parent, actors, chosen, onChoose) {
  parent.replaceChildren(...actors.map(actor => card(actor, actor.actor === chosen, onChoose)));
}

function card(actor, checked, onChoose) {
  const label = make('label', 'card'), input = document.createElement('input');
  Object.assign(input, {type: 'radio', name: 'actor', value: actor.actor, checked, disabled: Boolean(actor.unavailable)});
  input.addEventListener('change', () => onChoose(actor));
  const facts = make('span', 'facts');
  facts.append(make('strong', '', actor.actor), ...lines(actor).map(line => Object.assign(make('small', '', line), {title: line}))); // long ones are cut
  label.append(input, picture(actor), facts);
  return label;
}

function picture(actor) {
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (!actor.preview) {
    const made = make('span', 'no-preview', actor.actor.slice(0, 1).toUpperCase());
    made.setAttribute('aria-hidden', 'true');
    return made;
  }
  const made = document.createElement('img');
  made.src = `api/actors/${encodeURIComponent(actor.actor)}/${actor.version}/preview${still ? '?still=1' : ''}`;
  made.alt = t('preview_of', {actor: actor.actor});
  made.loading = 'lazy';
  return made;
}

function lines(actor) {
  if (actor.unavailable) return [t(actor.consent_ended ? 'actor_consent_ended' : 'actor_unavailable')];
  const size = actor.size ? t('actor_size', {width: actor.size[0], height: actor.size[1]}) : '';
  const state = actor.bare_warp ? t('actor_first_version') : quality(actor);
  const consent = actor.consent ? t('actor_consent', {words: actor.consent}) : t('actor_consent_unknown');
  return [size, state, consent].filter(Boolean);
}

function quality({scores}) {
  return scores?.sharpness ? t('actor_quality', {percent: number(100 * scores.sharpness)}) : '';
}

function make(name, className = '', text = '') {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
