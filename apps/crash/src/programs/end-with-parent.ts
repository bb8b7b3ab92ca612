/** Between two looks. Milliseconds. */
const lookMs = 500;

/** Ends this process when the one that started it is gone, however that happened. */
export function endWithParent(): void {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.exit(1);
  }, lookMs).unref();
}
