/** Takes the process warnings that the code under test gives, until it is disposed of. */
export function heardWarnings(): Disposable & { readonly texts: readonly string[] } {
  const emitWarning = process.emitWarning.bind(process);
  const texts: string[] = [];
  process.emitWarning = (warning: string | Error) => {
    texts.push(String(warning));
  };
  return {
    texts,
    [Symbol.dispose]: () => {
      process.emitWarning = emitWarning;
    },
  };
}
