// Descent: the loss as a landscape, the path over it, a descent from any place; and a race.
import { h, mistake, number, percent, still, style } from '../parts.js';
import { curves } from '../descent/chart.js';
import { heightAt, map, scale, trail } from '../descent/map.js';
import { RACERS, race } from '../descent/race.js';

export const title = 'Descent';
const OWN = ['view', 'plane', 'wa', 'wb', 'at', 'zoom', 'eta', 'fa', 'fb', 'racers', 'epochs'];

export async function mount(main, { api, keep, state, keys }) {
  await style('pages/descent.css');
  const sources = await api('descent/sources');
  const settings = Object.fromEntries(Object.entries(state).filter(([name]) => !OWN.includes(name)));
  settings.source ||= sources[0].id;
  const at = { view: 'landscape', plane: 'path', zoom: '1', eta: '', racers: RACERS, epochs: '30', ...Object.fromEntries(OWN.filter((name) => state[name]).map((name) => [name, state[name]])) };
  const here = { about: null, ground: null, shown: null, moment: null, walk: null, timer: 0, alive: true, asked: 0 };
  const remember = () => keep({ ...settings, ...at, view: at.view === 'landscape' ? '' : at.view, plane: at.plane === 'path' ? '' : at.plane, zoom: at.zoom === '1' ? '' : at.zoom, racers: at.racers === RACERS ? '' : at.racers, epochs: at.epochs === '30' ? '' : at.epochs });
  const query = (more) => new URLSearchParams({ ...settings, ...more }).toString();

  const top = h('div', { class: 'card bar' });
  const body = h('div', {});
  main.replaceChildren(h('h1', { class: 'visually-hidden' }, 'Descent'), h('div', { class: 'descent' }, top, body));

  function bar() {
    const select = h('select', { id: 'descent-source', onchange: () => { stop(); location.hash = `#/descent?source=${encodeURIComponent(select.value)}`; } }, ...sources.map(({ id, name }) => h('option', { value: id }, name)));
    select.value = settings.source;
    const choice = (name, text) => h('button', { type: 'button', 'aria-pressed': String(at.view === name), onclick: () => { at.view = name; remember(); open(); } }, text);
    top.replaceChildren(h('label', {}, 'of', select), h('div', { class: 'choice', role: 'group', 'aria-label': 'What to see' }, choice('landscape', 'Landscape'), choice('race', 'Race')),
      h('span', { class: 'muted small' }, here.about ? `${number(here.about.parameters)} weights, ${number(here.about.rows)} rows, ${number(here.about.taken)} steps of ${here.about.rule}, ${number(here.about.batch_size)} rows each` : ''));
  }

  async function open() {
    stop();
    bar();
    try {
      here.about ??= await api(`descent/about?${query()}`);
      at.wa ||= here.about.default[0];
      at.wb ||= here.about.default[1];
      at.eta ||= '0.5';
      bar();
      if (at.view === 'race') {
        const { rules } = await api('play/menu');
        body.replaceChildren(race(rules, { racers: at.racers, epochs: Number(at.epochs) }, {
          ask: (racers, epochs) => api(`race?${query({ racers, epochs })}`),
          keep: (racers, epochs) => { Object.assign(at, { racers, epochs: String(epochs) }); remember(); },
        }));
      } else await surface();
    } catch (error) {
      body.replaceChildren(h('div', { class: 'card' }, mistake(error)));
    }
  }

  const place = {
    map: h('div', { class: 'holder' }), told: h('p', { class: 'told number small' }, ' '), scale: h('div', {}), words: h('div', { class: 'words' }), controls: h('div', { class: 'controls' }),
    curve: h('div', {}), trouble: h('div', {}),
  };

  /** The surface, first rough and soon fine. */
  async function surface() {
    const mine = (here.asked += 1);
    const asked = { plane: at.plane, zoom: at.zoom, ...(at.plane === 'weights' ? { a: at.wa, b: at.wb, ...(at.at ? { at: at.at } : {}) } : {}) };
    body.replaceChildren(h('div', { class: 'sides' },
      h('section', { class: 'card', 'aria-label': 'Landscape' }, place.map, place.scale, place.told),
      h('section', { class: 'card side', 'aria-label': 'Choices and numbers' }, place.controls, place.trouble, place.words, place.curve)));
    controls();
    try {
      for (const grid of [15, 41]) {
        const found = await api(`descent/surface?${query({ ...asked, grid })}`);
        if (mine !== here.asked || !here.alive) return;
        here.ground = found;
        here.moment ??= found.path.length - 1;
        here.moment = Math.min(here.moment, found.path.length - 1);
        place.trouble.replaceChildren();
        draw();
      }
      if (at.plane === 'weights' && at.fa) await descend(Number(at.fa), Number(at.fb));
    } catch (error) {
      if (mine === here.asked) place.trouble.replaceChildren(mistake(error));
    }
  }

  function draw() {
    const { ground } = here;
    const label = `The loss over ${ground.labels[0]} and ${ground.labels[1]}, lowest ${number(ground.lowest)}, with the path of the training`;
    here.shown = map(ground, label, {
      click: at.plane === 'weights' ? (a, b) => descend(a, b) : null,
      told: (a, b) => { place.told.textContent = a === null ? ' ' : `${ground.labels[0]} ${number(a, 3)}, ${ground.labels[1]} ${number(b, 3)}: loss ≈ ${number(heightAt(ground, a, b), 4)}`; },
    });
    here.shown.element.classList.toggle('clickable', at.plane === 'weights');
    place.map.replaceChildren(here.shown.element, axis(ground.across, ground.labels[0]), axis(ground.up, ground.labels[1], true));
    place.scale.replaceChildren(scale(ground, ground.lowest));
    trails();
    words();
  }

  function axis(values, name, upright = false) {
    const middle = (values[0] + values.at(-1)) / 2;
    return h('div', { class: `axis small${upright ? ' upright' : ''}` }, h('span', { class: 'number' }, number(values[0], 2)), h('span', { class: 'muted' }, `${name} ${number(middle, 2)}`.replace(/ [^ ]*$/, '')), h('span', { class: 'number' }, number(values.at(-1), 2)));
  }

  function trails() {
    const { ground, shown, moment, walk } = here;
    shown.paths.replaceChildren(trail(shown, ground.path, ground.losses, { upto: moment }));
    const [a, b] = ground.path[moment];
    const now = document.createElementNS('http://www.w3.org/2000/svg', 'circle');
    for (const [name, value] of Object.entries({ cx: shown.x(a), cy: shown.y(b), r: 6.5, class: 'now' })) now.setAttribute(name, value);
    shown.paths.append(now);
    if (walk) shown.paths.append(trail(shown, walk.places, walk.losses, { tone: 'other' }));
    place.curve.replaceChildren(curves([{ name: 'loss along the path', tone: 'walk', xs: ground.steps, ys: ground.losses }], {
      x: 'step', width: place.curve.clientWidth, marks: ground.steps.length < 80, at: ground.steps[moment], pick: (step) => { stop(); here.moment = nearest(ground.steps, step); trails(); },
    }));
    const slider = document.getElementById('descent-moment');
    if (slider) slider.value = moment;
    const told = document.getElementById('descent-now');
    if (told) told.textContent = `step ${number(ground.steps[moment])}: loss ${number(ground.losses[moment])}`;
  }

  function nearest(steps, step) {
    return steps.reduce((best, value, k) => (Math.abs(value - step) < Math.abs(steps[best] - step) ? k : best), 0);
  }

  function words() {
    const { ground, walk } = here;
    const rows = ground.rows < ground.all_rows ? `a sample of ${number(ground.rows)} of ${number(ground.all_rows)} rows` : `all ${number(ground.rows)} rows`;
    const said = [`The loss of ${rows}, at every place of the map. Rings join places of equal loss; the tone is lightest where it is lowest.`];
    if (ground.explained) said.push(`This plane goes through the last weights along the two directions in which the path varies most: it shows ${percent(ground.explained[0] + ground.explained[1])} of the path’s variance (${percent(ground.explained[0])} + ${percent(ground.explained[1])}).`);
    else said.push(`All other weights are held at step ${number(ground.at)}. The path is seen from above: along it they moved, too. Click anywhere to go downhill from there with these two weights alone.`);
    const moves = ground.path.length - 1;
    said.push(ground.overshoots ? `${number(ground.overshoots)} of ${number(moves)} moves between dots end higher than they began (orange): there the steps overshoot, or follow other rows’ slope.` : 'Every move between dots goes downhill.');
    if (!ground.whole) said.push('The path is shown as far as it could be computed in 40 seconds.');
    if (walk) said.push(`From the place you clicked, η = ${number(walk.eta)}: loss ${number(walk.losses[0])} → ${number(walk.losses.at(-1))} in ${number(walk.losses.length - 1)} steps; ${walk.always_falls ? 'every step lowers it.' : walk.losses.at(-1) > walk.losses[0] || walk.ran_away ? 'it overshoots, and ends higher than it began.' : 'steps overshoot from side to side, yet it goes down.'}`);
    place.words.replaceChildren(...said.map((text) => h('p', {}, text)));
  }

  async function descend(a, b) {
    Object.assign(at, { fa: String(Number(a.toPrecision(6))), fb: String(Number(b.toPrecision(6))) });
    remember();
    try {
      here.walk = await api(`descent/walk?${query({ a: at.wa, b: at.wb, from_a: at.fa, from_b: at.fb, eta: at.eta, ...(at.at ? { at: at.at } : {}) })}`);
      trails();
      words();
    } catch (error) {
      place.trouble.replaceChildren(mistake(error));
    }
  }

  function controls() {
    const turn = (name, value) => () => { Object.assign(at, { [name]: value }); forget(); remember(); surface(); };
    const kind = (value, text) => h('button', { type: 'button', 'aria-pressed': String(at.plane === value), onclick: turn('plane', value) }, text);
    const typed = (name, label) => h('label', { class: 'stack' }, label, h('input', { type: 'text', value: at[name], list: 'descent-weights', spellcheck: 'false', onchange: (event) => turn(name, event.target.value)() }));
    const names = here.about.weights.flatMap(({ name, shape }) => [`${name}[${shape.map(() => 0).join(',')}]`, `${name}[${shape.map((size) => size - 1).join(',')}]`]);
    const eta = h('input', { type: 'range', min: -3, max: 2, step: 0.05, value: Math.log10(Number(at.eta)), id: 'descent-eta', oninput: () => { told.textContent = number(10 ** Number(eta.value), 2); }, onchange: () => { at.eta = String(Number((10 ** Number(eta.value)).toPrecision(2))); remember(); if (at.fa) descend(Number(at.fa), Number(at.fb)); } });
    const told = h('output', { class: 'number', for: 'descent-eta' }, number(Number(at.eta), 2));
    const zoom = (factor, text, name) => h('button', { type: 'button', class: 'round', 'aria-label': name, onclick: turn('zoom', String(Math.min(16, Math.max(0.0625, Number(at.zoom) * factor)))) }, text);
    place.controls.replaceChildren(...[
      h('div', { class: 'row between' }, h('div', { class: 'choice', role: 'group', 'aria-label': 'Plane' }, kind('path', 'The path’s plane'), kind('weights', 'Two weights')), h('span', { class: 'row' }, zoom(0.5, '+', 'nearer'), zoom(2, '−', 'farther'))),
      at.plane === 'weights' ? h('div', { class: 'grid2' }, typed('wa', 'across'), typed('wb', 'up'), h('datalist', { id: 'descent-weights' }, ...names.map((value) => h('option', { value }))),
        h('label', { class: 'stack wide' }, `other weights at step ${at.at || here.about.taken}`, h('input', { type: 'range', min: 0, max: here.about.taken, value: at.at || here.about.taken, onchange: (event) => turn('at', event.target.value)() })),
        h('label', { class: 'stack wide', for: 'descent-eta' }, h('span', {}, 'η of a descent from where you click: ', told), eta)) : null,
      h('div', { class: 'row player' }, h('button', { type: 'button', id: 'descent-play', class: 'primary', onclick: play }, 'Play'),
        h('input', { type: 'range', id: 'descent-moment', min: 0, max: Math.max(1, (here.ground?.path.length ?? 61) - 1), value: here.moment ?? 0, 'aria-label': 'moment of the path', oninput: (event) => { stop(); here.moment = Number(event.target.value); trails(); } })),
      h('p', { class: 'number small', id: 'descent-now' }, ' '),
    ].filter(Boolean));
  }

  function forget() {
    stop();
    here.walk = null;
    if (at.plane !== 'weights') Object.assign(at, { fa: '', fb: '' });
  }

  /** The path from its start; at once where the reader asks for stillness. */
  function play() {
    if (!here.ground) return;
    const last = here.ground.path.length - 1;
    if (here.timer) { stop(); return; }
    document.getElementById('descent-moment').max = last;
    if (still()) { here.moment = last; trails(); return; }
    if (here.moment >= last) here.moment = 0;
    document.getElementById('descent-play').textContent = 'Pause';
    here.timer = setInterval(() => {
      here.moment += 1;
      trails();
      if (here.moment >= last) stop();
    }, 70);
  }

  function stop() {
    clearInterval(here.timer);
    here.timer = 0;
    const button = document.getElementById('descent-play');
    if (button) button.textContent = 'Play';
  }

  keys?.([{ key: ' ', text: 'play or pause the path', run: play }]);
  await open();
  return () => { here.alive = false; stop(); };
}
