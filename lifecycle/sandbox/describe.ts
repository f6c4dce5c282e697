/** The line that tells how buildpacks are run where there are namespaces: what stands around them, and what is open. */
import { explainAttempt, type Namespaces, type Probe } from "./probe.ts";

/** What {@linkcode describeNamespaces} tells about. */
export interface NamespaceWalls {
  /** The mode, and what those inside see as their machine. */
  readonly what: string;
  /** What the machine allows. */
  readonly probe: Probe;
  /** The namespaces that were made. */
  readonly namespaces: Namespaces;
  /** Whether Landlock is the second fence. */
  readonly landlock: boolean;
  /** See {@linkcode InPlaceOptions.network}. */
  readonly network: "host" | "none" | undefined;
  /** Who is inside. */
  readonly uid: number;
  /** Of which group. */
  readonly gid: number;
  /** What else is open. */
  readonly more?: readonly string[];
}

/** `what (what was made) as uid:gid; what is open`. */
export function describeNamespaces(walls: NamespaceWalls): string {
  const { what, probe, namespaces, landlock, network, uid, gid, more = [] } = walls;
  const made = [
    namespaces.user ? "user and mount namespaces" : "mount namespace",
    ...(namespaces.pid ? ["PID namespace"] : []),
    "no_new_privs",
    "seccomp",
    ...(landlock ? [`Landlock ${probe.landlock}`] : []),
  ];
  const open = [
    network === "none" ? "no network" : "the host's network",
    ...(namespaces.pid ? [] : [
      `${explainAttempt(probe.userns)}, so other processes are visible` +
      (landlock && probe.landlock >= 6 ? "" : " and those of this user can be signalled"),
    ]),
    ...more,
    "not a VM: a kernel bug is a way out",
  ];
  return `${what} (${made.join(", ")}) as ${uid}:${gid}; ${open.join("; ")}`;
}
