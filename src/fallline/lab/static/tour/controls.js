// Sliders and choices, as the server declares them.
import { h, number } from './kit.js';

/** The position of a slider for a value, and back. */
const scales = {
  straight: { to: (v) => v, from: (p) => p },
  logarithmic: { to: Math.log10, from: (p) => Number((10 ** p).toPrecision(3)) },
};

/** All controls of a page; `told(values)` is called when one is moved. `values` holds texts by name. */
export function controls(declared, values, told) {
  return h('div', { class: 'controls' }, declared.map((one) => (one.kind === 'choice' ? choice(one, values, told) : slider(one, values, told))));
}

function slider(one, values, told) {
  const scale = scales[one.logarithmic ? 'logarithmic' : 'straight'];
  const id = `set-${one.name}`;
  const whole = Number.isInteger(one.step) && Number.isInteger(one.low);
  const given = Number(values[one.name] ?? one.value);
  const now = Number.isFinite(given) ? given : one.value; // the server says what is wrong with an address
  const shown = h('output', { for: id }, number(now, 3));
  const input = h('input', {
    id, type: 'range', min: scale.to(one.low), max: scale.to(one.high), step: one.step, value: scale.to(now),
    oninput: () => set(clamp(scale.from(Number(input.value)), one)),
  });
  const set = (value) => {
    values[one.name] = String(Number(value.toPrecision(6)));
    shown.textContent = number(value, 3);
    input.setAttribute('aria-valuetext', shown.textContent);
    told(values);
  };
  input.setAttribute('aria-valuetext', shown.textContent);
  const play = whole && one.name !== 'digits' && one.name !== 'depth' ? player(one, input, set) : null;
  return h('div', { class: 'control' }, h('label', { for: id }, one.label), h('div', { class: 'along' }, play, input, play ? null : shown));
}

function clamp(value, { low, high }) {
  return Math.min(Math.max(value, low), high);
}

/** A button that moves a slider by itself, from its beginning to its end. */
function player(one, input, set) {
  const between = Math.max(120, Math.min(1100, 6000 / (one.high - one.low)));
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = '▶ play';
  };
  const forward = () => {
    if (!button.isConnected || Number(input.value) >= one.high) return stop();
    input.value = Number(input.value) + 1;
    set(Number(input.value));
  };
  const button = h('button', {
    type: 'button', class: 'player',
    onclick: () => {
      if (timer) return stop();
      if (Number(input.value) >= one.high) {
        input.value = one.low;
        set(one.low);
      }
      button.textContent = '❚❚ pause';
      timer = setInterval(forward, between);
    },
  }, '▶ play');
  input.addEventListener('pointerdown', stop);
  return button;
}

function choice(one, values, told) {
  const now = values[one.name] ?? one.value;
  if (one.options.length > 5) {
    const id = `set-${one.name}`;
    const select = h('select', { id, onchange: () => told({ ...values, [one.name]: (values[one.name] = select.value) }) },
      one.options.map(([value, text]) => h('option', { value, selected: value === now }, text)));
    return h('div', { class: 'control' }, h('label', { for: id }, one.label), select);
  }
  const radio = ([value, text]) => h('label', {}, h('input', {
    type: 'radio', name: `set-${one.name}`, value, checked: value === now,
    onchange: () => told({ ...values, [one.name]: (values[one.name] = value) }),
  }), h('span', {}, text));
  return h('fieldset', { class: 'control' }, h('legend', {}, one.label), h('div', { class: 'choice' }, one.options.map(radio)));
}
