// deno-lint-ignore-file no-console
/**
 * Our registry server and client beside docker-registry, skopeo and crane, interleaved in one job: manifests a second,
 * blobs up and down, a copy of 200 MB, and resident memory over time for a long blob. Run alone with
 * `deno run -A tests/bench/registry.ts [MiB] [manifests|blobs|copies|memory]`. Look at the ratios, and on a busy machine at
 * the processor time. `20480 memory` is the blob of 20 GiB, which needs as much room on the disk.
 */
import { startDockerRegistry } from "../../registry/client/docker_registry_testing.ts";
import { connectRegistry } from "../../registry/client/client.ts";
import { Digester, digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { bytesSource, type Source } from "../../registry/source.ts";
import { openStore } from "../../registry/store/store.ts";
import { CRANE, goTool } from "../go_tool.ts";
import {
  farAway,
  lookAt,
  Places,
  processorMs,
  run,
  type Server,
  startOurs,
  timed,
} from "./registry_testing.ts";

/** Options of {@linkcode benchRegistry}. */
export interface RegistryBenchOptions {
  /** Length of the long blob. */
  readonly mib: number;
  /** The executable; from source, which starts slower, where it is not there. */
  readonly wherry?: string | undefined;
  /** One part alone. */
  readonly only?: string | undefined;
}

const ROUNDS = 3;
const NAMES = ["docker-registry", "wherry"] as const;

/** Prints one table for each part. Goals: issue "The registry". */
export async function benchRegistry(options: RegistryBenchOptions): Promise<void> {
  const parts = { manifests, blobs, copies, memory };
  for (const [name, part] of Object.entries(parts)) {
    if (options.only === undefined || options.only === name) await part(options);
  }
}

/** Both servers, fresh. */
async function bothServers(
  stack: AsyncDisposableStack,
  options: RegistryBenchOptions,
): Promise<Record<(typeof NAMES)[number], Server>> {
  const docker = stack.use(await startDockerRegistry());
  return {
    "docker-registry": { host: docker.host, pid: docker.pid },
    wherry: stack.use(await startOurs(options.wherry)),
  };
}

async function manifests(options: RegistryBenchOptions): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const servers = await bothServers(stack, options);
  const best: Record<string, number> = {};
  const cpu: Record<string, number> = {};
  for (const name of NAMES) await pushImage(servers[name].host, "bench/app", 3, 1000);
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of NAMES) {
      const before = processorMs(servers[name].pid);
      const said = await run("wrk", [
        ...["-t", "1", "-c", "32", "-d", "3s", "-H", `Accept: ${MediaType.ociManifest}`],
        `http://${servers[name].host}/v2/bench/app/manifests/1`,
      ]);
      if (/Non-2xx/.test(said)) throw new Error(`Cannot measure ${name}: ${said}`);
      const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(said)?.[1]);
      best[name] = Math.max(best[name] ?? 0, rate);
      const each = (processorMs(servers[name].pid) - before) * 1000 /
        Number(/(\d+) requests in/.exec(said)?.[1]);
      cpu[name] = Math.min(cpu[name] ?? Infinity, each);
    }
  }
  console.log("\nManifest GETs by tag, wrk with 32 connections, best of 3 (goal: 5 x, 20000 /s)");
  table(NAMES.map((name) => [name, best[name]!, "/s"]), "more");
  console.log("  processor time of the server for each:");
  table(NAMES.map((name) => [name, cpu[name]!, "µs"]), "less");
}

async function blobs(options: RegistryBenchOptions): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await Places.make());
  const servers = await bothServers(stack, options);
  const size = 512 * 2 ** 20;
  const up: Record<string, number> = {};
  const down: Record<string, number> = {};
  const cpu: Record<string, Record<string, number>> = { up: {}, down: {} };
  const file = await dir.noise("blob", size);
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of NAMES) {
      const digest = await dir.stir(file, `${round} ${name}`);
      const { host } = servers[name];
      const opened = await fetch(`http://${host}/v2/bench/blob/blobs/uploads/`, { method: "POST" });
      await opened.body?.cancel();
      const to = new URL(opened.headers.get("location")!, `http://${host}`);
      to.searchParams.set("digest", digest);
      const seconds = async (way: "up" | "down", args: readonly string[]) => {
        const start = performance.now();
        const before = processorMs(servers[name].pid);
        const code = await run("curl", ["-sS", "-o", "/dev/null", "-w", "%{http_code}", ...args]);
        if (!code.startsWith("20")) throw new Error(`Cannot measure ${name}: ${code}`);
        const spent = (processorMs(servers[name].pid) - before) * 2 ** 30 / size;
        cpu[way]![name] = Math.min(cpu[way]![name] ?? Infinity, spent);
        return (performance.now() - start) / 1000;
      };
      const put = ["-T", file, "-H", "Content-Type: application/octet-stream", "-H", "Expect:"];
      const sent = size / 2 ** 20 / await seconds("up", [...put, to.href]);
      const got = size / 2 ** 20 /
        await seconds("down", [`http://${host}/v2/bench/blob/blobs/${digest}`]);
      up[name] = Math.max(up[name] ?? 0, sent);
      down[name] = Math.max(down[name] ?? 0, got);
    }
  }
  for (const [what, best] of [["up", up], ["down", down]] as const) {
    console.log(`\nA blob of 512 MiB ${what}, curl, best of 3 (goal: 1 x)`);
    table(NAMES.map((name) => [name, best[name]!, "MiB/s"]), "more");
    console.log("  processor time of the server for a GiB:");
    table(NAMES.map((name) => [name, cpu[what]![name]!, "ms"]), "less");
  }
}

async function copies(options: RegistryBenchOptions): Promise<void> {
  await race(options, 50_000_000, 0);
  await race(options, 100_000, 50);
}

/** Copies an image of four layers of `size` bytes; each registry is `far` milliseconds away, one way. */
async function race(options: RegistryBenchOptions, size: number, far: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const source = stack.use(await startDockerRegistry());
  await pushImage(source.host, "bench/app", 4, size);
  const near = stack.use(farAway(source.host, far));
  const from = `${near.host}/bench/app:1`;
  const crane = await goTool(CRANE);
  const ours = options.wherry ?? Deno.execPath();
  const script = options.wherry === undefined
    ? [
      "run",
      "-A",
      "--no-check",
      new URL("../../cli/main.ts", import.meta.url).pathname,
    ]
    : [];
  const ways: Record<string, readonly string[]> = {
    ...("file" in crane ? { crane: [crane.file, "copy", "--insecure", from] } : {}),
    skopeo: [
      ...["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"],
      `docker://${from}`,
    ],
    wherry: [ours, ...script, "copy", "-q", from],
  };
  const walls: Record<string, number> = {};
  const cpus: Record<string, number> = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, [program, ...args]] of Object.entries(ways)) {
      await using target = await startDockerRegistry();
      await using there = farAway(target.host, far);
      const to = `${name === "skopeo" ? "docker://" : ""}${there.host}/bench/app:1`;
      const { wall, cpu } = await timed(program!, [...args, to]);
      walls[name] = Math.min(walls[name] ?? Infinity, wall);
      cpus[name] = Math.min(cpus[name] ?? Infinity, cpu);
    }
  }
  const title = `An image of 4 x ${size / 1e6} MB from one docker-registry to another, ${
    far === 0 ? "both here" : `each ${2 * far} ms there and back`
  }, best of 3`;
  console.log(`\n${title} (goal: first)`);
  table(Object.entries(walls).map(([name, ms]) => [name, ms, "ms"]), "less");
  if (far > 0) return;
  console.log("  the same in processor time of the client, which a busy machine does not change:");
  table(Object.entries(cpus).map(([name, ms]) => [name, ms, "ms"]), "less");
}

async function memory(options: RegistryBenchOptions): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await Places.make());
  const server = stack.use(await startOurs(options.wherry));
  console.log(
    `\nA blob of ${options.mib} MiB through a client and our server, resident MiB over time (goal: 150)`,
  );
  for (const how of ["push", "pull"]) {
    const watching = [lookAt(server.pid)];
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-check", import.meta.filename!],
        ...["--child", how, server.host, String(options.mib), `${dir.path}/store`],
      ],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    watching.push(lookAt(child.pid));
    const { success, stdout } = await child.output();
    const [ofServer, ofClient] = watching.map((one) => one.stop());
    if (!success) throw new Error(`Cannot ${how}`);
    const { seconds } = JSON.parse(new TextDecoder().decode(stdout));
    const rate = `${(options.mib / seconds).toFixed(0)} MiB/s`;
    for (const [name, { peak, over }] of Object.entries({ server: ofServer!, client: ofClient! })) {
      console.log(
        `  ${how} ${name.padEnd(7)} peak ${peak.toFixed(0).padStart(4)} MiB  ${rate}  ${over}`,
      );
    }
  }
}

/** A pull of more than that is verified and thrown away: the disk has to hold it once already. */
const MAX_STORED_MIB = 8192;

/** The child's part: a push of made-up bytes, or a pull into a store. */
async function child(how: string, host: string, mib: number, store: string): Promise<void> {
  const size = mib * 2 ** 20;
  const source = madeUp(size);
  const digester = new Digester("sha256");
  for await (const chunk of await source.open()) digester.update(chunk);
  const digest = digester.digest();
  const descriptor = { mediaType: "application/octet-stream", digest, size };
  await using registry = connectRegistry(host);
  const start = performance.now();
  if (how === "push") await registry.pushBlob("bench/long", descriptor, source);
  else {
    const blob = await registry.blob("bench/long", digest);
    if (mib > MAX_STORED_MIB) {
      let left = size;
      for await (const chunk of await blob!.open({ reuse: true })) left -= chunk.byteLength;
      if (left !== 0) throw new Error(`Cannot pull: ${left} bytes are missing`);
    } else {
      await using place = await openStore(store);
      await place.pushBlob("bench/long", descriptor, blob!);
    }
  }
  console.log(JSON.stringify({ seconds: (performance.now() - start) / 1000 }));
}

/** `size` bytes that cost nothing to make. */
function madeUp(size: number): Source {
  const chunk = new Uint8Array(256 * 1024).map((_, at) => at * 7 + (at >> 8));
  return {
    size,
    open: () => {
      let left = size;
      return Promise.resolve(
        new ReadableStream<Uint8Array<ArrayBuffer>>({
          pull(controller) {
            if (left === 0) return controller.close();
            const part = chunk.subarray(0, Math.min(left, chunk.byteLength));
            left -= part.byteLength;
            controller.enqueue(part);
          },
        }, { highWaterMark: 0 }),
      );
    },
  };
}

/** An image of `layers` layers of `size` bytes of noise each, as tag 1. */
async function pushImage(
  host: string,
  repository: string,
  layers: number,
  size: number,
): Promise<void> {
  await using registry = connectRegistry(host);
  const push = async (mediaType: string, bytes: Uint8Array) => {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
    await registry.pushBlob(repository, descriptor, bytesSource(bytes));
    return descriptor;
  };
  const pushed = [];
  for (let at = 0; at < layers; at++) {
    const bytes = new Uint8Array(size);
    for (let from = 0; from < size; from += 65536) {
      crypto.getRandomValues(bytes.subarray(from, from + 65536));
    }
    pushed.push(await push("application/vnd.oci.image.layer.v1.tar", bytes));
  }
  const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const config = await push(
    "application/vnd.oci.image.config.v1+json",
    encode({
      architecture: "amd64",
      os: "linux",
      rootfs: { type: "layers", diff_ids: pushed.map(({ digest }) => digest) },
    }),
  );
  const mediaType = MediaType.ociManifest;
  const bytes = encode({ schemaVersion: 2, mediaType, config, layers: pushed });
  await registry.pushManifest(repository, { mediaType, bytes }, { tags: ["1"] });
}

/** The first row is the measure of the others. */
function table(
  rows: readonly (readonly [name: string, value: number, unit: string])[],
  better: "more" | "less",
): void {
  const base = rows[0]![1];
  for (const [name, value, unit] of rows) {
    const ratio = better === "more" ? value / base : base / value;
    console.log(
      `  ${name.padEnd(16)} ${ratio.toFixed(2).padStart(6)} x   ${value.toFixed(0)} ${unit}`,
    );
  }
}

if (import.meta.main) {
  const [first, ...rest] = Deno.args;
  if (first === "--child") await child(rest[0]!, rest[1]!, Number(rest[2]), rest[3]!);
  else {
    await benchRegistry({
      mib: Number(first ?? 4096),
      wherry: Deno.env.get("WHERRY"),
      only: rest[0],
    });
  }
}
