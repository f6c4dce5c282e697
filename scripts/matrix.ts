// deno-lint-ignore-file no-console
/**
 * `deno task matrix`: what takes too long for each change. Every isolation mode with every example, buildpacks that behave
 * badly in every place, both processors on Debian, control groups in a virtual machine. Base images that are missing are made
 * first (root and mmdebstrap; minutes). Ends with a table, and with 1 when something failed or was skipped.
 */
import { formatTable } from "../cli/ui/table.ts";

const ROOT = decodeURIComponent(new URL("..", import.meta.url).pathname);

const BASES = ["languages", "run", "builds", "runs", "scripts-both", "java-both"] as const;
const TESTS = [
  "tests/accept/matrix_test.ts",
  "tests/accept/faults_places_test.ts",
  "tests/accept/platforms_debian_test.ts",
] as const;
const IN_VM = "tests/accept/cgroup_test.ts";

/** One test, or one step of it. */
interface Row {
  readonly name: string;
  readonly how: "ok" | "FAILED" | "skipped";
  readonly seconds: number;
}

async function run(program: string, args: readonly string[]): Promise<boolean> {
  const { success } = await new Deno.Command(program, {
    args: [...args],
    cwd: ROOT,
    env: { WHERRY_MATRIX: "all" },
    stdin: "null",
  }).spawn().status;
  return success;
}

const deno = (...args: readonly string[]) => run(Deno.execPath(), args);

/** The tests of Deno's JUnit report, whose names are `TEST` and `TEST > STEP`. */
export function readReport(xml: string): readonly Row[] {
  const cases = xml.matchAll(
    /<testcase name="([^"]*)"[^>]* time="([^"]*)"[^>]*>(.*?)<\/testcase>/gs,
  );
  return Array.from(cases, ([, name = "", seconds, inner = ""]) => ({
    name: name.replaceAll("&gt;", ">").replaceAll("&lt;", "<").replaceAll("&apos;", "'")
      .replaceAll("&quot;", '"').replaceAll("&amp;", "&"),
    how: inner.includes("<failure") || inner.includes("<error")
      ? "FAILED"
      : inner.includes("<skipped")
      ? "skipped"
      : "ok",
    seconds: Number(seconds),
  }));
}

async function main(): Promise<number> {
  if (!await deno("run", "-A", "scripts/base_images.ts", ...BASES)) return 1;
  const report = await Deno.makeTempFile({ prefix: "wherry-matrix-", suffix: ".xml" });
  try {
    const allWell = await deno("test", "-A", "--no-check", `--junit-path=${report}`, ...TESTS);
    const rows = [...readReport(await Deno.readTextFile(report))];
    const started = performance.now();
    const words = [Deno.execPath(), "test", "-A", "--no-check", IN_VM];
    const inVm = await run("scripts/in_vm.sh", words);
    const name = "memory and processes limited, in a virtual machine";
    const seconds = (performance.now() - started) / 1000;
    rows.push({ name, how: inVm ? "ok" : "FAILED", seconds });
    const bad = rows.filter(({ how }) => how !== "ok");
    console.log(
      "\n" + formatTable(
        ["RESULT", "SECONDS", "WHAT"],
        rows.map((row) => [row.how, row.seconds.toFixed(0), row.name]),
      ),
    );
    console.log(`${rows.length - bad.length} of ${rows.length} ok, ${bad.length} not`);
    return allWell && bad.length === 0 ? 0 : 1;
  } finally {
    await Deno.remove(report);
  }
}

if (import.meta.main) Deno.exit(await main());
