export const title = 'Watch';

export function mount(main) {
  main.textContent = 'Watch';
}
