export const title = 'Descent';

export function mount(main) {
  main.textContent = 'Descent';
}
