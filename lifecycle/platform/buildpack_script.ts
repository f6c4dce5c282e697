import { join } from "node:path";
import { formatToml } from "../file/toml.ts";
import type { Buildpack } from "../phase/detect_types.ts";
import { type Means, readDirectory } from "./buildpack_directory.ts";

/** A script that stands for a whole buildpack (PRJ-5). */
export interface WantedScript {
  /** Its id. */
  readonly id: string;
  /** Its version. */
  readonly version: string;
  /** Its `bin/build`. */
  readonly script: { readonly api: string; readonly inline: string; readonly shell: string };
}

/** A buildpack that always detects and whose build is the script. */
export async function writeScript(
  { id, version, script }: WantedScript,
  { scratch, warn }: Pick<Means, "scratch" | "warn">,
): Promise<Buildpack> {
  const dir = join(scratch, `script-${crypto.randomUUID().slice(0, 8)}`);
  await Deno.mkdir(join(dir, "bin"), { recursive: true });
  const head = {
    api: script.api || "0.10",
    buildpack: { id, version },
    targets: [{ os: "linux" }],
  };
  await Deno.writeTextFile(join(dir, "buildpack.toml"), formatToml(head));
  for (const [name, text] of [["detect", "exit 0\n"], ["build", `${script.inline}\n`]] as const) {
    const shell = name === "detect" ? "/bin/sh" : script.shell;
    await Deno.writeTextFile(join(dir, "bin", name), `#!${shell}\n${text}`);
    await Deno.chmod(join(dir, "bin", name), 0o755);
  }
  await Deno.chmod(dir, 0o755);
  return await readDirectory(dir, () => {
    throw new TypeError("a script has no parts");
  }, { scratch, warn });
}
