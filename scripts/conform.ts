// deno-lint-ignore-file no-console
/**
 * `deno task conform [--source DIR | --program FILE] [--registry HOST:PORT]`: is our server a registry as the OCI
 * distribution specification wants it?
 *
 * First our own tests of that (tests/conformance), then, where Go is, the specification's own program in both its
 * versions against `serve` over a store. Any failure, error or skip there fails the whole. The program comes through the Go
 * module proxy; where that does not have it, from `--source`, the folder `conformance` of a checkout of
 * opencontainers/distribution-spec, or built as `--program`.
 */
import { parseArgs } from "node:util";
import { serve } from "../registry/server/serve.ts";
import { createServer } from "../registry/server/server.ts";
import { openStore } from "../registry/store/store.ts";
import { buildGo, CONFORMANCE, goTool } from "../tests/go_tool.ts";

/** Versions of the specification; `dev` is all there is. */
const VERSIONS: readonly string[] = ["1.1", "dev"];

const ROOT = new URL("..", import.meta.url).pathname;

/** The wire, and the suite of every place over client and server. */
const OWN_TESTS: readonly string[] = [
  "tests/conformance",
  "registry/server/server_test.ts",
  "registry/server/client_suite_test.ts",
];

/** Counts of one run. */
interface Totals {
  readonly pass: number;
  readonly disabled: number;
  readonly fail: number;
  readonly error: number;
  readonly skip: number;
  readonly total: number;
}

async function ownTests(): Promise<boolean> {
  console.log("== our own tests of the specification");
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--parallel", "--reporter=dot", ...OWN_TESTS],
    cwd: ROOT,
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  return success;
}

/** The program, or why there is none. */
async function findProgram(
  options: { readonly source?: string | undefined; readonly program?: string | undefined },
): Promise<{ readonly file: string } | { readonly why: string }> {
  if (options.program !== undefined) return { file: options.program };
  return options.source === undefined ? await goTool(CONFORMANCE) : await buildGo(options.source);
}

async function runProgram(file: string, version: string, registry: string): Promise<Totals> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-conform-" });
  const id = crypto.randomUUID().slice(0, 8);
  try {
    const { stdout, stderr } = await new Deno.Command(file, {
      cwd: dir,
      env: {
        OCI_REGISTRY: registry,
        OCI_TLS: "disabled",
        OCI_REPO1: `conform/${id}/one`,
        OCI_REPO2: `conform/${id}/two`,
        OCI_VERSION: version,
        OCI_RESULTS_DIR: dir,
        OCI_LOG: "warn",
      },
    }).output();
    const report = new TextDecoder().decode(stdout);
    const count = (name: string) => {
      const match = new RegExp(`^\\s*${name}\\.*:\\s*(\\d+)\\s*$`, "mi").exec(report);
      if (match === null) {
        throw new Error(
          `Cannot read the report: it has no ${name}: ${
            report.slice(-500) + new TextDecoder().decode(stderr).slice(-500)
          }`,
        );
      }
      return Number(match[1]);
    };
    const totals = {
      pass: count("Pass"),
      disabled: count("Disabled"),
      fail: count("FAIL"),
      error: count("Error"),
      skip: count("Skip"),
      total: count("Total"),
    };
    for (const line of report.split("\n")) {
      if (/: (FAIL|Error|Skip)$/i.test(line)) console.log(line);
    }
    return totals;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function conform(args: readonly string[]): Promise<boolean> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      source: { type: "string" },
      program: { type: "string" },
      registry: { type: "string" },
    },
  });
  let fine = values.registry === undefined ? await ownTests() : true;
  const found = await findProgram(values);
  if ("why" in found) {
    console.log(`\nThe OCI program did not run: ${found.why}`);
    // Who names it wants it run.
    return fine && values.source === undefined;
  }
  await using stack = new AsyncDisposableStack();
  if (values.source !== undefined) stack.defer(() => Deno.remove(found.file));
  let registry = values.registry;
  if (registry === undefined) {
    const dir = await Deno.makeTempDir({ prefix: "wherry-conform-store-" });
    stack.defer(() => Deno.remove(dir, { recursive: true }));
    const store = stack.use(await openStore(`${dir}/store`));
    const server = createServer(store, { locate: (digest) => store.locate(digest) });
    const listening = stack.use(
      await serve(server, { listen: { hostname: "127.0.0.1", port: 0 } }),
    );
    registry = listening.url.slice("http://".length);
  }
  for (const version of VERSIONS) {
    const totals = await runProgram(found.file, version, registry);
    console.log(
      `\n== OCI conformance program, OCI_VERSION=${version}: ${totals.pass} of ${totals.total} passed, ` +
        `${totals.fail} failed, ${totals.error} errors, ${totals.skip} skipped, ${totals.disabled} switched off`,
    );
    if (totals.fail + totals.error + totals.skip > 0 || totals.pass === 0) fine = false;
  }
  return fine;
}

if (!await conform(Deno.args)) Deno.exit(1);
