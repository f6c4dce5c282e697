/** Which way into an image this machine has. */
import { whyNoChroot } from "./chroot.ts";
import { chooseNamespaces, explainAttempt, type Probe } from "./probe.ts";

/** What the user asked for. */
export type Isolation = "auto" | "namespaces" | "takeover" | "chroot" | "in-place";

/** A way to enter an image. */
export interface Entry {
  /**
   * `namespaces`: its files as root of a mount namespace. `chroot`: real root changes to them. `takeover`: they are
   * unpacked over the container we stand in.
   */
  readonly mode: "namespaces" | "takeover" | "chroot";
  /** How it has to be unpacked: all files ours, or as it says. */
  readonly owner: "self" | "real";
}

/** What {@linkcode chooseEntry} looks at beside the machine's rights. */
export interface Surroundings {
  /** What lies in `/` that is not ours to overwrite; empty where it holds nothing but wherry. */
  readonly inUse: readonly string[];
}

/**
 * The first way that works, of those that ask nothing back: takeover only by its name. A way that was asked for is
 * never replaced by another.
 *
 * @throws {Error} When none works, with what each lacks and the smallest change that would help.
 */
export function chooseEntry(
  probe: Probe,
  wanted: Exclude<Isolation, "in-place">,
  { inUse }: Surroundings,
): Entry {
  const namespaces = chooseNamespaces(probe);
  const noNamespaces = namespaces === undefined
    ? `namespaces: ${explainAttempt(probe.usernsWithoutPids)}`
    : undefined;
  const asRoot = whyNoChroot(probe);
  const reasons: Record<Entry["mode"], string | undefined> = {
    namespaces: noNamespaces,
    chroot: asRoot && `chroot: ${asRoot}`,
    takeover: asRoot
      ? `takeover: ${asRoot}`
      : inUse.length === 0
      ? undefined
      : `takeover: it would replace this machine's own files, / has ${
        inUse.slice(0, 5).join(", ")
      }; want a container that holds nothing but wherry (FROM scratch)`,
  };
  const order: readonly Entry["mode"][] = wanted === "auto" ? ["namespaces", "chroot"] : [wanted];
  const mode = order.find((one) => reasons[one] === undefined);
  if (mode !== undefined) {
    return { mode, owner: mode === "namespaces" && namespaces?.user ? "self" : "real" };
  }
  const why = order.map((one) => reasons[one]).join("; ");
  // A root that lacks nothing is helped by no rights: the reason says what it wants.
  const advice = wanted === "takeover" && asRoot === undefined
    ? ""
    : `. ${adviceFor(probe, namespaces !== undefined)}`;
  throw new Error(`Cannot enter an image here: ${why}${advice}`);
}

/** What lets user namespaces be made, by what they are refused with. */
const HELP: Readonly<Record<number, string>> = {
  13:
    "Allow user namespaces: the sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for wherry",
  28: "Allow user namespaces: a larger sysctl user.max_user_namespaces",
};
const HELP_ELSE =
  "Allow user namespaces (a seccomp profile, or the sysctls kernel.unprivileged_userns_clone, " +
  "kernel.apparmor_restrict_unprivileged_userns refuse them)";

function adviceFor(probe: Probe, namespacesWork: boolean): string {
  if (probe.uid !== 0) {
    if (namespacesWork) return "Be root, or take --isolation namespaces, which works here";
    const { errno } = probe.usernsWithoutPids;
    return `${
      HELP[errno] ?? HELP_ELSE
    }, or run wherry in the builder image itself, without --builder`;
  }
  return "Give the container the capabilities SYS_CHROOT, SETUID, SETGID, CHOWN and KILL, which engines give by " +
    "default, or run wherry in the builder image itself, without --builder";
}
