/** The program as a few files of plain JavaScript: what every start needs, and a chunk per command. */
import { build, type Message, type Metafile, type Plugin, transform } from "esbuild";
import { createHash } from "node:crypto";
import { basename, relative, resolve } from "node:path";
import type { InputRecord } from "./inputs.ts";
import { lazyNode } from "./lazy_node.ts";
import { lazyZod, ZOD_CHUNK } from "./lazy_zod.ts";

/** Bundled code and what it was made from. */
export interface Bundle {
  /** Name to ASCII text that evaluates to a function of what `loader.js` gives it. */
  readonly chunks: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  /** The chunks that each chunk imports at its start, sorted by name; those that import none are not in it. */
  readonly needs: ReadonlyMap<string, readonly string[]>;
  /** The chunk of each module that is imported on demand, and of the first: by its path in the checkout. */
  readonly modules: ReadonlyMap<string, string>;
  /** One record per npm package in it, sorted by name. */
  readonly records: readonly InputRecord[];
  /** npm package folders in it, sorted, relative to the checkout. */
  readonly packages: readonly string[];
}

/** Files that may say `import.meta`: each has another answer for the executable. */
const MAY_ASK_WHERE = new Set([
  "cli/assets.ts",
  "registry/layer/worker_url.ts",
  "registry/oci/native_sha256.ts",
]);

/**
 * Bundles `entry` into `<name>.js` and, when it imports things on demand, a chunk for each of them.
 *
 * esbuild splits ES modules only, and Deno would parse those with its TypeScript compiler on every start, so each
 * chunk is then made a function of `require` for `loader.js`. Whitespace goes and names stay: stack
 * traces and `name` of classes are as in the sources, and shorter names win nothing: V8 reads as long for each word.
 *
 * @param name Name of the first chunk, without `.js`.
 * @param entry Path of the entry module, relative to `root`.
 * @param root The checkout. The result does not depend on where it lies.
 */
export async function bundle(name: string, entry: string, root: string): Promise<Bundle> {
  const shape = {
    platform: "node",
    target: "esnext",
    charset: "ascii",
    legalComments: "none",
    minifyWhitespace: true,
    logLevel: "silent",
  } as const;
  const whole = {
    ...shape,
    absWorkingDir: root,
    outdir: "out",
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    minifySyntax: true,
  } as const;
  const zod = lazyZod();
  const result = await build({
    ...whole,
    entryPoints: { [name]: entry },
    chunkNames: "[name]-[hash]",
    splitting: true,
    define: { "import.meta.url": '"wherry:bundle"' },
    plugins: [lightCommander, lazyNode, zod.plugin],
  }).catch((error: { errors?: Message[] }) => {
    throw new Error(
      `Cannot bundle ${entry}: ${(error.errors ?? []).map(describe).join("\n") || error}`,
    );
  });
  if (result.warnings.length > 0) {
    throw new Error(`Cannot bundle ${entry}: ${result.warnings.map(describe).join("\n")}`);
  }
  await refuseImportMeta(result.metafile, root);
  const outputs = { ...result.metafile.outputs };
  const files = [...result.outputFiles];
  const contents = zod.source();
  if (contents !== undefined) {
    const stdin = { contents, resolveDir: root, sourcefile: `${ZOD_CHUNK}.js` };
    const made = await build({ ...whole, stdin, entryNames: ZOD_CHUNK });
    files.push(...made.outputFiles);
    Object.assign(outputs, made.metafile.outputs);
  }
  const chunks = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const file of files) {
    const loaded = file.text.replaceAll(BUILTIN_ON_DEMAND, "require.load($1)")
      .replaceAll(CHUNK_ON_DEMAND, "require.later($1)");
    const { code } = await transform(loaded, {
      ...shape,
      platform: "neutral",
      format: "cjs",
      supported: { "dynamic-import": false },
    });
    const text = `(function(require,module,exports,process,__export,__toESM,__toCommonJS){` +
      `"use strict";${withoutHelpers(code)}})`;
    // deno-lint-ignore no-control-regex
    if (/[^\x00-\x7f]/.test(text)) {
      throw new Error(`Cannot bundle ${entry}: the result is not ASCII`);
    }
    chunks.set(basename(file.path), new TextEncoder().encode(text));
  }
  const modules = new Map(
    Object.entries(outputs).flatMap(([path, { entryPoint }]) =>
      entryPoint === undefined ? [] : [[entryPoint, basename(path)] as const]
    ),
  );
  return { chunks, needs: needsOf(outputs), modules, ...packagesOf(outputs, root) };
}

/** `import("node:sqlite")`: the loader asks for that module alone, and `require` has it from then on. */
const BUILTIN_ON_DEMAND = /\bimport\(("node:[a-z/_]+")\)/g;

/** `import("./later-ABCDEFGH.js")`: a chunk. */
const CHUNK_ON_DEMAND = /\bimport\(("\.\/[\w-]+\.js")\)/g;

/** What `loader.js` gives each chunk, and what esbuild makes it of. */
const HELPER =
  /^var __(create|defProp|getOwnPropDesc|getOwnPropNames|getProtoOf|hasOwnProp|export|copyProps|toESM|toCommonJS)=/;

/** Those that only helpers call. */
const INNER =
  /\b__(create|defProp|getOwnPropDesc|getOwnPropNames|getProtoOf|hasOwnProp|copyProps)\b/;

/** Takes away the few functions that esbuild puts at the start of every chunk, unless the chunk is those functions. */
function withoutHelpers(code: string): string {
  let rest = code;
  while (HELPER.test(rest)) rest = rest.slice(endOfStatement(rest));
  return INNER.test(rest) ? code : rest;
}

/** Behind the first semicolon outside of all brackets. No helper has a bracket or semicolon in a string. */
function endOfStatement(code: string): number {
  let depth = 0;
  for (let at = 0; at < code.length; at++) {
    const char = code[at]!;
    if ("([{".includes(char)) depth++;
    if (")]}".includes(char)) depth--;
    if (char === ";" && depth === 0) return at + 1;
  }
  return code.length;
}

function needsOf(outputs: Metafile["outputs"]): Map<string, readonly string[]> {
  const needs = Object.entries(outputs).map(([path, { imports }]) => {
    const own = imports.filter(({ kind, external }) => kind === "import-statement" && !external);
    return [basename(path), own.map((each) => basename(each.path)).sort()] as const;
  });
  return new Map(
    needs.filter(([, names]) => names.length > 0).toSorted(([a], [b]) => a < b ? -1 : 1),
  );
}

/**
 * What commander gets for `node:` modules. It imports all it may ever need at its start, and loading Deno's Node layer is
 * half of the time of `wherry --help`, which needs none of it.
 */
const LIGHT_BUILTINS: Readonly<Record<string, string>> = {
  "node:events": `export class EventEmitter {
    #listeners = new Map();
    on(name, listener) {
      this.#listeners.set(name, [...this.#listeners.get(name) ?? [], listener]);
      return this;
    }
    emit(name, ...args) {
      const listeners = this.#listeners.get(name) ?? [];
      for (const listener of listeners) listener.apply(this, args);
      return listeners.length > 0;
    }
    listenerCount(name) {
      return this.#listeners.get(name)?.length ?? 0;
    }
  }`,
  "node:util": `export const stripVTControlCharacters = (text) =>
    /[\\x1b\\x9b]/.test(text) ? require("node:util").stripVTControlCharacters(text) : text;`,
  ...Object.fromEntries(
    ["node:fs", "node:path", "node:process", "node:child_process"].map((name) => [
      name,
      `export default new Proxy({}, { get: (_, key) => require("${name}")[key] });`,
    ]),
  ),
};

const lightCommander: Plugin = {
  name: "light-commander",
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path, importer }) => {
      if (!/\/commander\/lib\//.test(importer)) return null;
      if (path in LIGHT_BUILTINS) return { path, namespace: "light" };
      return { errors: [{ text: `commander now needs ${path}: add it to LIGHT_BUILTINS` }] };
    });
    build.onLoad({ filter: /.*/, namespace: "light" }, ({ path }) => ({
      contents: LIGHT_BUILTINS[path] ?? "",
      loader: "js",
    }));
  },
};

function describe(message: Message): string {
  const at = message.location;
  return at ? `${at.file}:${at.line}: ${message.text}` : message.text;
}

/** In the executable nothing lies beside a module, so a file that asks where it is would fail there. */
async function refuseImportMeta(metafile: Metafile, root: string): Promise<void> {
  for (const path of Object.keys(metafile.inputs)) {
    if (
      path.includes("node_modules/") || /^(light|lazy-node|lazy-zod):/.test(path) ||
      MAY_ASK_WHERE.has(path) ||
      path.endsWith(".json")
    ) {
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

function packagesOf(
  outputs: Metafile["outputs"],
  root: string,
): Pick<Bundle, "records" | "packages"> {
  const hashes = new Map<string, { hash: ReturnType<typeof createHash>; size: number }>();
  const folders = new Map<string, string>();
  const used = new Set(
    Object.values(outputs).flatMap((output) =>
      Object.entries(output.inputs).filter(([, input]) => input.bytesInOutput > 0).map(([path]) =>
        path
      )
    ),
  );
  // What is imported with attributes has them behind its name, and may be there without them too.
  const plain = new Set([...used].map((path) => path.replace(/ with \{.*\}$/, "")));
  for (const path of [...plain].sort()) {
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
