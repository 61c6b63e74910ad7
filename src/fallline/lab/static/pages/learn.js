export const title = 'Learn';

export function mount(main) {
  main.textContent = 'Learn';
}
