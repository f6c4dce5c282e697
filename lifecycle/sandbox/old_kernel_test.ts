/** What a helper does on kernels that lack calls it prefers: they are taken away by a filter. */

import { match, ok, strictEqual } from "node:assert/strict";
import { compiledHelper, drive, isRoot, placeFor, skipped } from "./helper_testing.ts";
import { removeTrees } from "./trees.ts";

/** The same numbers on every architecture. */
const CLOSE_RANGE = 436;
const MOUNT_SETATTR = 442;
const LANDLOCK_CREATE_RULESET = 444;

/** A seccomp program that answers ENOSYS to the system calls `missing`. */
function filter(missing: readonly number[]): Uint8Array<ArrayBuffer> {
  const ALLOW = 0x7fff0000;
  const ENOSYS = 0x00050000 | 38;
  const words: [code: number, jt: number, jf: number, k: number][] = [[0x20, 0, 0, 0]];
  for (const nr of missing) words.push([0x15, 0, 1, nr], [0x06, 0, 0, ENOSYS]);
  words.push([0x06, 0, 0, ALLOW]);
  const bytes = new DataView(new ArrayBuffer(8 * words.length));
  words.forEach(([code, jt, jf, k], at) => {
    bytes.setUint16(8 * at, code, true);
    bytes.setUint8(8 * at + 2, jt);
    bytes.setUint8(8 * at + 3, jf);
    bytes.setUint32(8 * at + 4, k, true);
  });
  return new Uint8Array(bytes.buffer);
}

/** Words that run a command in a world without `missing`, or `undefined` where that cannot be. */
async function without(missing: readonly number[], place: string): Promise<string[] | undefined> {
  if (!isRoot) return void skipped("needs root");
  await Deno.writeFile(`${place}/filter`, filter(missing));
  const bwrap = ["bwrap", "--dev-bind", "/", "/", "--cap-add", "ALL", "--seccomp", "9"];
  const words = ["/bin/sh", "-c", 'exec 9<"$0"; exec "$@"', `${place}/filter`, ...bwrap];
  const { success } = await new Deno.Command(words[0]!, {
    args: [...words.slice(1), "true"],
    stderr: "null",
  }).output().catch(() => ({ success: false }));
  return success ? words : void skipped("bubblewrap is not here or may not make namespaces");
}

Deno.test("before 5.9 and 5.12: descriptors closed one by one, mounts remounted one by one", async () => {
  const place = await placeFor("root");
  const words = await without([CLOSE_RANGE, MOUNT_SETATTR], place);
  if (words !== undefined) {
    await Deno.mkdir(`${place}/with blank\\`);
    await Deno.mkdir(`${place}/stage`);
    const { code, stdout, stderr } = await new Deno.Command(words[0]!, {
      args: [
        ...[...words.slice(1), await compiledHelper(), "run", "--view", `${place}/stage`],
        ...["--pidns", "--uid", "1000", "--gid", "1000"],
        ...["--ro-bind", "/usr", "/usr", "--link", "usr/lib", "/lib", "--link", "usr/lib64"],
        ...["/lib64", "--ro-bind", "/sys", "/sys", "--ro-bind", `${place}/with blank\\`, "/a b\\"],
        ...["--bind", "/var/tmp", "/rw", "--", "/usr/bin/sh", "-c"],
        "ls /proc/self/fd; cat /proc/self/mountinfo",
      ],
    }).output();
    const text = new TextDecoder();
    strictEqual(code, 0, text.decode(stderr));
    const output = text.decode(stdout);
    match(output, /^0\n1\n2\n3\n/);
    match(output, / \/a\\040b\\134 ro,nosuid,nodev/);
    match(output, / \/rw rw,nosuid,nodev/);
    match(output, / \/dev ro,nosuid,nodev,noexec/);
    match(output, / \/dev\/null rw,nosuid,noexec/);
    for (const line of output.split("\n").slice(4)) {
      const [, , , , path, options] = line.split(" ");
      if (path === undefined || /^\/(dev|proc|rw)/.test(path)) continue;
      ok(options!.startsWith("ro,nosuid,nodev"), line);
    }
  }
  await removeTrees(await compiledHelper(), [place]);
});

Deno.test("before 5.13: no Landlock, which is said aloud; a view does without", async () => {
  const place = await placeFor("root");
  const words = await without([LANDLOCK_CREATE_RULESET], place);
  if (words !== undefined) {
    await Deno.mkdir(`${place}/layers`);
    const options = {
      helper: await compiledHelper(),
      scratchDir: place,
      dirs: [{ inside: "/layers", outside: `${place}/layers`, access: "rw" }] as const,
      ...{ uid: 1000, gid: 1000, path: "/usr/bin:/bin" },
    };
    const view = await drive("root", { options, script: "echo fine" }, { within: words });
    match(view.describe!, /own view/);
    ok(!view.describe!.includes("Landlock"));
    strictEqual(view.output, "fine\n");
    const direct = await drive(
      "root",
      { options: { ...options, mode: "direct" }, script: "echo fine" },
      { within: words },
    );
    match(direct.describe!, /NOT FENCED: this kernel has no Landlock.* user 1000 can$/);
    strictEqual(direct.plan?.fenced, false);
    strictEqual(direct.output, "fine\n");
    const { code, stderr } = await new Deno.Command(words[0]!, {
      args: [...words.slice(1), options.helper, "run", "--landlock", "--", "/bin/true"],
    }).output();
    strictEqual(code, 125, "a fence that was asked for is not left out");
    match(new TextDecoder().decode(stderr), /Cannot use "Landlock": Function not implemented/);
  }
  await removeTrees(await compiledHelper(), [place]);
});
