/** Everything that is ready to run runs first. */
export const turn = () => new Promise((resolve) => setImmediate(resolve));

export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await turn();
}

/** What a handler waits for until its test lets it go on. */
export function gate() {
  let open: () => void = () => undefined;
  const isOpen = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, isOpen };
}
