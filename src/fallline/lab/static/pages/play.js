export const title = 'Play';

export function mount(main) {
  main.textContent = 'Play';
}
