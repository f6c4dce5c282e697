import type { Distro } from "../file/module.ts";

/**
 * The distribution an `os-release` file names (ENV-6, DT-11).
 *
 * @returns `undefined` when there is no such file or it does not say.
 * @see os-release(5)
 */
export async function readDistro(file: string): Promise<Distro | undefined> {
  const text = await Deno.readTextFile(file).catch(() => "");
  const value = (key: string) => new RegExp(`^${key}=(["']?)(.*)\\1$`, "m").exec(text)?.[2] ?? "";
  const name = value("ID");
  const version = value("VERSION_ID");
  return name === "" && version === "" ? undefined : { name, version };
}
