import { deepEqual, equal, match } from "node:assert/strict";
import { openGroup } from "./cgroup.ts";
import { compiledHelper, skipped } from "./helper_testing.ts";

/** Files as the kernel has them; a directory of control groups cannot be had everywhere. */
async function groups(own: string, files: Readonly<Record<string, string>>) {
  const top = await Deno.makeTempDir();
  const root = `${top}/cgroup`;
  await Deno.mkdir(root);
  for (const [name, text] of Object.entries(files)) {
    await Deno.mkdir(`${root}/${name.slice(0, name.lastIndexOf("/") + 1)}`, { recursive: true });
    await Deno.writeTextFile(`${root}/${name}`, text);
  }
  await Deno.writeTextFile(`${top}/self`, `0::${own}\n`);
  return { root, self: `${top}/self`, remove: () => Deno.remove(top, { recursive: true }) };
}

Deno.test("control groups: the nearest one above that hands out memory, a limit, what was used", async () => {
  const at = await groups("/user/app/shell", {
    "cgroup.controllers": "cpu memory pids\n",
    "cgroup.subtree_control": "cpu memory pids\n",
    "cgroup.procs": "",
    "user/cgroup.subtree_control": "memory pids\n",
    "user/cgroup.procs": "",
    "user/app/cgroup.subtree_control": "pids\n",
    "user/app/cgroup.procs": "",
    "user/app/shell/cgroup.subtree_control": "",
  });
  const group = await openGroup({ memory: 1 << 20 }, at);
  if ("reason" in group) throw new Error(group.reason);
  match(group.path, /\/user\/wherry-[0-9a-f]+$/);
  const file = (name: string) => `${group.path}/${name}`;
  equal(await Deno.readTextFile(file("memory.max")), "1048576");
  equal(await Deno.readTextFile(file("memory.oom.group")), "1");
  equal(await Deno.readTextFile(file("pids.max")), "4096");
  deepEqual(await group.usage(), { outOfMemory: false, outOfProcesses: false });
  await Deno.writeTextFile(file("memory.peak"), "4096\n");
  await Deno.writeTextFile(file("memory.events"), "low 0\noom 1\noom_kill 2\noom_group_kill 1\n");
  await Deno.writeTextFile(file("pids.events"), "max 3\n");
  await Deno.writeTextFile(file("cpu.stat"), "usage_usec 12345\nuser_usec 1\n");
  deepEqual(await group.usage(), {
    ...{ memoryPeak: 4096, cpuMs: 12 },
    ...{ outOfMemory: true, outOfProcesses: true },
  });
  await at.remove();
});

Deno.test("control groups: why there is none", async () => {
  const reason = async (own: string, files: Readonly<Record<string, string>>) => {
    const at = await groups(own, files);
    const group = await openGroup({}, at);
    await at.remove();
    return "reason" in group ? group.reason : "";
  };
  match(await reason("/a", {}), /version 2/);
  const controllers = { "cgroup.controllers": "memory\n", "cgroup.subtree_control": "\n" };
  match(await reason("/", controllers), /hands out memory/);
  match(await reason("/a/b", controllers), /hands out memory/);
});

Deno.test("control groups: what the helper runs is in the group, and all of it", async () => {
  const mounts = await Deno.readTextFile("/proc/self/mountinfo");
  const root = / (\/\S+) rw\S* .*- cgroup2 /.exec(mounts)?.[1];
  const group = `${root}/wherry-test-${Deno.pid}`;
  const made = root !== undefined && await Deno.mkdir(group).then(() => true, () => false);
  if (!made) return skipped("no control group of version 2 can be made here");
  try {
    const { code, stdout } = await new Deno.Command(await compiledHelper(), {
      args: ["run", "--cgroup", group, "--", "/bin/sh", "-c", "grep ^0:: /proc/self/cgroup"],
    }).output();
    equal(code, 0);
    match(new TextDecoder().decode(stdout), /^0::\/.*wherry-test-\d+\n$/);
    equal(await Deno.readTextFile(`${group}/cgroup.procs`), "");
  } finally {
    await Deno.remove(group);
  }
});
