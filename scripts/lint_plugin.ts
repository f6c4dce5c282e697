/**
 * The rules of ARCHITECTURE.md that a machine can check: imports point one way,
 * and each power (sockets, child processes, native code) lives in the files named here.
 */

/** Folders from the outside in. A file may import its own folder and those that come later. */
const ORDER = ["cli", "lifecycle", "registry", "registry/oci"] as const;

/** Where a power of the runtime may be used, as suffixes of the file's path. */
const POWERS: readonly {
  readonly power: RegExp;
  readonly name: string;
  readonly files: readonly string[];
}[] = [
  {
    power: /^Deno\.dlopen$/,
    name: "native code",
    files: ["registry/layer/libc.ts", "registry/oci/native_sha256.ts"],
  },
  {
    power: /^Deno\.(connect|connectTls|startTls)$|^fetch$/,
    name: "outgoing connections",
    files: ["registry/client/dial.ts"],
  },
  {
    power: /^Deno\.(listen|listenTls|serve)$/,
    name: "incoming connections",
    files: ["registry/server/http/door.ts"],
  },
  {
    power: /^Deno\.Command$/,
    name: "child processes",
    files: [
      "lifecycle/sandbox/child.ts",
      "registry/client/credential_helper.ts",
      "cli/rebase/hook.ts",
    ],
  },
  {
    power: /^Deno\.(args|exit|env\.get|env\.toObject)$/,
    name: "arguments, environment and exit",
    files: ["cli/main.ts"],
  },
];

const MODULE_POWERS: readonly {
  readonly specifier: RegExp;
  readonly name: string;
  readonly files: readonly string[];
}[] = [
  {
    specifier: /^node:(https?|net|tls)$/,
    name: "connections",
    files: [
      "registry/client/dial.ts",
      "registry/client/socket_wire.ts",
      "registry/server/http/tls_door.ts",
    ],
  },
  { specifier: /^node:child_process$/, name: "child processes", files: [] },
];

/** The part of `path` below the checkout, with `/` between its parts. */
function inTree(path: string): string {
  const parts = path.replaceAll("\\", "/");
  const at = Math.max(...["/cli/", "/lifecycle/", "/registry/"].map((top) => firstTop(parts, top)));
  return at < 0 ? "" : parts.slice(at + 1);
}

/** Where the outermost `top` folder of wherry starts in `path`, or -1. */
function firstTop(path: string, top: string): number {
  if (/\/(tests|scripts|examples|docs|dist|node_modules)\//.test(path)) return -1;
  const root = new URL("..", import.meta.url).pathname;
  if (path.startsWith(root)) return path.startsWith(root + top.slice(1)) ? root.length - 1 : -1;
  return path.indexOf(top);
}

function rank(path: string): number {
  let found = -1;
  ORDER.forEach((folder, at) => {
    if (path.startsWith(folder + "/")) found = at;
  });
  return found;
}

function resolve(from: string, specifier: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const step of specifier.split("/")) {
    if (step === "..") parts.pop();
    else if (step !== ".") parts.push(step);
  }
  return parts.join("/");
}

function isTest(path: string): boolean {
  return /_(test|bench)\.ts$/.test(path) || /_testing\.ts$/.test(path);
}

function memberName(node: Deno.lint.MemberExpression): string | undefined {
  if (node.property.type !== "Identifier") return undefined;
  if (node.object.type === "Identifier") return `${node.object.name}.${node.property.name}`;
  if (node.object.type === "MemberExpression") {
    const head = memberName(node.object);
    return head === undefined ? undefined : `${head}.${node.property.name}`;
  }
  return undefined;
}

const plugin: Deno.lint.Plugin = {
  name: "wherry",
  rules: {
    "import-direction": {
      create(context) {
        const file = inTree(context.filename);
        const here = rank(file);
        if (here < 0) return {};
        const check = (node: Deno.lint.Node, specifier: string) => {
          if (!specifier.startsWith(".")) {
            for (const power of MODULE_POWERS) {
              if (power.specifier.test(specifier) && !power.files.includes(file) && !isTest(file)) {
                context.report({
                  node,
                  message: `${file} imports ${specifier}: ${power.name} belong in ${
                    power.files.join(", ") || "no file"
                  }`,
                });
              }
            }
            return;
          }
          const target = resolve(file, specifier);
          const there = rank(target);
          const outside = there < 0 && !/^(deno\.json|version\.ts)$/.test(target);
          const shared = there < 0 && !outside;
          if (!shared && there < here && !isTest(file)) {
            context.report({
              node,
              message: `${file} imports ${target}, which is further out`,
              hint:
                "Imports point one way: cli -> lifecycle -> registry -> registry/oci (ARCHITECTURE.md)",
            });
          }
        };
        return {
          ImportDeclaration: (node) => check(node, node.source.value),
          ExportNamedDeclaration: (node) => {
            if (node.source) check(node, node.source.value);
          },
          ExportAllDeclaration: (node) => check(node, node.source.value),
          ImportExpression: (node) => {
            if (node.source.type === "Literal" && typeof node.source.value === "string") {
              check(node, node.source.value);
            }
          },
        };
      },
    },
    "powers": {
      create(context) {
        const file = inTree(context.filename);
        if (rank(file) < 0 || isTest(file)) return {};
        const check = (node: Deno.lint.Node, name: string) => {
          for (const power of POWERS) {
            if (power.power.test(name) && !power.files.includes(file)) {
              context.report({
                node,
                message: `${file} uses ${name}: ${power.name} belong in ${power.files.join(", ")}`,
              });
            }
          }
        };
        return {
          MemberExpression: (node) => {
            const name = memberName(node);
            if (name !== undefined) check(node, name);
          },
          CallExpression: (node) => {
            if (node.callee.type === "Identifier") check(node, node.callee.name);
          },
        };
      },
    },
  },
};

export default plugin;
