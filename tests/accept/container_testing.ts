/** Starts images with Debian's umoci and crun, as `scripts/crun.sh` has it. */
import assert from "node:assert/strict";
import { freePort } from "../../registry/port_testing.ts";
import { type Engine, engineSeccomp } from "./seccomp_testing.ts";
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
    const id = `wherry-accept-${crypto.randomUUID()}`;
    return startProcess("sh", ["-c", run, "sh", dir, id]);
  };
  return { rootfs: `${dir}/rootfs`, start, run: async (how) => await (await start(how)).ended };
}

/** A container of any root file system. */
export interface Container {
  /** Its directory on this machine; it gets places for mounts. */
  readonly rootfs: string;
  /** Its user, `CAP_` names. */
  readonly uid: number;
  readonly gid: number;
  readonly capabilities: readonly string[];
  /** What runs. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Directories of this machine, by their path inside. */
  readonly mounts: Readonly<Record<string, string>>;
  readonly readonly?: boolean;
  /** Whose filter of system calls. Default: Docker's. */
  readonly engine?: Engine | undefined;
  /** Without a namespace of processes: what it leaves runs on, and can be seen. */
  readonly sharedProcesses?: boolean | undefined;
}

/** Starts a container as engines do by default: their filter of system calls, their covered parts of `/proc`; the host's network. */
export async function contain(bundle: string, container: Container): Promise<Running> {
  const { rootfs, uid, gid, capabilities, args, env, mounts } = container;
  const plain = ["nosuid", "noexec", "nodev"];
  for (const place of ["/proc", "/dev", "/sys", ...Object.keys(mounts)]) {
    await Deno.mkdir(`${rootfs}${place}`, { recursive: true });
  }
  await Deno.mkdir(bundle, { recursive: true });
  const spec = {
    ociVersion: "1.0.2",
    root: { path: rootfs, readonly: container.readonly ?? false },
    process: {
      user: { uid, gid },
      args,
      env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      cwd: "/",
      capabilities: Object.fromEntries(
        ["bounding", "effective", "permitted"].map((set) => [set, capabilities]),
      ),
      noNewPrivileges: capabilities.length === 0,
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: plain },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
      { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...plain, "mode=1777"] },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: [...plain, "ro"] },
      ...Object.entries(mounts).map(([destination, source]) => ({
        ...{ destination, type: "bind", source, options: ["rbind", "rw"] },
      })),
    ],
    linux: {
      namespaces: ["pid", "mount", "ipc", "uts"]
        .filter((type) => type !== "pid" || !container.sharedProcesses)
        .map((type) => ({ type })),
      seccomp: engineSeccomp(container.engine ?? "docker", capabilities),
      maskedPaths: ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
  await Deno.writeTextFile(`${bundle}/config.json`, JSON.stringify(spec));
  const run = `. ${ROOT}scripts/crun.sh; run_bundle "$1" "$2"`;
  const id = `wherry-accept-${crypto.randomUUID()}`;
  return startProcess("sh", ["-c", run, "sh", bundle, id]);
}

/** What the started app says at `/` and `/env`. */
export async function answers(image: Pick<Bundle, "start">): Promise<readonly string[]> {
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
