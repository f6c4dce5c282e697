/** One file of JavaScript from the sources, and V8's code cache for it. */
import { build, type Message, type Metafile } from "esbuild";
import { createHash } from "node:crypto";
import { relative, resolve } from "node:path";
import type { InputRecord } from "./inputs.ts";

/** A bundle and what it was made from. */
export interface Bundle {
  /** ASCII text that evaluates to `(require) => void`. */
  readonly code: Uint8Array<ArrayBuffer>;
  /** One record per npm package in it, sorted by name. */
  readonly records: readonly InputRecord[];
  /** npm package folders in it, sorted, relative to the checkout. */
  readonly packages: readonly string[];
}

/** Files that may say `import.meta`: each has another answer for the executable. */
const MAY_ASK_WHERE = new Set(["cli/assets.ts", "registry/layer/worker_url.ts"]);

/**
 * Bundles `entry` into a function of `require`.
 *
 * Dynamic imports of our own files become functions that run on demand, so a command's modules
 * cost nothing until it is asked for. Whitespace goes and names stay: stack traces and `name` of classes are as in
 * the sources, and V8's code cache makes shorter names worthless.
 *
 * @param entry Path of the entry module, relative to `root`.
 * @param root The checkout. The result does not depend on where it lies.
 */
export async function bundle(entry: string, root: string): Promise<Bundle> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    format: "iife",
    platform: "node",
    target: "esnext",
    charset: "ascii",
    legalComments: "none",
    minifyWhitespace: true,
    minifySyntax: true,
    logLevel: "silent",
    define: { "import.meta.url": '"wherry:bundle"' },
    banner: { js: "(function(require){" },
    footer: { js: "})" },
  }).catch((error: { errors?: Message[] }) => {
    throw new Error(
      `Cannot bundle ${entry}: ${(error.errors ?? []).map(describe).join("\n") || error}`,
    );
  });
  if (result.warnings.length > 0) {
    throw new Error(`Cannot bundle ${entry}: ${result.warnings.map(describe).join("\n")}`);
  }
  const code = new Uint8Array(result.outputFiles[0]?.contents ?? []);
  if (code.some((byte) => byte > 127)) {
    throw new Error(`Cannot bundle ${entry}: the result is not ASCII`);
  }
  await refuseImportMeta(result.metafile, root);
  return { code, ...packagesOf(result.metafile, root) };
}

function describe(message: Message): string {
  const at = message.location;
  return at ? `${at.file}:${at.line}: ${message.text}` : message.text;
}

/** In the executable nothing lies beside a module, so a file that asks where it is would fail there. */
async function refuseImportMeta(metafile: Metafile, root: string): Promise<void> {
  for (const path of Object.keys(metafile.inputs)) {
    if (path.includes("node_modules/") || MAY_ASK_WHERE.has(path) || path.endsWith(".json")) {
      continue;
    }
    const code = (await Deno.readTextFile(resolve(root, path))).replaceAll(
      /\/\*[^]*?\*\/|\/\/.*/g,
      "",
    );
    if (/\bimport\.meta\b/.test(code)) {
      throw new Error(
        `Cannot bundle ${path}: import.meta says nothing in the executable; ask cli/assets.ts`,
      );
    }
  }
}

function packagesOf(metafile: Metafile, root: string): Pick<Bundle, "records" | "packages"> {
  const hashes = new Map<string, { hash: ReturnType<typeof createHash>; size: number }>();
  const folders = new Map<string, string>();
  const used = new Set(
    Object.values(metafile.outputs).flatMap((output) =>
      Object.entries(output.inputs).filter(([, input]) => input.bytesInOutput > 0).map(([path]) =>
        path
      )
    ),
  );
  for (const path of [...used].sort()) {
    const match = /^(node_modules\/\.deno\/([^/]+)@([^@/]+)\/node_modules\/((?:@[^/]+\/)?[^/]+))\//
      .exec(relative(root, resolve(root, path)));
    if (!match) {
      if (path.includes("node_modules")) {
        throw new Error(`Cannot tell which package ${path} belongs to`);
      }
      continue;
    }
    const [, folder = "", , version = "", name = ""] = match;
    const key = `npm:${name} ${version}`;
    const entry = hashes.get(key) ?? { hash: createHash("sha256"), size: 0 };
    const bytes = Deno.readFileSync(resolve(root, path));
    entry.hash.update(`${path.slice(folder.length)}\0${bytes.length}\0`).update(bytes);
    hashes.set(key, { hash: entry.hash, size: entry.size + bytes.length });
    folders.set(key, folder);
  }
  const records = [...hashes].map(([key, { hash, size }]) => {
    const [name = "", version = ""] = key.split(" ");
    return { name, version, sha256: hash.digest("hex"), size };
  });
  return {
    records: records.toSorted((a, b) => a.name < b.name ? -1 : 1),
    packages: [...folders.values()].sort(),
  };
}
