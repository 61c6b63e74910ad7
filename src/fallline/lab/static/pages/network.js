export const title = 'Network';

export function mount(main) {
  main.textContent = 'Network';
}
