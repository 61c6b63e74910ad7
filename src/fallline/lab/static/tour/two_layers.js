// Figures of the tour's middle pages: a chain, a walk back through a network, a check by measuring.
import { arrow, facts, h, legend, number, picture, plot, svg, words } from './kit.js';

/** The chain from x to the loss: values forwards, links backwards. */
export function chain(found, width) {
  const { x, z, a, o, loss, links, product, gradients, w1, w2 } = found;
  const stops = [['x', x], ['z', z], ['a', a], ['o', o], ['L', loss]];
  const ways = [
    [`× w₁ + b₁`, 'dz/dw₁ = x', links.z_by_w1], ['tanh', 'da/dz', links.a_by_z], [`× w₂ + b₂`, 'do/da = w₂', links.o_by_a],
    ['(o − y)²', 'dL/do', links.loss_by_o],
  ];
  const label = `Forwards: ${stops.map(([n, v]) => `${n} is ${number(v)}`).join(', ')}. Backwards, the links ${ways.map(([, n, v]) => `${n} = ${number(v)}`).join(', ')}`;
  const node = width < 560 ? upright(width, stops, ways, label) : level(width, stops, ways, label);
  const order = [links.loss_by_o, links.o_by_a, links.a_by_z, links.z_by_w1].map((v) => (v < 0 ? `(${number(v)})` : number(v)));
  return [
    node, legend([['blue', 'forwards: what each thing is'], ['orange', 'backwards: how much it changes with the one before']]),
    facts([
      ['product of the links', `${order.join(' × ')} = ${number(product, 6)}`, 'wide main warm'],
      ['dL/dw₁ by backpropagation', number(gradients['0.weight'], 6), 'warm'],
      ['dL/dw₂ by backpropagation', number(gradients['2.weight'], 6)], ['w₁', number(w1)], ['w₂', number(w2)],
    ]),
  ];
}

function box(cx, cy, name, value) {
  return [
    svg('rect', { class: 'node', x: cx - 35, y: cy - 26, width: 70, height: 52, rx: 10 }),
    words(cx, cy - 6, name, 'strong'), words(cx, cy + 15, number(value), 'value'),
  ];
}

function level(width, stops, ways, label) {
  const [middle, first] = [96, 44];
  const pitch = (width - 2 * first) / (stops.length - 1);
  const parts = stops.flatMap(([name, value], k) => box(first + k * pitch, middle, name, value));
  ways.forEach(([forward, name, value], k) => {
    const [from, to] = [first + k * pitch + 37, first + (k + 1) * pitch - 37];
    const centre = (from + to) / 2;
    parts.push(
      arrow(from, middle - 12, to, middle - 12, 'blue'), words(centre, middle - 40, forward, 'tick blue'),
      arrow(to, middle + 12, from, middle + 12, 'orange'), words(centre, middle + 44, name, 'tick orange'),
      words(centre, middle + 66, number(value), 'strong orange'),
    );
  });
  return picture(width, 176, label, parts);
}

function upright(width, stops, ways, label) {
  const [centre, first, pitch] = [width / 2, 32, 112];
  const parts = stops.flatMap(([name, value], k) => box(centre, first + k * pitch, name, value));
  ways.forEach(([forward, name, value], k) => {
    const [from, to] = [first + k * pitch + 28, first + (k + 1) * pitch - 28];
    const middle = (from + to) / 2;
    parts.push(
      arrow(centre - 14, from, centre - 14, to, 'blue'), words(centre - 28, middle + 4, forward, 'tick blue', 'end'),
      arrow(centre + 14, to, centre + 14, from, 'orange'), words(centre + 28, middle - 4, name, 'tick orange', 'start'),
      words(centre + 28, middle + 14, number(value), 'strong orange', 'start'),
    );
  });
  return picture(width, first + 4 * pitch + 34, label, parts);
}

const WALK = [
  'The rows come in.', 'Forwards: each hidden unit adds up what comes in, and lets through what is above 0.',
  'Forwards: the output adds up what the hidden units let through.', 'The loss: how far the output is from what is wanted.',
  'Backwards: the output’s delta, straight from the loss.', 'Backwards: each hidden unit’s delta, through its weight and its gate.',
  'Every slope: what came in × delta, summed over the rows.',
];

/** The network with its values, deltas and slopes, as far as the walk has come. */
export function backward(found, width) {
  const { rows, weights, gradients, loss, stage } = found;
  const wide = Math.min(width, 620);
  const at = { x: [[40, 70], [40, 250]], h: [[wide * 0.47, 70], [wide * 0.47, 250]], o: [[wide * 0.77, 160]], L: [wide - 32, 160] };
  const join = (values) => values.map((value) => number(value, 4)).join(' | ');
  const parts = [];
  const edge = ([x0, y0], [x1, y1], value, slope, share) => {
    const [ex, ey] = [x0 + (x1 - x0) * share, y0 + (y1 - y0) * share];
    parts.push(svg('path', { class: 'line faint', d: `M${x0} ${y0}L${x1} ${y1}` }), words(ex, ey - 4, number(value), 'tick halo'));
    if (stage > 5) parts.push(words(ex, ey + 12, number(slope), 'strong orange halo'));
  };
  at.x.forEach((from, i) => at.h.forEach((to, j) => edge(from, to, weights['0.weight'][i][j], gradients['0.weight'][i][j], 0.36)));
  at.h.forEach((from, i) => edge(from, at.o[0], weights['2.weight'][i][0], gradients['2.weight'][i][0], 0.5));
  parts.push(svg('path', { class: 'line faint', d: `M${at.o[0][0]} 160L${at.L[0]} 160` }));
  const unit = ([cx, cy], name, inside, off, lines) => {
    parts.push(svg('circle', { class: off ? 'node off' : 'node', cx, cy, r: 27 }), words(cx, cy - 34, name, 'tick'));
    if (inside != null) parts.push(words(cx, cy + 5, inside, inside.length > 7 ? 'value blue small' : 'value blue'));
    lines.filter(Boolean).forEach(([text, kind], k) => parts.push(words(cx, cy + 42 + 16 * k, text, kind)));
  };
  at.x.forEach((place, i) => unit(place, `x${'₁₂'[i]}`, join(rows.map((r) => r.x[i])), false, []));
  at.h.forEach((place, j) => unit(place, `hidden ${j + 1}`, stage > 0 ? join(rows.map((r) => r.a[j])) : null, stage > 0 && rows.every((r) => r.a[j] === 0), [
    stage > 0 && [`z ${join(rows.map((r) => r.z[j]))}`, 'tick'], stage > 4 && [`δ ${join(rows.map((r) => r.delta1[j]))}`, 'strong orange'],
    stage > 5 && [`bias ${number(gradients['0.bias'][j])}`, 'tick orange'],
  ]));
  unit(at.o[0], 'output', stage > 1 ? join(rows.map((r) => r.o[0])) : null, false, [
    stage > 2 && [`y ${join(rows.map((r) => r.y[0]))}`, 'tick'], stage > 3 && [`δ ${join(rows.map((r) => r.delta2[0]))}`, 'strong orange'],
    stage > 5 && [`bias ${number(gradients['2.bias'][0])}`, 'tick orange'],
  ]);
  parts.push(words(at.L[0], 145, 'loss', 'tick'), stage > 2 ? words(at.L[0], 180, number(loss, 5), 'value') : null);
  if (stage > 3) parts.push(arrow(wide - 40, 322, 40, 322, 'orange'), words(wide / 2, 340, 'backwards', 'tick orange'));
  else parts.push(arrow(40, 322, 40 + (wide - 80) * Math.max(stage, 0.4) / 3, 322, 'blue'), words(wide / 2, 340, 'forwards', 'tick blue'));
  return [
    h('p', { class: 'step', 'aria-live': 'polite' }, `${stage + 1} of ${WALK.length}. ${WALK[stage]}`),
    picture(wide, 348, `${WALK[stage]} The loss is ${number(loss)}.`, parts),
    legend([['blue', 'forwards: values of the units'], ['orange', 'backwards: deltas, and the slope of each weight']]),
    stage > 5 ? slopes(weights, gradients) : null,
  ];
}

function slopes(weights, gradients) {
  const names = Object.keys(weights).flatMap((name) => weights[name].flat().map((_, k) => {
    const columns = Array.isArray(weights[name][0]) ? weights[name][0].length : 0;
    const place = columns ? `${Math.floor(k / columns)},${k % columns}` : k;
    return [`${name}[${place}]`, weights[name].flat()[k], gradients[name].flat()[k]];
  }));
  return h('table', {}, h('thead', {}, h('tr', {}, ['weight', 'w', 'dL/dw'].map((text) => h('th', { scope: 'col' }, text)))),
    h('tbody', {}, names.map(([name, w, g]) => h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, number(w)), h('td', { class: 'warm' }, number(g))))));
}

/** How far a measured slope is from the calculated one, for smaller and smaller h. */
export function check(found, width) {
  const { steps, one, both, h: chosen, slope, measured, weight } = found;
  const clear = (values) => values.map((value, k) => [steps[k], Math.max(value, 1e-16)]);
  const axes = plot(width, {
    height: 330, across: [0.5e-14, 0.3], up: [1e-14, 1], log: true, logAcross: true, below: '← smaller h', beside: '↑ distance from backpropagation',
    label: `The distance for h from 0.1 down to 1e-14; at ${chosen} it is ${Math.abs(measured - slope)}`,
  });
  axes.line([[chosen, 1e-14], [chosen, 1]], 'faint dashed');
  axes.line(clear(one), 'blue thick');
  axes.line(clear(both), 'green thick');
  axes.dots(clear(one), 'blue', 3);
  axes.dots(clear(both), 'green', 3);
  const at = steps.indexOf(chosen);
  axes.dots([clear(one)[at]], 'ink', 6);
  return [
    axes.node, legend([['blue', 'measured from one side'], ['green', 'measured from both sides'], ['ink dot', 'the h chosen']]),
    facts([
      ['weight', weight], ['h', number(chosen)], ['backpropagation', slope.toFixed(12).replace('-', '−'), 'wide warm'],
      ['measured from one side', alike(slope.toFixed(12), measured.toFixed(12)), 'wide'],
    ]),
  ];
}

/** The second number with the digits that agree with the first made strong. */
function alike(one, other) {
  let same = 0;
  while (same < one.length && one[same] === other[same]) same += 1;
  return h('span', {}, h('strong', {}, other.slice(0, same).replace('-', '−')), other.slice(same).replace('-', '−'));
}
