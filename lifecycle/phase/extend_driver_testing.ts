/** For tests: extends an image twice, over its unpacked form and in a copy of it, as whoever this process runs as. */
import { quietContext } from "../../registry/context.ts";
import { makeImage } from "../../registry/image.ts";
import { readTar } from "../../registry/layer/tar_reader.ts";
import type { Sample } from "../../registry/layer/tar_testing.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { openLayerCache } from "../extend/layer_cache.ts";
import { openUnpackedRoot } from "../extend/unpacked_root.ts";
import { openTree } from "../platform/trees.ts";
import { busyboxLayer } from "../sandbox/busybox_testing.ts";
import { extend } from "./extend.ts";

/** What it is told. */
export interface ExtendJob {
  readonly helper: string;
  /** A directory of the caller's. */
  readonly dir: string;
  /** In the base, beside busybox. */
  readonly files: readonly Sample[];
  /** Instructions, without the first two lines. */
  readonly text: string;
}

/** What came of one way. */
export interface ExtendedWay {
  /** Whether it was an overlay. */
  readonly overlay: boolean;
  /** Of each new layer: its diffID, then `name mode uid:gid` of what it holds. */
  readonly layers: readonly (readonly string[])[];
  /** What commands printed. */
  readonly output: string;
}

/** What it answers: over the unpacked form, and in a copy; or what went wrong. */
export type ExtendReport = { readonly ways: readonly ExtendedWay[] } | { readonly error: string };

async function extendIn(job: ExtendJob, copy: boolean): Promise<ExtendedWay> {
  const { helper, dir } = job;
  const base = makeImage({
    os: "linux",
    architecture: "amd64",
    config: { User: "1000:1000", Env: ["PATH=/bin"] },
    rootfs: { type: "layers", diff_ids: [] },
  }, [await busyboxLayer(...job.files)]);
  const ctx = quietContext({});
  await using stack = new AsyncDisposableStack();
  const options = { helper, layers: base.layers, scratchDir: dir, copy, signal: ctx.signal };
  let overlay = false;
  let output = "";
  const { image } = await extend({
    kind: "build",
    base,
    dockerfiles: [{
      extension: "ext",
      path: "/gen/ext/build.Dockerfile",
      dockerfile: parseDockerfile(`ARG base_image\nFROM \${base_image}\n${job.text}`, "Dockerfile"),
      args: [],
      context: `${dir}/context`,
    }],
    openRoot: async () => {
      const root = stack.use(
        await openUnpackedRoot({
          ...options,
          openTree: async (owner) =>
            stack.use(await openTree(base, { helper, owner, dir: `${dir}/unpacked` }, ctx)).path,
        }),
      );
      overlay = root.held !== undefined;
      return root;
    },
    cache: openLayerCache(`${dir}/cache-${copy}`, 3_600_000, () => new Date()),
    applyAll: false,
    buildId: "id",
    output: (chunk) => output += new TextDecoder().decode(chunk),
  }, ctx);
  const layers: string[][] = [];
  for (const layer of image.layers.slice(1)) {
    const lines: string[] = [layer.diffId];
    for await (
      const { header } of readTar(await (await layer.blob()).open(), { keep: () => true })
    ) {
      const { name, mode, uid, gid, linkName } = header;
      lines.push(`${name} ${mode.toString(8)} ${uid}:${gid} ${linkName}`.trimEnd());
    }
    layers.push(lines);
  }
  return { overlay, layers, output };
}

if (import.meta.main) {
  const job: ExtendJob = JSON.parse(await Deno.readTextFile(Deno.args[0]!));
  let report: ExtendReport;
  try {
    report = { ways: [await extendIn(job, false), await extendIn(job, true)] };
  } catch (cause) {
    report = { error: String(cause) };
  }
  await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(report)));
}
