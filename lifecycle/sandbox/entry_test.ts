import { deepEqual, throws } from "node:assert/strict";
import { chooseEntry } from "./entry.ts";
import type { Probe } from "./probe.ts";

const ok = { stage: "ok", errno: 0 };
const refused = { stage: "clone", errno: 1 };

function probe(change: Partial<Probe>): Probe {
  return {
    kernel: "6.1",
    uid: 1000,
    gid: 1000,
    userns: refused,
    usernsWithoutPids: refused,
    rootns: refused,
    rootnsWithoutPids: refused,
    landlock: 7,
    seccomp: 0,
    noNewPrivs: false,
    setuid: false,
    setgid: false,
    chown: false,
    kill: false,
    chroot: false,
    ...change,
  };
}

const root = { uid: 0, gid: 0, setuid: true, setgid: true, chown: true, kill: true, chroot: true };
const outside = { inUse: ["bin", "usr"] };
const inside = { inUse: [] };

Deno.test("entry: the first way that works, by what the machine allows", () => {
  const laptop = probe({ userns: ok, usernsWithoutPids: ok });
  deepEqual(chooseEntry(laptop, "auto", outside), { mode: "namespaces", owner: "self" });
  deepEqual(chooseEntry(probe({ ...root, rootns: ok }), "auto", outside), {
    mode: "namespaces",
    owner: "real",
  });
  deepEqual(chooseEntry(probe(root), "auto", inside), { mode: "chroot", owner: "real" });
  deepEqual(chooseEntry(probe(root), "takeover", inside), { mode: "takeover", owner: "real" });
});

Deno.test("entry: a way that was asked for is never replaced, and says what it lacks", () => {
  throws(
    () => chooseEntry(probe(root), "namespaces", inside),
    /namespaces: making namespaces is refused \(EPERM\)/,
  );
  throws(
    () => chooseEntry(probe({ userns: ok, usernsWithoutPids: ok }), "chroot", inside),
    /chroot: only root may change .*\. Be root, or take --isolation namespaces, which works here$/,
  );
  throws(
    () => chooseEntry(probe({ ...root, chroot: false, kill: false }), "chroot", inside),
    /root lacks SYS_CHROOT, KILL/,
  );
  throws(
    () => chooseEntry(probe(root), "takeover", outside),
    /takeover: it would replace this machine's own files, \/ has bin, usr; want a container .*\(FROM scratch\)$/,
  );
});

Deno.test("entry: when none works, each reason and what would help", () => {
  throws(
    () => chooseEntry(probe({}), "auto", outside),
    /^Error: Cannot enter an image here: namespaces: .*; chroot: only root .*\. Allow user namespaces .*without --builder/,
  );

  for (
    const [errno, help] of [
      [
        13,
        /EACCES.*: the sysctl kernel\.apparmor_restrict_unprivileged_userns=0, or .*, or run wherry in/,
      ],
      [28, /ENOSPC.*: a larger sysctl user\.max_user_namespaces, or run wherry in/],
    ] as const
  ) {
    const usernsWithoutPids = { ...refused, errno };
    throws(() => chooseEntry(probe({ usernsWithoutPids }), "auto", inside), help);
  }
  throws(
    () => chooseEntry(probe({ uid: 0 }), "auto", inside),
    /Give the container the capabilities SYS_CHROOT/,
  );
});
