/** Which parts of the machine are shown. */

import { deepStrictEqual, ok } from "node:assert/strict";
import { isUnder, lookAtMachine } from "./machine.ts";

const none = { home: undefined, hide: [], taken: [], asRoot: false };

async function tree(...names: string[]): Promise<string> {
  const dir = await Deno.realPath(await Deno.makeTempDir());
  for (const name of names) await Deno.mkdir(`${dir}/${name}`, { recursive: true });
  return dir;
}

Deno.test("isUnder compares whole names", () => {
  ok(isUnder("/a/b", "/a") && isUnder("/a", "/a") && isUnder("/a", "/"));
  ok(!isUnder("/ab", "/a") && !isUnder("/", "/a"));
});

Deno.test("the system is shown, the places of people and secrets are not", async () => {
  const machine = await lookAtMachine({ ...none, path: "/usr/bin:/bin:/sbin" });
  ok(machine.trees.includes("/usr") && machine.trees.includes("/etc"));
  const shown = [...machine.trees, ...machine.links.map((link) => link.path)];
  for (const path of ["/home", "/root", "/run", "/tmp", "/mnt", "/srv", "/var"]) {
    ok(!shown.includes(path), path);
  }
  for (const path of machine.extras) ok(!/^\/(home|root|tmp)/.test(path), path);
});

Deno.test("of PATH, directories elsewhere are shown, unless that would show too much", async () => {
  const dir = await tree("home/bin", "home/.docker/bin", "site/sub", "other/bin", "site/deep/bin");
  await Deno.symlink("home", `${dir}/link`);
  await Deno.writeTextFile(`${dir}/file`, "");
  const rows: [entry: string, shown: boolean][] = [
    [`${dir}/home/bin`, true],
    [`${dir}/other/bin/`, true],
    [`${dir}/home`, false], // HOME itself
    [`${dir}/link`, false], // by another name
    [dir, false], // a parent of HOME
    [`${dir}/home/.docker/bin`, false], // in a hidden place
    [`${dir}/site`, false], // holds one of the build's directories
    [`${dir}/site/sub`, false], // is one
    [`${dir}/file`, false],
    [`${dir}/none`, false],
    ["/tmp", false],
    ["/", false],
    ["bin", false],
    [".", false],
    ["", false],
    ["/proc/self", false],
  ];
  for (const [entry, shown] of rows) {
    const machine = await lookAtMachine({
      path: entry,
      home: `${dir}/home`,
      hide: [`${dir}/home/.docker`],
      taken: [`${dir}/site/sub`],
      asRoot: false,
    });
    const found = machine.extras.filter((path) => path.startsWith("/tmp") || path === "/");
    deepStrictEqual(found, shown ? [entry.replace(/\/$/, "")] : [], entry);
  }
  await Deno.remove(dir, { recursive: true });
});

Deno.test("a hidden place inside a shown tree is a secret", async () => {
  const machine = await lookAtMachine({ ...none, path: "", hide: ["/usr/share", "/nowhere"] });
  ok(machine.secrets.includes("/usr/share"));
  ok(!machine.secrets.includes("/nowhere"));
});

Deno.test("for a build that owns root's files, what others may not read is a secret", async () => {
  const { secrets } = await lookAtMachine({ ...none, path: "", asRoot: true });
  for (const path of secrets.filter((path) => path.startsWith("/etc/"))) {
    const parts = path.split("/");
    ok(
      parts.some((_, at) =>
        at > 1 && ((Deno.lstatSync(parts.slice(0, at + 1).join("/")).mode!) & 4) === 0
      ) ||
        /^\/etc\/(docker|kubernetes|rancher|containers)/.test(path),
      path,
    );
  }
});
