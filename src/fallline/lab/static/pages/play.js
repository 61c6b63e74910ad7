// Play: a small network on two inputs; run it, or take a step apart. The address holds everything.
import { h, mistake, number, onScheme, style, svg } from '../parts.js';
import { network } from '../play/network.js';
import { opened, phaseButtons } from '../play/phases.js';
import { form, settingsOf, shortened } from '../play/settings.js';
import { lossChart, surface, toneOf } from '../play/surface.js';

export const title = 'Play';
const SPEEDS = ['1', '5', '20', '100'];

export async function mount(main, { api, keep, state, keys }) {
  await style('pages/play.css');
  const menu = await api('play/menu');
  const at = {
    settings: settingsOf(state, menu), step: Number(state.step) || 0, phase: Number(state.phase) || 0, row: Number(state.row) || 0,
    unit: (state.unit ?? '0.0').split('.').map(Number), speed: state.speed ?? '5', test: state.test === '1',
    running: false, ended: false, busy: false, again: false, data: null, frame: null, phases: null,
  };
  const query = (more) => new URLSearchParams({ ...at.settings, ...more }).toString();
  const remember = () => keep({
    ...shortened(at.settings, menu), step: at.step || '', phase: at.phase || '', row: at.row || '', unit: at.unit.join('.') === '0.0' ? '' : at.unit.join('.'),
    speed: at.speed === '5' ? '' : at.speed, test: at.test ? '1' : '',
  });

  const drawing = network(choose, resize);
  const plane = surface(Math.min(348, main.clientWidth - 30), follow);
  const chart = h('div', { class: 'chart' });
  const place = {
    bar: h('div', { class: 'card bar', role: 'toolbar', 'aria-label': 'Training' }), settings: h('div', { class: 'left' }),
    facts: h('dl', { class: 'facts' }), phases: h('section', { class: 'card panel', 'aria-label': 'A step taken apart' }),
    legend: h('div', { class: 'legend small' }), trouble: h('div', { 'aria-live': 'assertive' }), layers: h('div', { class: 'row between' }),
  };
  main.replaceChildren(h('h1', { class: 'visually-hidden' }, 'Play'), h('div', { class: 'play' },
    place.bar, place.trouble, h('div', { class: 'stage' }, place.settings,
      h('section', { class: 'card middle', 'aria-label': 'The network' }, place.layers, drawing.element),
      h('section', { class: 'card right', 'aria-label': 'What it has learnt' }, plane.element, place.legend, place.facts, chart)),
    place.phases));

  function widths() {
    const layers = at.settings.layers === 'none' ? [] : at.settings.layers.split(',').map(Number);
    return [2, ...layers, at.data.outputs];
  }

  /** Fetch what is missing, one request at a time, and draw. */
  async function refresh({ data = false } = {}) {
    at.fresh ||= data;
    if (at.busy) { at.again = true; return; }
    at.busy = true;
    try {
      do {
        at.again = false;
        if (at.fresh) { at.data = await api(`play/data?${query()}`); at.fresh = false; }
        at.frame = await api(`play/state?${query({ step: at.step + (at.phase === 3 ? 1 : 0) })}`);
        at.phases = at.phase || !at.running ? await api(`play/phases?${query({ step: at.step, row: at.row })}`) : null;
        if (at.frame.ended) { at.ended = true; at.running = false; at.phase = 0; at.step = at.frame.step; }
        place.trouble.replaceChildren(...(at.frame.ended ? [mistake(at.frame.ended)] : []));
      } while (at.again && at.alive !== false);
      draw();
    } catch (error) {
      at.running = false;
      place.trouble.replaceChildren(mistake(error));
      bar();
      settings();
    } finally {
      at.busy = false;
    }
  }

  function draw() {
    const sizes = widths();
    if (at.unit[0] >= sizes.length - 1 || at.unit[1] >= sizes[at.unit[0] + 1]) at.unit = [0, 0];
    drawing.draw(at.data, at.frame, { widths: sizes, phases: at.phases, phase: at.phase, chosen: at.unit });
    const chosen = at.phases && at.phase ? at.phases.rows[at.phases.place] : -1;
    plane.draw(at.data, at.frame, at.phases && !at.running ? at.phases.rows : [], chosen, at.test);
    lossChart(chart, at.frame.curve, { svg });
    facts();
    bar();
    place.phases.replaceChildren(opened(at.data, sizes, at.phases, at.phase, at.unit, (by) => {
      at.row = (at.row + by + at.phases.rows.length) % at.phases.rows.length;
      refresh();
    }));
    remember();
  }

  function facts() {
    const { frame, data } = at;
    const pairs = [['step', number(frame.step)], ['epoch', number(frame.epoch, 3)], ['loss', number(frame.loss)], ['test loss', number(frame.test_loss)]];
    if (frame.accuracy != null) pairs.push(['accuracy', `${number(100 * frame.accuracy, 3)} %`], ['test accuracy', `${number(100 * frame.test_accuracy, 3)} %`]);
    place.facts.replaceChildren(...pairs.flatMap(([name, value]) => [h('div', {}, h('dt', {}, name), h('dd', { class: 'number', id: `play-fact-${name.replace(/\W+/g, '-')}` }, value))]));
    const classes = data.classes.length ? data.classes.map((name, k) => [name, toneOf(data, k)]) : [['−1', toneOf(data, -1)], ['0', toneOf(data, 0)], ['1', toneOf(data, 1)]];
    place.legend.replaceChildren(h('span', { class: 'muted' }, `${data.target}:`), ...classes.map(([name, tone]) => {
      const dot = h('i', {});
      dot.style.background = tone;
      return h('span', {}, dot, name);
    }), h('label', { class: 'end' }, tick(), 'test rows'), ...data.notices.map((text) => h('p', { class: 'muted' }, text)));
  }

  function tick() {
    const box = h('input', { type: 'checkbox', onchange: () => { at.test = box.checked; draw(); } });
    box.checked = at.test;
    return box;
  }

  function bar() {
    const speed = h('select', { 'aria-label': 'Steps a picture', onchange: (event) => { at.speed = event.target.value; remember(); } }, ...SPEEDS.map((value) => h('option', { value }, `${value} a picture`)));
    speed.value = SPEEDS.includes(at.speed) ? at.speed : '5';
    const focused = document.activeElement?.id;
    place.bar.replaceChildren(
      h('button', { type: 'button', id: 'play-run', class: 'primary', onclick: toggle }, at.running ? 'Pause' : 'Run'),
      h('button', { type: 'button', id: 'play-step', onclick: () => advance(1) }, 'Step'), speed,
      h('button', { type: 'button', id: 'play-reset', onclick: () => jump(0) }, 'Reset'),
      phaseButtons(at.phase, toPhase),
      h('span', { class: 'end row' },
        h('button', { type: 'button', id: 'play-seed', title: 'other first weights', onclick: () => change('seed', String(Number(at.settings.seed) + 1)) }, 'New weights'),
        h('a', { class: 'button', href: `#/descent?${new URLSearchParams({ source: 'play', ...shortened(at.settings, menu), step: at.step || 200 })}` }, 'See its landscape')));
    if (focused) document.getElementById(focused)?.focus();
  }

  function settings() {
    const focused = document.activeElement?.id;
    place.settings.replaceChildren(form(menu, at.settings, change));
    const hidden = at.settings.layers === 'none' ? [] : at.settings.layers.split(',');
    const layers = (by, label, text, off) => h('button', { type: 'button', class: 'tiny', 'aria-label': label, disabled: off, onclick: () => change('layers', by < 0 ? hidden.slice(0, -1).join(',') || 'none' : [...hidden, hidden.at(-1) ?? '4'].join(',')) }, text);
    place.layers.replaceChildren(h('h2', {}, 'Network'), h('div', { class: 'row small' }, layers(-1, 'one hidden layer fewer', '−', !hidden.length),
      h('span', {}, `${hidden.length} hidden layer${hidden.length === 1 ? '' : 's'}`), layers(1, 'one hidden layer more', '+', hidden.length >= menu.most.layers)));
    if (focused) document.getElementById(focused)?.focus();
  }

  function change(name, value) {
    at.settings[name] = value;
    if (name === 'set') {
      const kind = menu.sets.find((set) => set.name === value);
      const fitting = menu.losses[kind?.classes ?? 2];
      if (!fitting.includes(at.settings.loss)) [at.settings.loss] = kind?.classes === 0 ? ['mse'] : ['cross_entropy'];
    }
    if (name === 'optimizer') at.settings.lr = String(menu.rules.find((rule) => rule.name === value).lr);
    at.ended = false;
    settings();
    jump(0, true);
  }

  function resize(layer, by) {
    const units = at.settings.layers.split(',').map(Number);
    units[layer] = Math.min(menu.most.units, Math.max(1, units[layer] + by));
    change('layers', units.join(','));
  }

  function jump(step, data = false) {
    Object.assign(at, { step, phase: 0, row: 0, running: false, ended: false });
    return refresh({ data });
  }

  function advance(by) {
    if (at.ended) return Promise.resolve();
    const from = at.step + (at.phase === 3 ? 1 : 0);
    Object.assign(at, { step: Math.min(menu.most.steps, from + by), phase: 0 });
    return refresh();
  }

  function toPhase(phase) {
    at.running = false;
    if (phase === 1 && at.phase === 3) at.step += 1;
    at.phase = phase;
    refresh();
  }

  async function toggle() {
    at.running = !at.running;
    bar();
    while (at.running && at.alive !== false) {
      await advance(Number(at.speed));
      await new Promise((next) => requestAnimationFrame(next));
    }
    if (at.alive !== false && !at.ended) refresh();
  }

  function choose(layer, unit) {
    at.unit = [layer, unit];
    if (!at.phase) at.phase = 1;
    refresh();
  }

  function follow(row) {
    const found = at.phases?.rows.indexOf(row) ?? -1;
    if (found < 0) return;
    at.row = found;
    if (!at.phase) at.phase = 1;
    refresh();
  }

  keys?.([
    { key: ' ', text: 'run or pause', run: toggle }, { key: 's', text: 'one step', run: () => advance(1) }, { key: 'r', text: 'back to step 0', run: () => jump(0) },
    { key: 'f', text: 'forward', run: () => toPhase(1) }, { key: 'b', text: 'backward', run: () => toPhase(2) }, { key: 'u', text: 'update', run: () => toPhase(3) },
  ]);
  settings();
  await refresh({ data: true });
  const scheme = onScheme(() => { if (at.frame) { drawing.again(); draw(); } });
  return () => { at.alive = false; at.running = false; scheme(); drawing.end(); };
}
