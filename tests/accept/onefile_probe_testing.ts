/**
 * A program built into an executable by `onefile_test.ts` in place of wherry: says how the world looks from inside, and
 * whether what wherry depends on works there. Prints one JSON object.
 */
import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import {
  buildInputs,
  calledAs,
  helperPath,
  isExecutable,
  startEnvironment,
} from "../../cli/assets.ts";
import { RebasePool } from "../../lifecycle/platform/rebase_pool.ts";
import { type Image, makeImage, pushImage } from "../../registry/image.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { bytesSource } from "../../registry/source.ts";
import { openStore } from "../../registry/store/store.ts";
import { workerUrl } from "../../registry/layer/worker_url.ts";

/** What the probe prints. */
export interface ProbeResult {
  readonly args: readonly string[];
  readonly calledAs: string;
  readonly isExecutable: boolean;
  readonly execPath: string;
  readonly uid: number | null;
  /** The process's own environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** What children should see. */
  readonly startEnvironment: Readonly<Record<string, string>>;
  /** The descriptors a child has, or nothing where there is no `ls`. */
  readonly childDescriptors: string;
  /** Name to "ok" or the error. */
  readonly works: Readonly<Record<string, string>>;
}

/** An image of such layers; what is on the first was made by buildpacks. */
function imageOf(...names: readonly string[]): Image {
  const layers = names.map((name) => {
    const bytes = new TextEncoder().encode(name);
    const digest = digestOf(bytes);
    const descriptor = { mediaType: MediaType.ociLayer, digest, size: bytes.byteLength };
    return { diffId: digest, descriptor, blob: () => Promise.resolve(bytesSource(bytes)) };
  });
  const label = { runImage: { topLayer: layers[0]!.diffId, reference: "base", image: "base" } };
  const Labels = { "io.buildpacks.lifecycle.metadata": JSON.stringify(label) };
  const config = { Env: ["CNB_PLATFORM_API=0.14"], ...(names.length > 1 ? { Labels } : {}) };
  const rootfs = { type: "layers" as const, diff_ids: [] };
  const history = names.map((name) => ({ created_by: name }));
  return makeImage({ os: "linux", architecture: "amd64", config, rootfs, history }, layers);
}

const TRIALS: Readonly<Record<string, () => unknown>> = {
  worker: () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(workerUrl("compress"), { type: "module" });
      worker.onmessage = ({ data }) => {
        worker.terminate();
        if (data.bytes instanceof Uint8Array) resolve();
        else reject(new Error(data.error));
      };
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
      worker.postMessage({ id: 1, block: new Uint8Array(1000), codec: "gzip" });
    }),
  "rebase worker": async () => {
    const dir = await Deno.makeTempDir().catch(() => undefined);
    if (dir === undefined) return; // an empty or read-only root has no room for a store
    const store = await openStore(dir);
    const [base, app] = [imageOf("base"), imageOf("base", "app")];
    for (const [name, image] of Object.entries({ base, app })) {
      await pushImage(image, store, name, { tags: ["latest"] });
    }
    const place = { registry: store, repository: "base", reference: "latest" };
    const names = { name: "base", repositoryName: "base" };
    const found = {
      place: { ...place, ...names },
      digest: base.raw.digest,
      image: () => Promise.resolve(base),
    };
    const pool = new RebasePool(dir, found, false, 1);
    const computed = await pool.compute("app", "latest");
    await pool[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
    await Deno.remove(dir, { recursive: true });
    if (computed?.image.is !== "made") throw new Error("it computes nothing");
  },
  helper: async () => {
    // No arguments: it complains and ends. What counts is that it could be executed.
    await new Deno.Command(helperPath(), { stdout: "null", stderr: "null" }).output();
  },
  hash: () => createHash("sha256").update("x").digest("hex"),
  gzip: () => gunzipSync(gzipSync("x")),
  crypto: () => crypto.subtle.digest("SHA-256", new Uint8Array(1)),
  ffi: () => {
    const libc = Deno.dlopen("libc.so.6", { getpid: { parameters: [], result: "i32" } });
    if (libc.symbols.getpid() !== Deno.pid) throw new Error("getpid() differs");
    libc.close();
  },
  http: async () => {
    const server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen() {} },
      () => new Response("x"),
    );
    await (await fetch(`http://127.0.0.1:${server.addr.port}/`)).text();
    await server.shutdown();
  },
  timezone: () => new Date(0).toLocaleString(),
};

async function probe(): Promise<ProbeResult> {
  const works: Record<string, string> = {};
  for (const [name, trial] of Object.entries(TRIALS)) {
    try {
      await trial();
      works[name] = "ok";
    } catch (error) {
      works[name] = String(error);
    }
  }
  let list: Deno.CommandOutput | undefined;
  try {
    list = await new Deno.Command("/bin/ls", { args: ["/proc/self/fd"] }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // an empty root has no ls
  }
  return {
    args: Deno.args,
    calledAs: calledAs(),
    isExecutable: isExecutable(),
    execPath: Deno.execPath(),
    uid: Deno.uid(),
    environment: Deno.env.toObject(),
    startEnvironment: startEnvironment() ?? {},
    childDescriptors: list
      ? new TextDecoder().decode(list.stdout).trim().replaceAll("\n", " ")
      : "",
    works,
  };
}

async function main(): Promise<number> {
  const say = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));
  await import("./onefile_probe_chunk_testing.ts");
  if (Deno.args[0] === "hold") {
    say("ready");
    await Deno.stdin.read(new Uint8Array(1));
    say(String(buildInputs().length));
    return 0;
  }
  say(JSON.stringify(await probe()));
  return 0;
}

main().then(Deno.exit);
