// Figures of the tour's middle pages: a chain, a walk back through a network, a check by measuring.
import { arrow, facts, h, legend, number, picture, plot, svg, words } from './kit.js';

/** The chain from the first weight to the loss: values forwards, links backwards. */
export function chain(found, width) {
  const { x, z, a, o, loss, links, product, gradients, w1, w2 } = found;
  const stops = [['w₁', w1], ['z', z], ['a', a], ['o', o], ['L', loss]];
  const ways = [
    ['× x + b₁', 'dz/dw₁ = x', links.z_by_w1], ['tanh', 'da/dz', links.a_by_z], ['× w₂ + b₂', 'do/da = w₂', links.o_by_a],
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
      ['dL/dw₂ by backpropagation', number(gradients['2.weight'], 6)], ['x', number(x)], ['w₂', number(w2)],
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

/** Where everything stands: from left to right, or on a narrow screen from top to bottom, with the words at the side. */
function places(width) {
  if (width < 480) {
    return { upright: true, width, height: 470, x: [[46, 52], [width * 0.62, 52]], h: [[46, 196], [width * 0.62, 196]], o: [[width * 0.34, 336]], L: [width * 0.34, 436], share: 0.34 };
  }
  const wide = Math.min(width, 640);
  return { upright: false, width: wide, height: 382, x: [[36, 74], [36, 262]], h: [[wide * 0.46, 74], [wide * 0.46, 262]], o: [[wide * 0.79, 168]], L: [wide - 38, 168], share: 0.36 };
}

/** The network with its values, deltas and slopes, as far as the walk has come. */
export function backward(found, width) {
  const { rows, weights, gradients, loss, stage } = found;
  const at = places(width);
  const join = (values) => values.map((value) => number(value, 4)).join(' | ');
  const when = (from, text, kind) => (stage >= from ? [[text, kind]] : []);
  const edge = (from, to, layer, i, j, share) => weighted(from, to, weights[layer][i][j], stage > 5 ? gradients[layer][i][j] : null, share);
  const parts = [
    ...at.x.flatMap((from, i) => at.h.map((to, j) => edge(from, to, '0.weight', i, j, at.share))),
    ...at.h.map((from, i) => edge(from, at.o[0], '2.weight', i, 0, at.upright ? 0.5 : 0.56)),
    svg('path', { class: 'line faint', d: `M${at.o[0].join(' ')}L${at.L.join(' ')}` }),
    ...at.x.map((place, i) => unit(at, place, `x${'₁₂'[i]}`, join(rows.map((r) => r.x[i])), false, [])),
    ...at.h.map((place, j) => unit(at, place, `hidden ${j + 1}`, stage > 0 ? join(rows.map((r) => r.a[j])) : null, stage > 0 && rows.every((r) => r.a[j] === 0), [
      ...when(1, `z ${join(rows.map((r) => r.z[j]))}`, 'tick'), ...when(5, `δ ${join(rows.map((r) => r.delta1[j]))}`, 'strong orange'),
      ...when(6, `bias: ${number(gradients['0.bias'][j])}`, 'tick orange'),
    ])),
    unit(at, at.o[0], 'output', stage > 1 ? join(rows.map((r) => r.o[0])) : null, false, [
      ...when(3, `y ${join(rows.map((r) => r.y[0]))}`, 'tick'), ...when(4, `δ ${join(rows.map((r) => r.delta2[0]))}`, 'strong orange'),
      ...when(6, `bias: ${number(gradients['2.bias'][0])}`, 'tick orange'),
    ]),
    words(at.L[0], at.L[1] - (at.upright ? -26 : 16), 'loss', 'tick'), words(at.L[0], at.L[1] + (at.upright ? 8 : 20), stage > 2 ? number(loss, 5) : '?', 'value halo'),
    ...way(at, stage),
  ];
  return [
    h('p', { class: 'step', 'aria-live': 'polite' }, `${stage + 1} of ${WALK.length}. ${WALK[stage]}`),
    picture(at.width, at.height, `${WALK[stage]} The loss is ${number(loss)}.`, parts),
    legend([['blue', 'forwards: values of the units'], ['orange', 'backwards: deltas, and the slope of each weight']]),
    stage > 5 ? slopes(weights, gradients) : null,
  ];
}

/** A line between units with its weight, and with its slope where that is known. */
function weighted([x0, y0], [x1, y1], value, slope, share) {
  const [x, y] = [x0 + (x1 - x0) * share, y0 + (y1 - y0) * share];
  return [
    svg('path', { class: 'line faint', d: `M${x0} ${y0}L${x1} ${y1}` }), words(x, y - 4, number(value), 'tick halo'),
    slope == null ? null : words(x, y + 12, number(slope), 'strong orange halo'),
  ];
}

/** A unit: what it gives inside, the rest below it or at its side. */
function unit(at, [cx, cy], name, inside, off, lines) {
  const named = [[name, 'tick'], ...lines];
  return [
    svg('circle', { class: off ? 'node off' : 'node', cx, cy, r: 30 }),
    inside == null ? null : words(cx, cy + 5, inside, inside.length > 7 ? 'value blue small' : 'value blue'),
    at.upright ? named.map(([text, kind], k) => words(cx + 35, cy - 6 * lines.length + 4 + 15 * k, text, `${kind} halo`, 'start'))
      : [words(cx, cy - 37, name, 'tick'), lines.map(([text, kind], k) => words(cx, cy + 46 + 16 * k, text, `${kind} halo`))],
  ];
}

/** Which way the walk goes, and how far it has come. */
function way(at, stage) {
  const back = stage > 3;
  const share = back ? Math.min((stage - 3) / 2.6, 1) : Math.max(stage, 0.4) / 3;
  const kind = back ? 'orange' : 'blue';
  const [from, to] = at.upright ? [24, at.height - 40] : [36, at.width - 36];
  const [start, end] = back ? [to, to - (to - from) * share] : [from, from + (to - from) * share];
  if (at.upright) return [arrow(8, start, 8, end, kind)];
  return [arrow(start, 350, end, 350, kind), words(at.width / 2, 374, back ? 'backwards' : 'forwards', `tick ${kind}`)];
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
