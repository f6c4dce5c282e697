/** What the executable's entry script offers; see `cli/assets.ts`. */
interface Executable {
  workerUrl(name: string): string;
}

/**
 * The address to start a worker with, as a module: a data URL that reads the worker's code from the executable, or the
 * file beside this one when run from source.
 */
export function workerUrl(name: "compress"): string {
  const executable = (globalThis as { readonly __wherry?: Executable }).__wherry;
  if (executable) return executable.workerUrl(name);
  return new URL(`./${name}_worker.ts`, import.meta.url).href;
}
