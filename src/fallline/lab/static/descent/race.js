// The race: who is downhill first, by steps, by rows seen and by seconds.
import { h, mistake, number, plural } from '../parts.js';
import { curves } from './chart.js';
import { map, trail } from './map.js';

export const RACERS = 'sgd:0.3:all,sgd:0.3:16,sgd:0.05:1,adam:0.02:16';
const BATCHES = ['1', '4', '16', '64', 'all'];
const AXES = [['steps', 'steps'], ['rows_seen', 'rows seen'], ['seconds', 'seconds']];

/** The race's part of the page. `ask(racers, epochs)` gives its results; `keep(racers, epochs)` remembers. */
export function race(rules, { racers, epochs }, { ask, keep }) {
  const list = racers.split(',').map((text) => text.split(':'));
  const at = { list, epochs, result: null, waiting: false, again: false };
  const table = h('div', { class: 'card racers' });
  const figures = AXES.map(() => h('figure', { class: 'card' }));
  const ground = h('div', { class: 'card ground' });
  const trouble = h('div', {});
  const told = h('p', { class: 'muted small', role: 'status' });
  const spelled = () => at.list.map((parts) => parts.join(':')).join(',');

  async function run() {
    if (at.waiting) { at.again = true; return; }
    at.waiting = true;
    told.textContent = 'They run …';
    try {
      do {
        at.again = false;
        keep(spelled(), at.epochs);
        at.result = await ask(spelled(), at.epochs);
      } while (at.again);
      trouble.replaceChildren();
      draw();
    } catch (error) {
      trouble.replaceChildren(mistake(error));
      told.textContent = '';
    } finally {
      at.waiting = false;
    }
  }

  function menu() {
    const rows = at.list.map((parts, k) => {
      const set = (place) => (event) => { parts[place] = event.target.value; run(); };
      const choice = (place, label, options, shown = String) => {
        const known = options.includes(parts[place]) ? options : [...options, parts[place]];
        const select = h('select', { 'aria-label': `${label} of racer ${k + 1}`, onchange: set(place) }, ...known.map((value) => h('option', { value }, shown(value))));
        select.value = parts[place];
        return select;
      };
      const lap = at.result?.laps[k];
      return h('tr', {},
        h('td', {}, h('i', { class: `swatch t${k}` })),
        h('td', {}, choice(0, 'update rule', rules.map((rule) => rule.name))),
        h('td', {}, h('input', { type: 'number', step: 'any', min: 0, value: parts[1], 'aria-label': `learning rate of racer ${k + 1}`, onchange: set(1) })),
        h('td', {}, choice(2, 'rows a step', BATCHES, (value) => ({ all: 'all: batch', 1: '1: stochastic' }[value] ?? `${value}: mini-batch`))),
        h('td', { class: 'number' }, lap ? number(lap.losses.at(-1), 3) : ''), h('td', { class: 'number' }, lap ? number(lap.steps.at(-1)) : ''), h('td', { class: 'number' }, lap ? number(1000 * lap.seconds.at(-1), 3) : ''),
        h('td', {}, h('button', { type: 'button', class: 'tiny', 'aria-label': `take racer ${k + 1} out`, disabled: at.list.length < 2, onclick: () => { at.list.splice(k, 1); at.result = null; run(); menu(); } }, '×')));
    });
    const slider = h('input', { type: 'range', min: 1, max: 200, value: at.epochs, 'aria-label': 'epochs', onchange: (event) => { at.epochs = Number(event.target.value); run(); } });
    table.replaceChildren(
      h('div', { class: 'row between' }, h('h2', {}, 'From the same weights, on the same rows'), h('label', { class: 'epochs' }, plural(at.epochs, 'epoch'), slider)),
      h('div', { class: 'scroll' }, h('table', {}, h('thead', {}, h('tr', {}, ...['', 'update rule', 'η', 'rows a step'].map((text) => h('th', { scope: 'col' }, text)), ...['last loss', 'steps', 'ms'].map((text) => h('th', { scope: 'col', class: 'number' }, text)), h('th', {}))), h('tbody', {}, ...rows))),
      h('div', { class: 'row' }, h('button', { type: 'button', disabled: at.list.length >= 8, onclick: () => { at.list.push([...at.list.at(-1)]); at.result = null; run(); menu(); } }, 'Add a racer'), told));
  }

  function draw() {
    const { result } = at;
    menu();
    const whole = result.rows < result.all_rows ? `a sample of ${number(result.rows)} of ${number(result.all_rows)} rows` : `all ${number(result.rows)} rows`;
    told.textContent = `The loss of ${whole}. Each has seen every row ${at.epochs === 1 ? 'once' : `${number(at.epochs)} times`}.`;
    AXES.forEach(([key, label], number_) => {
      const width = figures[number_].clientWidth - 38;
      figures[number_].replaceChildren(h('figcaption', {}, h('h2', {}, `By ${label}`)), curves(result.laps.map((lap, k) => ({ name: lap.name, tone: `t${k}`, xs: lap[key], ys: lap.losses })), { x: label, log: true, width }));
    });
    const shown = result.map;
    const picture = map(shown, 'All paths over the loss, on the plane of their principal components');
    result.laps.forEach((lap, k) => picture.paths.append(trail(picture, shown.paths[k], null, { tone: `t${k}` })));
    ground.replaceChildren(h('h2', {}, 'Their ways over one landscape'), picture.element,
      h('p', { class: 'muted small' }, `The plane of the paths’ two principal components; it shows ${number(100 * (shown.explained[0] + shown.explained[1]), 3)} % of how the weights differ. Dots are moments, ever farther apart in time; from dot to dot a path is drawn straight.`));
  }

  menu();
  run();
  return h('div', { class: 'race' }, trouble, h('div', { class: 'sides' }, h('div', { class: 'column' }, table, figures[0]), ground), h('div', { class: 'trio' }, figures[1], figures[2]));
}
