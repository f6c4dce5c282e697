// deno-lint-ignore-file no-console
export function benchExamples(
  _options: { readonly root: string; readonly wherry: string; readonly host: string },
): Promise<void> {
  console.log("later");
  return Promise.resolve();
}
