import type { SiteFlags } from "./site_flags.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";

/**
 * `--env` and `--env-file` as variables; `--env` wins. A name without `=` takes the caller's value, and is left
 * out when the caller has none.
 *
 * @throws {UsageError} For a name that cannot be a variable, naming file and line.
 */
export async function readEnvFlags(
  io: Io,
  flags: Pick<SiteFlags, "env" | "envFile">,
): Promise<Readonly<Record<string, string>>> {
  const found = new Map<string, string>();
  const add = (text: string, where: string) => {
    const at = text.indexOf("=");
    const name = at < 0 ? text : text.slice(0, at);
    if (name === "" || /[/\0]/.test(name) || name === "." || name === "..") {
      throw new UsageError(
        `Cannot use ${where}: want NAME=VALUE, got ${JSON.stringify(name)} as name`,
      );
    }
    const value = at < 0 ? io.env[name] : text.slice(at + 1);
    if (value !== undefined) found.set(name, value);
  };
  for (const file of flags.envFile ?? []) {
    let text: string;
    try {
      text = await Deno.readTextFile(file);
    } catch (cause) {
      throw new UsageError(
        `Cannot read --env-file ${JSON.stringify(file)}: ${
          cause instanceof Deno.errors.NotFound ? "no such file" : (cause as Error).message
        }`,
        { cause },
      );
    }
    text.split(/\r?\n/).forEach((line, at) => {
      const trimmed = line.trimStart();
      if (trimmed !== "" && !trimmed.startsWith("#")) add(trimmed, `${file}:${at + 1}`);
    });
  }
  for (const text of flags.env ?? []) add(text, `--env ${JSON.stringify(text.split("=")[0])}`);
  return Object.fromEntries(found);
}
