// Figures of the tour's last pages: slopes layer by layer; learning by heart.
import { facts, legend, number, plot, svg, words } from './kit.js';

const VERDICTS = {
  vanishes: 'The slopes vanish on their way back: the first layers hardly learn.',
  explodes: 'The slopes explode: one step throws the weights far away.',
  arrives: 'The slopes arrive: every layer can learn.',
};

/** The size of dL/dw in each layer, on a logarithmic axis. */
export function wrong(found, width) {
  const { norms, ratio, spread, dead, units, verdict } = found;
  const sizes = norms.map((value) => (value ? value : null));
  const finite = sizes.filter((value) => value != null);
  const low = 10 ** Math.min(-7, Math.floor(Math.log10(Math.min(...finite, 1))));
  const high = 10 ** Math.max(1, Math.ceil(Math.log10(Math.max(...finite, 1)) + 0.3));
  const axes = plot(width, {
    height: 320, across: [0.4, norms.length + 0.6], whole: true, up: [low, high], log: true, below: 'layer, from the input to the output', beside: '↑ size of dL/dw, measured',
    label: norms.map((value, k) => `layer ${k + 1}: ${number(value, 2)}`).join(', '),
  });
  const wide = (axes.x(2) - axes.x(1)) * 0.66;
  sizes.forEach((value, k) => {
    if (value == null) return void axes.add(words(axes.x(k + 1), axes.bottom - 8, '0', 'strong orange'));
    const top = axes.y(value);
    axes.add(svg('rect', { class: 'fill orange', x: axes.x(k + 1) - wide / 2, y: top, width: wide, height: Math.max(axes.bottom - top, 1), rx: 3 }));
  });
  return [
    axes.node, facts([
      ['what happens', VERDICTS[verdict], `wide ${verdict === 'arrives' ? 'good' : 'bad'}`], ['first layer ÷ last layer', number(ratio, 3), 'main'],
      ['dead units', `${dead} of ${units}`, dead ? 'bad' : ''], ['spread of the last hidden layer', number(spread.at(-1), 3)],
    ]),
  ];
}

/** What the network answers at a moment of its training, and its losses until the end. */
export function stop(found, width) {
  const axes = plot(width, {
    height: 270, across: [-1.05, 1.05], up: [-1.9, 1.9], below: 'x', beside: '↑ answer', marks: 4,
    label: `What the network answers after ${found.epoch} epochs, with ${found.x.length} training points`,
  });
  axes.dots(found.held_x.map((x, k) => [x, found.held_y[k]]), 'orange ghost', 3);
  axes.line(found.smooth.map((x, k) => [x, found.answer[k]]), 'blue thicker');
  axes.dots(found.x.map((x, k) => [x, found.y[k]]), 'ink', 5);
  const losses = [...found.training, ...found.validation].filter((value) => value > 0);
  const low = 10 ** Math.floor(Math.log10(Math.max(Math.min(...losses), 1e-6)));
  const below = plot(width, {
    height: 230, across: [1, found.epochs.at(-1)], up: [low, 3], log: true, logAcross: true, below: 'epoch', beside: '↑ loss',
    label: `The validation loss is lowest, ${number(found.lowest)}, after epoch ${found.best}, and ${number(found.end)} at the end`,
  });
  below.line([[found.best, low], [found.best, 3]], 'green dashed');
  below.line(found.epochs.map((epoch, k) => [epoch, found.training[k]]), 'blue thick');
  below.line(found.epochs.map((epoch, k) => [epoch, found.validation[k]]), 'orange thick');
  const now = Math.max(found.epoch, 1);
  below.line([[now, low], [now, 3]], 'ink');
  return [
    axes.node, below.node,
    legend([['ink dot', 'points it learns from'], ['orange dot', 'validation points'], ['blue', 'its answers; its loss on the points'], ['orange', 'its validation loss'], ['green', 'the best moment to stop']]),
    facts([
      ['epoch shown', String(found.epoch), 'main'], ['lowest validation loss', `${number(found.lowest)} after epoch ${found.best}`, 'good'],
      ['validation loss at the end', number(found.end), found.end > 1.2 * found.lowest ? 'bad' : ''], ['loss on its points at the end', number(found.end_training)],
    ]),
  ];
}
