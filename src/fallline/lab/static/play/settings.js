// What is trained, and how: the menus, out of the engine's registers.
import { h } from '../parts.js';

const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10];
const BATCHES = ['1', '2', '4', '8', '16', '32', '64', 'all'];

/** The settings that differ from what is assumed: short addresses. */
export function shortened(settings, menu) {
  return Object.fromEntries(Object.entries(settings).filter(([name, value]) => String(value) !== menu.defaults[name]));
}

/** The settings of an address, with what is not named there assumed. */
export function settingsOf(state, menu) {
  const found = Object.fromEntries(Object.entries(menu.defaults).map(([name, value]) => [name, state[name] ?? value]));
  const kind = menu.sets.find((set) => set.name === found.set);
  if (kind && !kind.classes && !state.loss) found.loss = 'mse';
  return found;
}

/** The form; `changed(name, value)` is called for each choice. */
export function form(menu, settings, changed) {
  const pick = (name, label, options, shown = String) => {
    const known = options.map(String);
    const values = known.includes(settings[name]) || !settings[name] ? known : [...known, settings[name]];
    const select = h('select', { id: `play-${name}`, onchange: (event) => changed(name, event.target.value) },
      ...values.map((value) => h('option', { value }, shown(value))));
    select.value = settings[name];
    return field(name, label, select);
  };
  const slide = (name, label, low, high, step) => {
    const told = h('output', { class: 'number', for: `play-${name}` }, settings[name]);
    const input = h('input', {
      type: 'range', id: `play-${name}`, min: low, max: high, step, value: settings[name],
      oninput: (event) => { told.textContent = event.target.value; },
      onchange: (event) => changed(name, event.target.value),
    });
    return field(name, label, input, told);
  };
  const own = settings.set === 'own';
  const rule = menu.rules.find((one) => one.name === settings.optimizer);
  const sets = [...menu.sets.map((set) => [set.name, set.title]), ...(menu.own ? [['own', menu.own.title]] : [])];
  const titles = Object.fromEntries(sets);
  const group = (title, ...parts) => h('fieldset', {}, h('legend', {}, title), ...parts);
  return h('form', { class: 'card settings', 'aria-label': 'Settings', onsubmit: (event) => event.preventDefault() },
    group('Data',
      pick('set', 'Set', sets.map(([name]) => name), (name) => titles[name] ?? name),
      ...(own ? [
        pick('a', 'Across', menu.own.numbers), pick('b', 'Up', menu.own.numbers), pick('target', 'Target', menu.own.columns),
      ] : [slide('rows', 'Rows', 20, 500, 20), slide('noise', 'Noise', 0, 0.5, 0.05)])),
    group('Network',
      pick('activation', 'Activation', Object.keys(menu.activations)),
      h('p', { class: 'formula muted', id: 'play-activation-formula' }, menu.activations[settings.activation] ?? '')),
    group('Descent',
      pick('loss', 'Loss', lossesOf(menu, settings)),
      pick('optimizer', 'Update rule', menu.rules.map((one) => one.name)),
      pick('lr', 'Learning rate η', RATES),
      rule?.momentum ? pick('momentum', 'Momentum', ['0', '0.5', '0.9', '0.99']) : null,
      pick('batch', 'Rows a step', BATCHES, (value) => ({ 1: '1 (stochastic)', all: 'all (batch)' }[value] ?? value))),
  );
}

function field(name, label, control, told) {
  return h('div', { class: 'field' }, h('label', { for: `play-${name}` }, label), control, told ?? null);
}

function lossesOf(menu, settings) {
  const kind = menu.sets.find((set) => set.name === settings.set);
  if (kind) return menu.losses[kind.classes];
  return [...new Set([...menu.losses[0], ...menu.losses[2], ...menu.losses[3]])];
}
