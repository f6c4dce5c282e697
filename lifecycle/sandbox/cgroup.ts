/** A control group for what buildpacks run, where the machine lets us make one: a limit, and what was used in the end. */
import { access, constants } from "node:fs/promises";
import { dirname, join } from "node:path";

/** What buildpacks used, all together. */
export interface Usage {
  /** Most memory at a time, in bytes; absent on kernels before 5.19. */
  readonly memoryPeak?: number | undefined;
  /** Time of processors, in milliseconds. */
  readonly cpuMs?: number | undefined;
  /** Whether the kernel ended a process for want of memory. */
  readonly outOfMemory: boolean;
  /** Whether a process could not be started, as there were too many. */
  readonly outOfProcesses: boolean;
}

/**
 * Most processes and threads of a build together, where the group counts them: a bomb ends there. Fewer than a user may have
 * behind the walls without a group, or that limit would be met first, and nobody told.
 */
export const MOST_PROCESSES = 4096;

/** A control group of one build; gone when it is disposed. */
export interface BuildGroup extends AsyncDisposable {
  /** Its directory. */
  readonly path: string;
  /** So far. */
  usage(): Promise<Usage>;
}

/**
 * Makes one below the nearest group above ours that may hand memory out and is ours to write (systemd's user sessions,
 * delegated containers), with `memory` bytes at most.
 *
 * @param root Where control groups are; another one than the machine's for tests.
 * @returns Why not, when there is none.
 */
export async function openGroup(
  { memory }: { readonly memory?: number | undefined },
  { root = "/sys/fs/cgroup", self = "/proc/self/cgroup" } = {},
): Promise<BuildGroup | { readonly reason: string }> {
  const controllers = await read(join(root, "cgroup.controllers"));
  if (controllers === undefined) return { reason: "there are no control groups of version 2" };
  const own = /^0::(\/.*)$/m.exec(await read(self) ?? "")?.[1];
  if (own === undefined) return { reason: "this process is in no control group" };
  let seen = "no control group above hands out memory";
  // Not in our own: a group with processes hands nothing out.
  for (let at = own; at !== "/";) {
    at = dirname(at);
    const parent = join(root, at);
    const out = (await read(join(parent, "cgroup.subtree_control")) ?? "").trim().split(" ");
    if (!out.includes("memory")) continue;
    const writable = [parent, join(parent, "cgroup.procs")].map((path) =>
      access(path, constants.W_OK)
    );
    if (!await Promise.all(writable).then(() => true, () => false)) {
      seen = `control group ${at} is not ours to divide`;
      continue;
    }
    const path = await Deno.makeTempDir({ dir: parent, prefix: "wherry-" }).catch(() => undefined);
    if (path === undefined) continue;
    return await furnish(path, memory);
  }
  return { reason: seen };
}

async function furnish(path: string, memory: number | undefined): Promise<BuildGroup> {
  const remove = async () => await Deno.remove(path).catch(() => {});
  try {
    await Deno.writeTextFile(join(path, "pids.max"), `${MOST_PROCESSES}`).catch(() => {});
    if (memory !== undefined) {
      await Deno.writeTextFile(join(path, "memory.max"), `${memory}`);
      // Without this the rest would go to the swap, slowly; and half a build helps nobody.
      await Deno.writeTextFile(join(path, "memory.swap.max"), "0").catch(() => {});
      await Deno.writeTextFile(join(path, "memory.oom.group"), "1").catch(() => {});
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    path,
    async usage() {
      const peak = await read(join(path, "memory.peak"));
      const cpu = /^usage_usec (\d+)$/m.exec(await read(join(path, "cpu.stat")) ?? "");
      const events = await read(join(path, "memory.events")) ?? "";
      return {
        ...peak === undefined ? {} : { memoryPeak: Number(peak) },
        ...cpu === null ? {} : { cpuMs: Math.round(Number(cpu[1]) / 1000) },
        outOfMemory: /^oom_kill [1-9]/m.test(events),
        outOfProcesses: /^max [1-9]/m.test(await read(join(path, "pids.events")) ?? ""),
      };
    },
    [Symbol.asyncDispose]: remove,
  };
}

async function read(path: string): Promise<string | undefined> {
  return await Deno.readTextFile(path).catch(() => undefined);
}
