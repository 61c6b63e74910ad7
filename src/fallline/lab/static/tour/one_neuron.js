// Figures of the tour's first pages: a neuron, a slope, a learning rate.
import { arrow, bracketed, facts, legend, number, picture, plot, svg, words } from './kit.js';

/** The neuron above its line, the errors as the squares that they become. */
export function neuron(found, width) {
  const { x, y, outputs, errors, w, b, loss } = found;
  const axes = plot(width, {
    height: 300, across: [0, 6], up: [-4, 18], below: 'hours of sun x', beside: '↑ cones',
    label: `Five dots and the line ${number(w)}·x + ${number(b)}; its errors are ${errors.map((e) => number(e)).join(', ')}`,
  });
  x.forEach((at, k) => {
    const side = Math.abs(axes.y(outputs[k]) - axes.y(y[k]));
    const left = axes.x(at) - (errors[k] > 0 ? side : 0);
    axes.add(
      svg('rect', { class: 'area orange', x: left, y: Math.min(axes.y(outputs[k]), axes.y(y[k])), width: side, height: side }),
      svg('path', { class: 'line orange', d: `M${axes.x(at)} ${axes.y(outputs[k])}V${axes.y(y[k])}` }),
    );
  });
  axes.line([[0, b], [6, 6 * w + b]], 'blue thick');
  axes.dots(x.map((at, k) => [at, y[k]]), 'ink', 5);
  return [
    drawn(width, w, b), axes.node,
    legend([['blue', 'the neuron’s answers'], ['orange', 'errors, and their squares'], ['ink dot', 'what really happened']]),
    facts([['loss: the mean square', number(loss), 'main'], ...errors.map((e, k) => [`error at ${x[k]} h`, number(e, 3)])]),
  ];
}

function drawn(width, w, b) {
  const [middle, centre] = [38, width / 2];
  return picture(width, 84, `x times ${number(w)}, plus ${number(b)}`,
    words(26, middle + 6, 'x', 'big'), arrow(46, middle, centre - 34, middle, 'blue'),
    words((46 + centre - 34) / 2, middle - 10, `× ${number(w)}`, 'strong'),
    svg('circle', { class: 'node', cx: centre, cy: middle, r: 32 }), words(centre, middle + 5, `+ ${bracketed(b)}`, 'strong'),
    arrow(centre + 34, middle, width - 42, middle, 'blue'), words(width - 24, middle + 6, 'o', 'big'),
    words((46 + centre - 34) / 2, middle + 22, 'weight w', 'tick'), words(centre, 82, 'bias b', 'tick'),
    words((centre + width) / 2, middle + 22, 'answer', 'tick'));
}

function valley(found, width, label, height = 300) {
  const axes = plot(width, { height, across: [-1, 6], up: [-8, 120], below: 'weight w', beside: '↑ loss L', label });
  axes.line(found.places.map((place, k) => [place, found.heights[k]]), 'ink');
  return axes;
}

/** The slope at a place, and the step that it leads to. */
export function slope(found, width) {
  const { w, loss, slope: steep, after, loss_after: lower, lr } = found;
  const axes = valley(found, width, `The loss over the weight; at ${number(w)} it is ${number(loss)} with slope ${number(steep)}`, 320);
  const reach = Math.min(1.1, 60 / Math.max(Math.abs(steep), 1));
  axes.line([[w - reach, loss - reach * steep], [w + reach, loss + reach * steep]], 'orange thick');
  axes.line([[after, -8], [after, lower]], 'green dashed');
  axes.line([[w, -8], [w, loss]], 'faint dashed');
  axes.add(arrow(axes.x(w), axes.y(-3), axes.x(after), axes.y(-3), 'green thick', 9));
  axes.dots([[w, loss]], 'ink', 6);
  axes.dots([[after, lower]], 'green', 6);
  return [
    axes.node, legend([['ink', 'the loss of every weight'], ['orange', 'slope dL/dw, by backpropagation'], ['green', 'the step, by gradient descent']]),
    facts([
      ['loss here', number(loss)], ['slope dL/dw', number(steep), 'warm'], ['loss after the step', number(lower), lower < loss ? 'good' : 'bad'],
      ['w − η·dL/dw', `${number(w)} − ${number(lr)} × ${bracketed(steep)} = ${number(after)}`, 'wide main'],
    ]),
  ];
}

/** Twelve steps with one learning rate. */
export function rate(found, width) {
  const { walk, losses, limit, lr, lowest } = found;
  const axes = valley(found, width, `${walk.length - 1} steps of gradient descent with learning rate ${number(lr)}`, 290);
  const height = (k) => losses[k] ?? 1e6;
  for (let k = 0; k + 1 < walk.length; k += 1) {
    axes.add(arrow(axes.x(walk[k]), axes.y(height(k)), axes.x(walk[k + 1]), axes.y(height(k + 1)), 'green'));
  }
  axes.dots(walk.map((place, k) => [place, losses[k]]), 'green', 3);
  axes.dots([[walk[0], losses[0]]], 'ink', 6);
  const below = plot(width, {
    height: 190, across: [-0.3, walk.length - 0.7], up: [-4, 80], below: 'step', beside: '↑ loss', marks: 4,
    label: `The loss after each step: ${losses.map((v) => number(v, 3)).join(', ')}`,
  });
  below.line([[0, lowest], [walk.length - 1, lowest]], 'faint dashed');
  below.line(losses.map((value, k) => [k, value]), 'green thick');
  below.dots(losses.map((value, k) => [k, value]), 'green', 3.5);
  const share = lr / limit;
  const told = share > 1 ? 'flies away: every step ends higher' : share > 0.62 ? 'jumps to and fro, and still comes down'
    : share > 0.38 ? 'goes almost straight to the bottom' : share > 0.1 ? 'walks down' : 'creeps';
  return [
    axes.node, below.node,
    facts([
      ['η', number(lr), 'main'], ['edge: 2/λ', number(limit)], ['η in parts of the edge', `${Math.round(100 * share)} %`],
      ['loss after 12 steps', number(losses.at(-1)), share > 1 ? 'bad' : ''], ['what it does', told, 'wide'],
    ]),
  ];
}
