/** Starts images with Debian's umoci and crun, as `scripts/crun.sh` has it. */
import assert from "node:assert/strict";
import {
  installed,
  type Outcome,
  ROOT,
  type Running,
  startProcess,
  tool,
} from "./wherry_testing.ts";

/** Whether images can be started here: crun and umoci are there and we are root. */
export const canRun: boolean = installed("crun") && installed("umoci") && Deno.uid() === 0;

/** What an engine's command line can change. */
export interface Start {
  /** Instead of the image's entrypoint. */
  readonly entrypoint?: readonly string[];
  /** Instead of the image's command: what a user types behind the image's name. */
  readonly args?: readonly string[];
  /** `NAME=value`. */
  readonly env?: readonly string[];
}

/** An image unpacked. */
export interface Bundle {
  /** Its root file system. */
  readonly rootfs: string;
  /** Starts a container of it. */
  start(how?: Start): Promise<Running>;
  /** Runs a container to its end. */
  run(how?: Start): Promise<Outcome>;
}

let count = 0;

/** Unpacks `layout:tag` into `dir`. */
export async function unpack(layout: string, tag: string, dir: string): Promise<Bundle> {
  const script = `. ${ROOT}scripts/crun.sh; bundle "$1" "$2"`;
  await tool("sh", ["-c", script, "sh", `${layout}:${tag}`, dir]);
  const config = JSON.parse(await tool("skopeo", ["inspect", "--config", `oci:${layout}:${tag}`]));
  const { Entrypoint = [], Cmd = [] } = config.config as Record<string, string[] | undefined>;
  const original = await Deno.readTextFile(`${dir}/config.json`);
  const start = async (how: Start = {}) => {
    const spec = JSON.parse(original);
    const rest = how.args ?? (how.entrypoint === undefined ? Cmd : []);
    spec.process.args = [...(how.entrypoint ?? Entrypoint), ...rest];
    spec.process.env.push(...(how.env ?? []));
    await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(spec));
    const run = `. ${ROOT}scripts/crun.sh; run_bundle "$1" "$2"`;
    const id = `wherry-accept-${Deno.pid}-${++count}`;
    return startProcess("sh", ["-c", run, "sh", dir, id]);
  };
  return { rootfs: `${dir}/rootfs`, start, run: async (how) => await (await start(how)).ended };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

/** What the started app says at `/` and `/env`. */
export async function answers(image: Bundle): Promise<readonly string[]> {
  const port = freePort();
  const web = await image.start({ env: [`PORT=${port}`] });
  try {
    const get = async (path: string) => {
      for (;;) {
        const over = await Promise.race([web.ended, fetch(`http://127.0.0.1:${port}${path}`)])
          .catch(() => undefined);
        if (over instanceof Response) return await over.text();
        if (over !== undefined) assert.fail(`the app ended: ${over.stdout}${over.stderr}`);
      }
    };
    return [await get("/"), await get("/env")];
  } finally {
    try {
      web.kill("SIGTERM");
    } catch {
      // it ended by itself, and the failure above says how
    }
    await web.ended;
  }
}
