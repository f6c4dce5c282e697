/** Making the entry script for one executable from `entry.js`. */
import { transform } from "esbuild";
import { HELPER_FD } from "../../cli/assets.ts";

/** The entry script's bytes, told where every part stands: name to [offset, size]. */
export async function prepareEntry(): Promise<
  (places: Readonly<Record<string, readonly [number, number]>>) => Uint8Array
> {
  const source = await Deno.readTextFile(new URL("./entry.js", import.meta.url));
  const { code } = await transform(source, {
    minify: true,
    charset: "ascii",
    format: "esm",
    target: "esnext",
  });
  const marks = ['"@PLACES@"', "@HELPER@"];
  for (const mark of marks) {
    if (code.split(mark).length !== 2) {
      throw new Error(`Cannot make the entry script: ${mark} is not in it once`);
    }
  }
  return (places) =>
    new TextEncoder().encode(
      code.replace('"@PLACES@"', () => JSON.stringify(places)).replace(
        "@HELPER@",
        String(HELPER_FD),
      ),
    );
}
