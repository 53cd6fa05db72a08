// The words of the page, in the visitor's language. Every sentence that people read is in words/.
import {en} from './words/en.js';
import {ru} from './words/ru.js';
import {en as enChecks} from './words/checks/en.js';
import {ru as ruChecks} from './words/checks/ru.js';

const LANGUAGES = {en: {...en, ...enChecks}, ru: {...ru, ...ruChecks}};
let language = chosen();
let plural = new Intl.PluralRules(language);

/** The language in use, such as 'en'. */
export const current = () => language;

/**
 * Return the sentence `key`, with {name} replaced by `values.name`.
 *
 * A sentence that counts has one form for each plural of its language, chosen by `values.n`. A missing key is an error
 * of ours, so it shows as itself.
 */
export function t(key, values = {}) {
  let text = LANGUAGES[language][key] ?? LANGUAGES.en[key] ?? key;
  if (typeof text === 'object') text = text[plural.select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Return the sentence for a stable word of the server or of this page; `otherwise` if it has none. */
export function sentence(word, otherwise = '') {
  const key = `why_${word}`;
  return LANGUAGES[language][key] ?? LANGUAGES.en[key] ?? (otherwise || t('why_unknown', {word}));
}

/** Return a number as people of this language write it. */
export const number = (value, digits = 0) =>
  value.toLocaleString(language, {minimumFractionDigits: digits, maximumFractionDigits: digits});

/** Change the language, and fill in every element again. */
export function speak(wanted, root = document) {
  language = LANGUAGES[wanted] ? wanted : 'en';
  plural = new Intl.PluralRules(language);
  try { localStorage.setItem('language', language); } catch { /* a browser may forbid storage */ }
  fill(root);
}

/** Fill in the words of `root`: data-t is the text of an element, data-t-label its label for screen readers. */
export function fill(root) {
  if (root === document) document.documentElement.lang = language;
  for (const element of root.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll('[data-t-label]')) element.setAttribute('aria-label', t(element.dataset.tLabel));
}

function chosen() {
  let stored = null;
  try { stored = localStorage.getItem('language'); } catch { /* see above */ }
  const wanted = [stored, ...(navigator.languages ?? [])].filter(Boolean).map(each => each.slice(0, 2));
  return wanted.find(each => LANGUAGES[each]) ?? 'en';
}
