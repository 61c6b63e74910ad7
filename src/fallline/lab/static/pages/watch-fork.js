// The question before a fork: from which step, with which learning rate.
import { count, h, mistake } from '../parts.js';

/** Ask, and start it; resolves to the new run's id, or null. */
export function askFork(run, step, start) {
  return new Promise((done) => {
    const field = (name, text, value, attributes = {}) =>
      h('label', { class: 'field' }, h('span', {}, text), h('input', { name, value, type: 'number', ...attributes }));
    const said = h('div', { 'aria-live': 'polite' });
    const go = h('button', { class: 'primary', type: 'submit' }, 'Fork');
    const form = h('form', { class: 'fork' },
      h('h2', { id: 'fork-title' }, `Fork ${run.name}`),
      h('p', { class: 'muted small' }, 'A new run takes this one’s weights after some step and goes on from there. Both stay replayable.'),
      field('step', `after step (0 to ${count(run.step)})`, step, { min: 0, max: run.step, step: 1, required: true }),
      field('lr', 'learning rate', run.lr == null ? '' : Number((run.lr / 2).toPrecision(3)), { min: 0, step: 'any', required: true }),
      field('epochs', 'epochs in all', run.epochs ?? '', { min: 1, step: 1 }),
      said,
      h('div', { class: 'row' }, go, h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel')));
    const dialog = h('dialog', { 'aria-labelledby': 'fork-title', onclose: () => { dialog.remove(); done(null); } }, form);
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const given = Object.fromEntries(new FormData(form));
      const body = { step: Number(given.step), lr: Number(given.lr) };
      if (given.epochs) body.epochs = Number(given.epochs);
      go.disabled = true;
      said.replaceChildren(h('p', { class: 'muted small' }, 'The new run begins …'));
      try {
        const { id } = await start(body);
        done(id);
        dialog.close();
      } catch (error) {
        go.disabled = false;
        said.replaceChildren(mistake(error));
      }
    });
    document.body.append(dialog);
    dialog.showModal();
    form.elements.lr.select();
  });
}
