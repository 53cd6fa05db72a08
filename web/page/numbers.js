// What a dance costs: pictures a second, camera to picture, and the time of each stage.
import {number, t} from './words.js';

const KEPT = 60, EVERY_MS = 500, WINDOW_MS = 3000;

export class Numbers {
  #elements;
  #shown_at = []; // when pictures were shown, of the last seconds
  #rows = [];
  #drawn_ms = 0;
  #answers = 0;

  /** elements: {rates, stages, rate}: a dl, a tbody and an output. */
  constructor(elements) { this.#elements = elements; }

  reset() { this.#answers = 0; this.#shown_at = []; this.#rows = []; this.#draw(performance.now()); }

  /** Add an answer: {head, shown, latency_ms, pose_ms, way}. */
  add(answer) {
    const now = performance.now();
    this.#answers += 1;
    if (answer.shown) this.#shown_at.push(now);
    while (this.#shown_at.length && now - this.#shown_at[0] > WINDOW_MS) this.#shown_at.shift();
    this.#rows.push(answer);
    if (this.#rows.length > KEPT) this.#rows.shift();
    if (now - this.#drawn_ms > EVERY_MS) this.#draw(now);
  }

  /** The facts of the last seconds, in numbers, for tests and measurements. */
  facts() {
    const shown = this.#rows.filter(each => each.shown);
    const span_s = this.#shown_at.length > 1 ? (this.#shown_at.at(-1) - this.#shown_at[0]) / 1000 : 0;
    const stages = {};
    for (const {head} of shown) for (const [name, compute, queue, total] of head.stages) {
      (stages[name] ??= {compute: [], waiting: []}).compute.push(compute);
      stages[name].waiting.push(queue + Math.max(0, total - compute));
    }
    return {
      answers: this.#answers,
      rate_hz: span_s ? (this.#shown_at.length - 1) / span_s : 0,
      latency_ms: median(shown.map(each => each.latency_ms)),
      pose_ms: median(shown.map(each => each.pose_ms)),
      server_ms: median(shown.map(each => each.head.server_ms)),
      gateway_ms: median(shown.map(each => each.head.gateway_ms)),
      remarks: this.#rows.at(-1)?.head.remarks ?? [],
      way: this.#rows.at(-1)?.way ?? '',
      stages: Object.fromEntries(Object.entries(stages).map(([name, each]) => [name, {compute: median(each.compute), waiting: median(each.waiting)}])),
    };
  }

  #draw(now) {
    this.#drawn_ms = now;
    const {rates, stages, rate} = this.#elements, facts = this.facts();
    const ms = (value, digits = 0) => t('milliseconds', {n: number(value, digits)});
    rate.textContent = facts.rate_hz ? t('pictures_a_second', {n: number(facts.rate_hz, facts.rate_hz < 10 ? 1 : 0), ms: number(facts.latency_ms)}) : '';
    const rows = [
      [t('rate'), number(facts.rate_hz, 1)],
      [t('camera_to_picture'), ms(facts.latency_ms)],
      [t(facts.way === 'server' ? 'encoding_here' : 'pose_here'), ms(facts.pose_ms)],
      [t('gateway_time'), ms(facts.gateway_ms)],
      [t('server_time'), ms(facts.server_ms)],
      [t('remarks'), facts.remarks.map(each => t(`remark_${each.replaceAll(' ', '_')}`)).join(', ') || '–'],
    ];
    rates.replaceChildren(...rows.flatMap(([name, value]) => [element('dt', name), element('dd', value)]));
    stages.replaceChildren(...Object.entries(facts.stages).map(([name, {compute, waiting}]) => {
      const row = document.createElement('tr'), head = element('th', t(`stage_${name}`));
      head.scope = 'row';
      row.append(head, element('td', ms(compute, 1)), element('td', ms(waiting, 1)));
      return row;
    }));
  }
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

const median = values => values.length ? [...values].sort((one, other) => one - other)[values.length >> 1] : 0;
