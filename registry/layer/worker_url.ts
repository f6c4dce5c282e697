/** What the executable's entry script offers; see `cli/assets.ts`. */
interface Executable {
  workerUrl(name: string): string;
}

/** Workers, and their modules from here. */
const MODULES = {
  compress: "./compress_worker.ts",
  checkpoint: "../store/checkpoint_worker.ts",
  rebase: "../../lifecycle/platform/rebase_worker.ts",
} as const;

/**
 * The address to start a worker with, as a module: a data URL that reads the worker's code from the executable, or its
 * module when run from source.
 */
export function workerUrl(name: keyof typeof MODULES): string {
  const executable = (globalThis as { readonly __wherry?: Executable }).__wherry;
  if (executable) return executable.workerUrl(name);
  return new URL(MODULES[name], import.meta.url).href;
}
