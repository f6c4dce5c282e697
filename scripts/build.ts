/**
 * Builds the executable: `deno task build [--arch amd64|arm64|all] [--out DIR]`.
 *
 * Writes `dist/wherry` and `dist/wherry.zst` for amd64, `dist/wherry-arm64` for arm64. The same sources and
 * pinned inputs give the same bytes wherever the checkout lies. How the file works: docs/decision/0001-one-file.md.
 */
import { parseArgs } from "node:util";
import { stop } from "esbuild";
import { ARCHES, buildExecutable } from "./onefile/executable.ts";
import { type Arch, DENO_VERSION } from "./onefile/pins.ts";
import { runTool } from "./onefile/tool.ts";

const ROOT = decodeURIComponent(new URL("..", import.meta.url).pathname);
const LIMIT = 105_000_000;
const ZSTD_LIMIT = 40_000_000;
function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`build: ${line}\n`));
}

interface Options {
  readonly arches: readonly Arch[];
  readonly out: string;
  readonly entry: string;
  /** Leaves `wherry.zst` out: for trying things. */
  readonly fast: boolean;
}

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      arch: { type: "string", default: "amd64" },
      out: { type: "string", default: `${ROOT}dist` },
      entry: { type: "string", default: "cli/main.ts" },
      fast: { type: "boolean", default: false },
    },
  });
  const arches = values.arch === "all" ? ARCHES : ARCHES.filter((arch) => arch === values.arch);
  if (arches.length === 0) {
    throw new Error(`Cannot build for "${values.arch}": wanted amd64, arm64 or all`);
  }
  return { arches, out: values.out, entry: values.entry, fast: values.fast };
}

/** Writes beside and renames, so that a running wherry keeps its file and a reader never sees half of one. */
async function publish(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  await Deno.writeFile(`${path}.new`, bytes);
  await Deno.chmod(`${path}.new`, mode);
  await Deno.rename(`${path}.new`, path);
}

function checkSize(path: string, size: number, limit: number): void {
  say(`${path}: ${(size / 1e6).toFixed(1)} MB`);
  if (size > limit) throw new Error(`Cannot ship ${path}: ${size} bytes, wanted at most ${limit}`);
}

/** Whether `path.zst` holds exactly `path` already: compressing takes a minute of a processor, looking half a second. */
async function isCompressed(path: string): Promise<boolean> {
  try {
    await runTool("sh", ["-c", 'zstd -dcq "$1.zst" | cmp -s - "$1"', "sh", path]);
    return true;
  } catch {
    return false;
  }
}

async function build(options: Options): Promise<void> {
  if (Deno.version.deno !== DENO_VERSION) {
    throw new Error(`Cannot build with Deno ${Deno.version.deno}: wanted ${DENO_VERSION}`);
  }
  const cache = `${
    Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") || "/root"}/.cache`
  }/wherry-build`;
  await Deno.mkdir(cache, { recursive: true });
  await Deno.mkdir(options.out, { recursive: true });
  for (const arch of options.arches) {
    const bytes = await buildExecutable({ arch, entry: options.entry, cache, say });
    const path = `${options.out}/${arch === "amd64" ? "wherry" : `wherry-${arch}`}`;
    checkSize(path, bytes.length, LIMIT);
    await publish(path, bytes, 0o755);
    if (arch === "amd64") {
      if (options.fast) {
        // An archive of an older build would be worse than none.
        await Deno.remove(`${path}.zst`).catch(() => {});
        continue;
      }
      if (await isCompressed(path)) continue;
      say("compressing (about a minute of a processor)");
      // The same bytes with any number of threads.
      await runTool("zstd", ["-19", "-q", "-f", "-T0", "-o", `${path}.zst`, path]);
      checkSize(`${path}.zst`, (await Deno.stat(`${path}.zst`)).size, ZSTD_LIMIT);
    }
  }
}

try {
  await build(readOptions(Deno.args));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  Deno.exitCode = 1;
} finally {
  await stop();
}
