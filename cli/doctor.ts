/** `wherry doctor`: what this machine allows, and what follows from it. */
import { chooseEntry, type Isolation } from "../lifecycle/sandbox/entry.ts";
import { rootInUse } from "../lifecycle/platform/enter.ts";
import { type Attempt, explainAttempt, type Probe } from "../lifecycle/sandbox/probe.ts";
import { probeMachine } from "../lifecycle/sandbox/probe_machine.ts";
import { openGroup } from "../lifecycle/sandbox/cgroup.ts";
import { findSubIds } from "../lifecycle/sandbox/subids.ts";
import { helperPath } from "./assets.ts";
import { otherArch } from "./foreign_arch.ts";
import type { Io } from "./io.ts";
import type { OutputFormat } from "./output.ts";
import { formatTable } from "./ui/table.ts";

/** One way to run buildpacks, and whether this machine has it. */
interface Way {
  readonly isolation: string;
  readonly works: boolean;
  /** What it gives, or why it does not work. */
  readonly why: string;
}

/** Tries everything and tells; changes nothing. */
export async function doctor(io: Io, format: OutputFormat): Promise<void> {
  const probe = await probeMachine(helperPath());
  const inUse = await rootInUse();
  const ways = waysOf(probe, inUse);
  const { uid, gid, noNewPrivs } = probe;
  const lent = await findSubIds({ uid, gid, noNewPrivs, path: io.env["PATH"] ?? "" });
  const subIds = "reason" in lent ? `no: ${lent.reason}` : "yes: build --sub-ids";
  const foreign = await otherArch(probe, inUse, io.signal);
  const groups = await controlGroups();
  if (format === "json") {
    const more = { sub_ids: subIds, control_groups: groups };
    const all = { probe, root_in_use: inUse, ways, foreign, ...more };
    io.stdout.write(JSON.stringify(all, null, 2) + "\n");
    return;
  }
  const rows = [
    ["kernel", probe.kernel],
    ["user", `${probe.uid}:${probe.gid}`],
    ["user namespace", told(probe.userns)],
    ["  without own processes", told(probe.usernsWithoutPids)],
    ["  with ids of /etc/subuid", subIds],
    ["namespaces as root", told(probe.rootns)],
    ["  without own processes", told(probe.rootnsWithoutPids)],
    ["Landlock", probe.landlock === 0 ? "no" : `version ${probe.landlock}`],
    ["system call filter", probe.seccomp === 0 ? "yes" : `no (errno ${probe.seccomp})`],
    ["no new privileges", probe.noNewPrivs ? "set: no newuidmap" : "not set"],
    ["control groups", groups],
    ["rights", rightsOf(probe)],
    [`images for ${foreign.arch}`, foreign.starts ? "yes" : `no: ${foreign.why}`],
  ];
  io.stdout.write(formatTable(["WHAT", "HERE"], rows));
  io.stdout.write("\n");
  io.stdout.write(
    formatTable(
      ["ISOLATION", "WORKS", "WHY"],
      ways.map(({ isolation, works, why }) => [
        isolation,
        works ? "yes" : "no",
        why,
      ]),
    ),
  );
}

function told(attempt: Attempt): string {
  return attempt.stage === "ok" ? "yes" : `no: ${explainAttempt(attempt)}`;
}

async function controlGroups(): Promise<string> {
  const group = await openGroup({});
  if ("reason" in group) return `no: ${group.reason}`;
  await group[Symbol.asyncDispose]();
  return "yes: build --memory, and what was used";
}

function rightsOf(probe: Probe): string {
  const { setuid, setgid, chown, kill, chroot } = probe;
  const all = { SETUID: setuid, SETGID: setgid, CHOWN: chown, KILL: kill, SYS_CHROOT: chroot };
  const has = Object.entries(all).filter(([, there]) => there).map(([name]) => name);
  return has.join(" ") || "none";
}

/** What each isolation comes to on a machine. */
function waysOf(probe: Probe, inUse: readonly string[]): readonly Way[] {
  const modes: readonly Exclude<Isolation, "in-place">[] = [
    "auto",
    "namespaces",
    "chroot",
    "takeover",
  ];
  const ways = modes.map((isolation): Way => {
    try {
      const { mode, owner } = chooseEntry(probe, isolation, { inUse });
      const owners = owner === "real" ? "real owners" : "one user owns all files";
      return { isolation, works: true, why: isolation === "auto" ? mode : owners };
    } catch (error) {
      const [reason = ""] = (error as Error).message.replace(
        /^Cannot enter an image here: (\w+: )?/,
        "",
      )
        .split(". ");
      return { isolation, works: false, why: reason };
    }
  });
  const fenced = probe.landlock > 0 ? `fenced by Landlock ${probe.landlock}` : "not fenced";
  const view = probe.userns.stage === "ok" || probe.rootns.stage === "ok";
  return [...ways, {
    isolation: "in-place",
    works: probe.seccomp === 0,
    why: probe.seccomp !== 0
      ? "the kernel refuses a system call filter"
      : `without a builder; ${view ? "a view of this machine" : fenced}`,
  }];
}
