/** Something to be loaded on demand by `onefile_probe_testing.ts`. */
export function loaded(): string {
  return "loaded";
}
