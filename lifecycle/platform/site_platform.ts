/** The platform directory: what the user tells buildpacks. */
import { join } from "node:path";
import { ExitCode, LifecycleError } from "../error.ts";
import { prepareApp } from "./app_source.ts";

/** `<platform>/env/<NAME>`, one file a variable, contents verbatim (ENV-3). */
export async function writePlatform(
  dir: string,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  await Deno.mkdir(join(dir, "env"));
  for (const [name, value] of Object.entries(env)) {
    await Deno.writeTextFile(join(dir, "env", name), value);
  }
}

/** `<platform>/bindings/<name>/<entry>`, as copies: the originals stay out of reach. */
export async function writeBindings(
  dir: string,
  bindings: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  for (const [name, from] of Object.entries(bindings)) {
    const stat = await Deno.stat(from).catch(() => undefined);
    if (!stat?.isDirectory) {
      throw new LifecycleError(
        ExitCode.arguments,
        `Cannot use binding ${JSON.stringify(name)}: ${from} is not a directory`,
      );
    }
    const into = join(dir, "bindings", name);
    await Deno.mkdir(into, { recursive: true });
    await prepareApp(from, into, signal);
  }
}

/** A binding of the type that Paketo's buildpacks have: a file for each certificate. */
export async function writeCertificates(dir: string, certs: readonly string[]): Promise<void> {
  if (certs.length === 0) return;
  const into = join(dir, "bindings", "wherry-ca-certificates");
  await Deno.mkdir(into, { recursive: true });
  await Deno.writeTextFile(join(into, "type"), "ca-certificates");
  for (const [at, text] of certs.entries()) {
    await Deno.writeTextFile(join(into, `ca-${at + 1}.pem`), text);
  }
}
