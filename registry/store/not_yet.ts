/** For what is not written yet: it says so and fails. */
export function notYet(what: string): never {
  throw new Error(`Cannot ${what}: this is not written yet`);
}
