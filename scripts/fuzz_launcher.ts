/** Fuzzes the TOML reader of the launcher under the address and undefined-behaviour sanitizers. */
import { compileVariant } from "./compile_c.ts";

/** What a run of the fuzzer did. */
export interface FuzzReport {
  /** Documents tried. */
  readonly runs: number;
  /** Of these, documents that were valid TOML. */
  readonly accepted: number;
}

/** Compiles lifecycle/launcher/fuzz_toml.c with the sanitizers to the file `out`. */
export async function compileFuzzToml(out: string): Promise<void> {
  await compileVariant(out, {
    sources: ["fuzz_toml.c", "toml.c", "toml_scalar.c"],
    flags: ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    libc: true,
  });
}

/**
 * Feeds documents to the reader for `seconds`; the same `seed` makes the same ones in the same order.
 *
 * @throws {Error} When a sanitizer or a check ends the program: with what it said and the document
 * as a JSON string, to become a fixture.
 */
export async function fuzzLauncherToml(seconds: number, seed: number): Promise<FuzzReport> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-fuzz-" });
  try {
    await compileFuzzToml(`${dir}/fuzz_toml`);
    const output = await new Deno.Command(`${dir}/fuzz_toml`, {
      args: ["fuzz", String(seconds), String(seed), `${dir}/document`],
      env: { ASAN_OPTIONS: "detect_leaks=0:handle_abort=1" },
      stdin: "null",
    }).output();
    const said = new TextDecoder().decode(output.stdout);
    const counts = /^(\d+) runs, (\d+) accepted$/m.exec(said);
    if (output.success && counts) return { runs: Number(counts[1]), accepted: Number(counts[2]) };
    const document = await Deno.readFile(`${dir}/document`).catch(() => new Uint8Array());
    const text = Array.from(document, (byte) => String.fromCharCode(byte)).join("");
    throw new Error(
      `Cannot parse a document safely (seed ${seed}): ${JSON.stringify(text)}: ` +
        new TextDecoder().decode(output.stderr),
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) {
  const [seconds, seed] = [Number(Deno.args[0] ?? 10), Number(Deno.args[1] ?? Date.now())];
  const { runs, accepted } = await fuzzLauncherToml(seconds, seed);
  const line = `launcher TOML: seed ${seed}, ${runs} documents, ${accepted} accepted, no fault\n`;
  await Deno.stdout.write(new TextEncoder().encode(line));
}
