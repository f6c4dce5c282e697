/** A directory for a test, gone when it is disposed. */
export async function tempDir(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "wherry-test-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Acts in such a directory. */
export async function inTemp(act: (dir: string) => Promise<void> | void): Promise<void> {
  await using dir = await tempDir();
  await act(dir.path);
}
