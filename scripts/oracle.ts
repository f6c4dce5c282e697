/**
 * Compares wherry with the Go lifecycle: `deno task oracle [WORD...]` runs the cases whose names hold a word, without
 * any all of them and then the launchers. Wants Go, skopeo, setpriv, docker-registry and root, and `dist/wherry` (WHERRY names another).
 * Ends with `N equal, N different`, and exit code 1 when anything differs that is not allowed.
 */
import { CASES } from "../tests/oracle/cases.ts";
import { ALLOWED } from "../tests/oracle/allowed.ts";
import { compare, normalize, textOf } from "../tests/oracle/compare.ts";
import { goLifecycle } from "../tests/oracle/go_lifecycle.ts";
import { PHASES } from "../tests/oracle/case.ts";
import { type Outcome, runCase, type Stage, type Subject } from "../tests/oracle/run_case.ts";
import { pushRunImage } from "../tests/oracle/run_image.ts";
import { dockerRegistry, startDockerRegistry } from "../registry/client/docker_registry_testing.ts";

const ROOT = decodeURIComponent(new URL("..", import.meta.url).pathname);

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

/** A directory with `program` under the names of all phases. */
async function subject(name: string, program: string, dir: string): Promise<Subject> {
  await Deno.mkdir(`${dir}/${name}`);
  // A copy: the directory the program lies in may be closed to the user that phases run as.
  await Deno.copyFile(program, `${dir}/${name}/program`);
  await Deno.chmod(`${dir}/${name}/program`, 0o755);
  for (const phase of [...PHASES, "creator", "rebaser"]) {
    await Deno.symlink("program", `${dir}/${name}/${phase}`);
  }
  return { name, dir: `${dir}/${name}` };
}

async function main(): Promise<number> {
  const built = await goLifecycle();
  if ("why" in built || dockerRegistry === undefined || Deno.uid() !== 0) {
    say(`skipped: ${"why" in built ? built.why : "want docker-registry, and root"}`);
    return 0;
  }
  const words = Deno.args.filter((word) => !word.startsWith("-"));
  const verbose = Deno.args.includes("-v");
  const cases = CASES.filter(({ name }) =>
    words.length === 0 || words.some((word) => name.includes(word))
  );
  const dir = await Deno.makeTempDir({ prefix: "wherry-oracle-" });
  await Deno.chmod(dir, 0o755);
  await using registry = await startDockerRegistry();
  const used = new Set<string>();
  let different = 0;
  try {
    const { host } = registry;
    const go = await subject("go", built.file, dir);
    const program = Deno.env.get("WHERRY") ?? `${ROOT}dist/wherry`;
    const wherry = await subject("wherry", program, dir);
    await pushRunImage(host);
    const launcher = `${dir}/launcher`;
    await Deno.copyFile(`${ROOT}dist/native/amd64/launcher`, launcher);
    const stage: Stage = { root: `${dir}/scene`, host, launcher };
    for (const [at, one] of cases.entries()) {
      const run = async (who: readonly Subject[], word: string) => {
        const namespace = `${word}/case${at}`;
        // Go takes the path of a layout for an image name, and a port in it for an error.
        const named = one.layout ? { ...stage, host: "registry.example" } : stage;
        const outcomes = await runCase(one, who, namespace, named);
        return { outcomes, normal: outcomes.map((each) => normalize(each, named.host, namespace)) };
      };
      const first = await run([go], "go");
      const rounds: readonly (readonly [string, readonly Subject[]])[] = [
        ["wherry", [wherry]],
        // What one left the other goes on with.
        ...((one.builds ?? 1) === 1 ? [] : [
          ["cross-a", [go, wherry]] as const,
          ["cross-b", [wherry, go]] as const,
        ]),
      ];
      for (const [word, who] of rounds) {
        const second = await run(who, word);
        const found = first.normal.flatMap((normal, build) =>
          compare(normal, second.normal[build], used).map((each) => ({ ...each, build: build + 1 }))
        );
        const name = `${one.name} (${who.map((each) => each.name).join(", then ")})`;
        if (found.length === 0) say(`equal: ${name}`);
        else {
          different++;
          say(`DIFFERENT: ${name}`);
          for (const { at, go, wherry, build } of found) {
            say(`  build ${build} ${at}\n    go     ${show(go)}\n    wherry ${show(wherry)}`);
          }
        }
        const keep = Deno.env.get("KEEP");
        if (keep !== undefined) await keepImages(host, at, keep);
        if (verbose) showLogs(first.outcomes, second.outcomes);
      }
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  say("\nAllowed differences that were met:");
  for (const { name, reason } of ALLOWED) if (used.has(name)) say(`  ${name}: ${reason}`);
  say(`\n${cases.length} cases, ${different} different`);
  const launched = words.length > 0 || await compareLaunchers();
  return different === 0 && launched ? 0 : 1;
}

/** The two launchers over the same image roots: every row of 15.2, and then some. */
async function compareLaunchers(): Promise<boolean> {
  const args = ["test", "-A", `${ROOT}lifecycle/launcher/oracle_test.ts`];
  const output = { stdin: "null", stdout: "inherit", stderr: "inherit" } as const;
  return (await new Deno.Command(Deno.execPath(), { args, ...output }).output()).success;
}

/** For a look at layers: the images of a case as OCI layouts. */
async function keepImages(host: string, at: number, into: string): Promise<void> {
  for (const word of ["go", "wherry"]) {
    const from = `docker://${host}/${word}/case${at}/app`;
    const args = ["copy", "--src-tls-verify=false", from, `oci:${into}/${word}:app`];
    await new Deno.Command("skopeo", { args, stdout: "null" }).output();
  }
}

function show(value: unknown): string {
  return textOf(value).slice(0, 1500);
}

function showLogs(first: readonly Outcome[], second: readonly Outcome[]): void {
  for (const [build, outcome] of first.entries()) {
    for (const phase of Object.keys(outcome.logs)) {
      say(`--- build ${build + 1} ${phase}: go\n${outcome.logs[phase]}--- wherry`);
      say(second[build]?.logs[phase] ?? "did not run");
    }
  }
}

if (import.meta.main) Deno.exit(await main());
