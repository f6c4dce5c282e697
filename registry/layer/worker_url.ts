/** Where a worker's module lies: beside this file when run from source. */
export function workerUrl(name: "compress"): string {
  return new URL(`./${name}_worker.ts`, import.meta.url).href;
}
