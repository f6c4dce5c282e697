// deno-lint-ignore-file no-console
/**
 * A fleet rebased: wherry beside crane and the Go lifecycle's rebaser, in one job, over images of one generator.
 * `deno task bench fleet [images] [--store]`. Peers are measured on a sample, eight processes at once. The chart goes to
 * docs/fleet.svg with `--chart`.
 */
import { connectRegistry } from "../../registry/client/client.ts";
import { startDockerRegistry } from "../../registry/client/docker_registry_testing.ts";
import { openStore } from "../../registry/store/store.ts";
import { CRANE, GO_LIFECYCLE, goTool } from "../go_tool.ts";
import { chart } from "./chart.ts";
import { makeFleet } from "./fleet_testing.ts";
import { lookAt, Places, startServe } from "./registry_testing.ts";

/** Options of {@linkcode benchFleet}. */
export interface FleetBenchOptions {
  /** Images on our own server. */
  readonly images: number;
  /** The executable; from source where it is not there. */
  readonly wherry?: string | undefined;
  /** Write the chart. */
  readonly chart?: boolean | undefined;
  /** Measure the store alone. */
  readonly storeOnly?: boolean | undefined;
}

/** Images a peer is measured on. */
const SAMPLE = 160;
/** Processes of a peer at once. */
const AT_ONCE = 8;

interface Row {
  readonly what: string;
  readonly rate: number;
  /** Processor time of the clients for one image, in milliseconds: a busy machine does not change it much. */
  readonly cpu: number;
  readonly note: string;
}

/** Prints the table. Goals: issue "Day two". */
export async function benchFleet(options: FleetBenchOptions): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await Places.make());
  const { images } = options;
  const rows: Row[] = [];
  const add = ({ of, ...said }: Omit<Row, "cpu"> & { readonly of: number }) => {
    const row = { ...said, cpu: spent / of };
    rows.push(row);
    console.log(
      `  ${row.what.padEnd(52)} ${row.rate.toFixed(1).padStart(8)} images/s  ${
        row.cpu.toFixed(2).padStart(6)
      } ms of client processor each  ${row.note}`,
    );
  };
  const [program, ...script] = wherryWords(options.wherry);
  const wherry = async (...args: readonly string[]) =>
    await timed(program!, [...script, ...args], { HOME: dir.path, PATH: "/usr/bin:/bin" });
  const list = async (name: string, names: readonly string[]) => {
    const path = `${dir.path}/${name}`;
    await Deno.writeTextFile(path, names.join("\n") + "\n");
    return path;
  };

  if (options.storeOnly) return await inStore(dir.path, images, wherry, add);
  console.log(`Making ${images} images of 15 layers, 10 KB of labels each ...`);
  const port = 5990;
  const host = `127.0.0.1:${port}`;
  const run = `${host}/run:2`;
  const store = `${dir.path}/store`;
  let names: readonly string[];
  {
    await using place = await openStore(store);
    names = (await makeFleet(place, images + SAMPLE, run)).names;
  }
  const here = names.slice(0, images).map((name) => `${host}/${name}`);
  const forPeers = names.slice(images).map((name) => `${host}/${name}`);
  const base = ["--publish", "--run-image", run, "-q"];
  console.log(
    `\nRebased (${navigator.hardwareConcurrency} processors, server and client on one machine)`,
  );
  {
    await using server = await startServe(program!, script, store, port);
    const crane = await goTool(CRANE);
    if ("file" in crane) {
      const rate = await peers(forPeers, (name) => [
        crane.file,
        [
          "rebase",
          "--insecure",
          name,
          "--old_base",
          `${host}/run:1`,
          "--new_base",
          run,
          "-t",
          name,
        ],
      ]);
      add({
        what: "crane, 8 processes, on wherry serve",
        of: SAMPLE,
        rate,
        note: `${SAMPLE} images`,
      });
    } else console.log(`  skipped: crane: ${crane.why}`);
    const watched = lookAt(server.pid);
    const file = await list("all", here);
    const journal = `${dir.path}/journal`;
    const { seconds, peak } = await wherry("rebase", "--from", file, "--journal", journal, ...base);
    const { peak: serverPeak } = watched.stop();
    add({
      what: "wherry, on wherry serve, durable, with a journal",
      of: images,
      rate: images / seconds,
      note: `${images} in ${seconds.toFixed(1)} s; ${peak.toFixed(0)} MiB, server ${
        serverPeak.toFixed(0)
      } MiB`,
    });
    await expectAll(host, here, run);
    const again = await wherry("rebase", "--from", file, ...base);
    add({
      what: "wherry, nothing to do, one request an image",
      of: images,
      rate: images / again.seconds,
      note: "",
    });
  }
  await inStore(dir.path, images, wherry, add);
  {
    await using docker = await startDockerRegistry();
    await using client = connectRegistry(docker.host);
    const there = `${docker.host}/run:2`;
    const made = (await makeFleet(client, 3 * SAMPLE, there)).names.map((name) =>
      `${docker.host}/${name}`
    );
    const crane = await goTool(CRANE);
    const rebaser = await goTool(GO_LIFECYCLE);
    if ("file" in crane) {
      const rate = await peers(made.slice(0, SAMPLE), (name) => [
        crane.file,
        [
          "rebase",
          "--insecure",
          name,
          "--old_base",
          `${docker.host}/run:1`,
          "--new_base",
          there,
          "-t",
          name,
        ],
      ]);
      add({
        what: "crane, 8 processes, on docker-registry",
        of: SAMPLE,
        rate,
        note: `${SAMPLE} images`,
      });
    }
    if ("file" in rebaser && Deno.uid() === 0) {
      const link = `${dir.path}/rebaser`;
      await Deno.symlink(rebaser.file, link);
      const rate = await peers(made.slice(SAMPLE, 2 * SAMPLE), (name) => [
        link,
        [
          "-run-image",
          there,
          "-insecure-registry",
          docker.host,
          "-report",
          "/dev/null",
          "-uid",
          "0",
          "-gid",
          "0",
          name,
        ],
      ]);
      add({
        what: "the Go rebaser, 8 processes, on docker-registry",
        of: SAMPLE,
        rate,
        note: `${SAMPLE} images`,
      });
    } else console.log("  skipped: the Go rebaser: want Go, and root");
    const file = await list("docker", made.slice(2 * SAMPLE));
    const { seconds } = await wherry(
      ...["rebase", "--from", file, "--publish", "--run-image", there, "-q"],
    );
    add({
      what: "wherry, on docker-registry",
      of: SAMPLE,
      rate: SAMPLE / seconds,
      note: `${SAMPLE} images, start of the process included`,
    });
  }
  ratios(rows);
  if (options.chart) {
    const path = decodeURIComponent(new URL("../../docs/fleet.svg", import.meta.url).pathname);
    await Deno.writeTextFile(path, chart(rows));
    console.log(`wrote ${path}`);
  }
}

/** Images of a store, at most 10,000, without HTTP. */
async function inStore(
  dir: string,
  images: number,
  wherry: (...args: readonly string[]) => ReturnType<typeof timed>,
  add: (row: Omit<Row, "cpu"> & { readonly of: number }) => void,
): Promise<void> {
  const store = `${dir}/direct`;
  const list = `${dir}/direct.list`;
  const many = Math.min(images, 10_000);
  {
    await using place = await openStore(store);
    const run = "store.example/run:2";
    const { names } = await makeFleet(place, many, run, (name) => `store.example/${name}`);
    const lines = names.map((name) => `store:store.example/${name}\n`);
    await Deno.writeTextFile(list, lines.join(""));
  }
  const { seconds, peak } = await wherry(
    ...["rebase", "--from", list, "--store", store, "-q"],
    ...["--run-image", "store:store.example/run:2"],
  );
  add({
    what: "wherry, in the store, no HTTP",
    of: many,
    rate: many / seconds,
    note: `${many} images; ${peak.toFixed(0)} MiB`,
  });
}

function ratios(rows: readonly Row[]): void {
  const rate = (what: RegExp) => rows.find((row) => what.test(row.what))?.rate;
  const of = (goal: string, a: number | undefined, b: number | undefined) => {
    if (a !== undefined && b !== undefined) {
      console.log(`  ${(a / b).toFixed(1)} x  (goal: ${goal})`);
    }
  };
  console.log("\nwherry over crane x8: on wherry serve, on docker-registry");
  of("15 x", rate(/^wherry, on wherry serve/), rate(/^crane.*wherry serve/));
  of("4 x", rate(/^wherry, on docker/), rate(/^crane.*docker/));
}

function wherryWords(wherry: string | undefined): readonly string[] {
  if (wherry !== undefined) {
    try {
      if (Deno.statSync(wherry).isFile) return [wherry];
    } catch {
      // from source then
    }
  }
  const main = decodeURIComponent(new URL("../../cli/main.ts", import.meta.url).pathname);
  return [Deno.execPath(), "run", "-A", "--no-check", main];
}

/** A few of many must be where they should be. */
async function expectAll(host: string, names: readonly string[], run: string): Promise<void> {
  await using client = connectRegistry(host);
  const base = await client.manifest("run", run.slice(run.lastIndexOf(":") + 1));
  const top = JSON.parse(new TextDecoder().decode(base!.bytes)).layers[0].digest;
  for (let at = 0; at < names.length; at += Math.ceil(names.length / 50)) {
    const [, repository = "", tag = ""] = /\/(.*):([^:]*)$/.exec(names[at]!)!;
    const raw = await client.manifest(repository, tag);
    const first = JSON.parse(new TextDecoder().decode(raw!.bytes)).layers[0].digest;
    if (first !== top) throw new Error(`Cannot believe it: ${names[at]} is not rebased`);
  }
}

/** Processor time of the last measured act, in milliseconds: of the processes that ended within it. */
let spent = 0;

/** Processor time of all children that have ended, in milliseconds. */
function ofChildren(): number {
  const stat = Deno.readTextFileSync("/proc/self/stat");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

/** Images a second of one process for each image, eight at once. */
async function peers(
  names: readonly string[],
  words: (name: string) => readonly [string, readonly string[]],
): Promise<number> {
  const queue = [...names];
  const before = ofChildren();
  const start = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      const [program, args] = words(name);
      const { success, stderr } = await new Deno.Command(program, {
        args: [...args],
        env: { CNB_PLATFORM_API: "0.14" },
        stdout: "null",
        stderr: "piped",
      }).output();
      if (!success) {
        throw new Error(`Cannot measure ${program}: ${new TextDecoder().decode(stderr)}`);
      }
    }
  }));
  spent = ofChildren() - before;
  return names.length / ((performance.now() - start) / 1000);
}

async function timed(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly seconds: number; readonly peak: number }> {
  const before = ofChildren();
  const start = performance.now();
  const child = new Deno.Command(program, {
    args: [...args],
    env: { ...env },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const watched = lookAt(child.pid);
  const { success, stderr } = await child.output();
  const { peak } = watched.stop();
  spent = ofChildren() - before;
  if (!success) {
    throw new Error(`Cannot measure wherry: ${new TextDecoder().decode(stderr).slice(-2000)}`);
  }
  return { seconds: (performance.now() - start) / 1000, peak };
}

if (import.meta.main) {
  const images = Number(Deno.args.find((word) => /^\d+$/.test(word)) ?? "30000");
  await benchFleet({
    images,
    wherry: Deno.env.get("WHERRY"),
    chart: Deno.args.includes("--chart"),
    storeOnly: Deno.args.includes("--store"),
  });
}
