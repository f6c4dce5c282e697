/** Making the entry script for one executable from `entry.js`, and bundling the scripts beside it. */
import { build } from "esbuild";
import { HELPER_FD } from "../../cli/assets.ts";
import { HASH_FD } from "../../registry/oci/native_sha256.ts";

/** One of this folder's scripts with what it imports, minified, ASCII. */
async function bundleScript(name: string): Promise<string> {
  const result = await build({
    absWorkingDir: decodeURIComponent(new URL(".", import.meta.url).pathname),
    entryPoints: [name],
    bundle: true,
    write: false,
    format: "esm",
    platform: "neutral",
    external: ["node:vm"],
    target: "esnext",
    charset: "ascii",
    minify: true,
    logLevel: "silent",
  });
  return result.outputFiles[0]?.text ?? "";
}

/** Byte runs by name: [offset, size]. */
export type Places = Readonly<Record<string, readonly [number, number]>>;

/**
 * Prepares the entry script.
 *
 * @param index Where the index stands in the part that holds the assets: [offset, size]. It is JSON: `places` of all
 *   assets, `needs`, the chunks that each chunk imports, and `ahead`, what was compiled ahead.
 * @returns A function from that part's offset in the executable to the script's bytes.
 */
export async function prepareEntry(
  index: readonly [number, number],
): Promise<(start: number) => Uint8Array> {
  const code = await bundleScript("entry.js");
  for (const mark of ['"@INDEX@"', '"@INDEX_SIZE@"', '"@START@"', "@HELPER@", "@HASH@"]) {
    if (code.split(mark).length !== 2) {
      throw new Error(`Cannot make the entry script: ${mark} is not in it once`);
    }
  }
  return (start) =>
    new TextEncoder().encode(
      code.replace('"@INDEX@"', String(index[0]))
        .replace('"@INDEX_SIZE@"', String(index[1]))
        .replace('"@START@"', String(start))
        .replace("@HELPER@", String(HELPER_FD))
        .replace("@HASH@", String(HASH_FD)),
    );
}
