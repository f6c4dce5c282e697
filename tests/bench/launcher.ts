/**
 * How long the launcher takes to start a process, beside the Go lifecycle's, and how large both are:
 * deno run -A tests/bench/launcher.ts [times]
 *
 * The process ends at once. What the process takes by itself is measured in the same run and taken
 * off, so that what is left is the launcher: its own start, metadata.toml, the layers, execve.
 */
import { goLauncher } from "../../lifecycle/launcher/go_launcher_testing.ts";
import { launcherFile, Scene } from "../../lifecycle/launcher/scene_testing.ts";
import { compileVariant } from "../../scripts/compile_c.ts";

/** One launcher's numbers. */
export interface LauncherNumbers {
  /** "wherry" or "go". */
  readonly name: string;
  /** Median start-up without the process itself, in microseconds. */
  readonly startMicroseconds: number;
  /** The quickest of all, without the quickest of the process itself. */
  readonly bestMicroseconds: number;
  readonly sizeBytes: number;
}

/** An image of ordinary size: 5 buildpacks of 4 layers each, with variables and roots. */
async function ordinaryImage(): Promise<Scene> {
  const buildpacks = Array.from({ length: 5 }, (_, at) => ({ id: `some/bp${at}`, api: "0.10" }));
  const scene = await Scene.make({ buildpacks });
  await scene.metadata({
    buildpacks,
    processes: ["web", "worker", "task"].map((type) => ({
      type,
      command: [scene.probe],
      direct: true,
      "buildpack-id": "some/bp0",
    })),
  });
  for (const { id } of buildpacks) {
    for (const layer of ["a", "b", "c", "d"]) {
      const at = `layers/${id.replace("/", "_")}/${layer}`;
      await scene.mkdir(`${at}/bin`);
      await scene.write(`${at}/env/SOME_HOME.default`, "/somewhere");
      await scene.write(`${at}/env.launch/OPTIONS.append`, "-x");
      await scene.write(`${at}/env.launch/OPTIONS.delim`, " ");
    }
  }
  return scene;
}

/** Measures both launchers in turns; only ours, with `why`, where there is no Go launcher. */
async function benchLauncher(
  times = 500,
): Promise<{ numbers: LauncherNumbers[]; why?: string }> {
  await using scene = await ordinaryImage();
  const go = await goLauncher();
  const programs = [{ name: "wherry", file: await launcherFile() }];
  if ("file" in go) programs.push({ name: "go", file: go.file });
  const spawner = `${scene.dir}/spawn`;
  await compileVariant(spawner, { sources: ["test_spawn.c"], flags: ["-O2"], libc: true });
  const output = await new Deno.Command(spawner, {
    args: [String(times), `probe=${scene.probe}`, ...programs.map(({ file }) => `web=${file}`)],
    env: scene.environment({}),
    clearEnv: true,
  }).output();
  if (!output.success) {
    throw new Error(`Cannot measure launchers: ${new TextDecoder().decode(output.stderr)}`);
  }
  const rows = new TextDecoder().decode(output.stdout).trim().split("\n")
    .map((line) => line.split(" ").map((ns) => Number(ns) / 1000));
  const [median = 0, least = 0] = rows[0] ?? [];
  const numbers = await Promise.all(programs.map(async ({ name, file }, at) => ({
    name,
    startMicroseconds: (rows[at + 1]?.[0] ?? NaN) - median,
    bestMicroseconds: (rows[at + 1]?.[1] ?? NaN) - least,
    sizeBytes: (await Deno.stat(file)).size,
  })));
  return "why" in go ? { numbers, why: go.why } : { numbers };
}

/** Measures and prints. */
export async function reportLauncher(times?: number): Promise<void> {
  const { numbers, why } = await benchLauncher(times);
  const lines = numbers.map((each) =>
    `launcher ${each.name.padEnd(6)} start ${each.startMicroseconds.toFixed(0).padStart(6)} us ` +
    `(best ${each.bestMicroseconds.toFixed(0)} us), ${each.sizeBytes} bytes`
  );
  const [ours, theirs] = numbers;
  if (ours && theirs) {
    const [time, size] = [
      theirs.startMicroseconds / ours.startMicroseconds,
      theirs.sizeBytes / ours.sizeBytes,
    ];
    lines.push(`launcher ratio  start ${time.toFixed(1)} times, size ${size.toFixed(0)} times`);
  }
  if (why !== undefined) lines.push(`launcher go     not measured: ${why}`);
  await Deno.stdout.write(new TextEncoder().encode(lines.join("\n") + "\n"));
}

if (import.meta.main) await reportLauncher(Number(Deno.args[0] ?? 500));
