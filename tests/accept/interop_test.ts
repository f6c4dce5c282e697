/**
 * `wherry serve` with the clients people have: login, push, pull, list and delete, over http, over TLS with passwords and
 * over TLS with tokens. Each is skipped where it is not installed.
 */
import assert from "node:assert/strict";
import { CRANE, goTool } from "../go_tool.ts";
import { DOORS, PASSWORD, type Served, serveSeed, USER } from "./interop_testing.ts";
import { installed, startProcess, tool } from "./wherry_testing.ts";

/** A tool that must not succeed, and says why. */
async function refused(
  served: Served,
  program: string,
  args: readonly string[],
  why: RegExp,
): Promise<void> {
  const { code, stderr } = await startProcess(program, args, { env: served.env }).ended;
  assert.notEqual(code, 0, `${program} ${args.join(" ")} succeeded`);
  assert.match(stderr, why);
}

/** What no login was made for is not given out; then logs in. */
async function logIn(
  served: Served,
  program: string,
  flags: readonly string[],
  pull: readonly string[],
): Promise<void> {
  if (!served.locked) return;
  const login = (password: string) => [...flags, "login", "-u", USER, "-p", password, served.host];
  // docker goes on to http then, and tells what came of that.
  await refused(
    served,
    program,
    pull,
    /unauthorized|authentication required|denied|malformed HTTP/i,
  );
  await refused(served, program, login("wrong"), /unauthorized|invalid|incorrect|401/i);
  await tool(program, login(PASSWORD), { env: served.env });
}

for (const door of DOORS) {
  Deno.test({
    name: `skopeo pushes, pulls, lists and deletes: ${door}`,
    ignore: !installed("skopeo"),
  }, async () => {
    await using served = await serveSeed(door);
    const { host, scene, env, locked } = served;
    const run = (...args: readonly string[]) => tool("skopeo", args, { env });
    const both = locked ? [] : ["--src-tls-verify=false", "--dest-tls-verify=false"];
    const one = locked ? [] : ["--tls-verify=false"];
    const copy = (from: string, to: string) => run("copy", ...both, from, to);
    await logIn(served, "skopeo", [], ["inspect", `docker://${host}/seed/app:1`]);
    await copy(`docker://${host}/seed/app:1`, `docker://${host}/to/app:1`);
    assert.equal(await served.digestOf("to/app"), served.digest);
    await copy(`docker://${host}/to/app:1`, `oci:${scene.dir}/out:1`);
    await copy(`oci:${scene.dir}/out:1`, `docker://${host}/back/app:1`);
    assert.equal(await served.digestOf("back/app"), served.digest);
    // A Docker image stays one, and an image becomes one where that is asked for.
    await run("copy", ...both, "--format=v2s2", `oci:${scene.dir}/out:1`, `docker://${host}/v2/a`);
    const raw = await run("inspect", ...one, "--raw", `docker://${host}/v2/a`);
    assert.match(raw, /vnd\.docker\.distribution\.manifest\.v2/);
    const listed = await run("list-tags", ...one, `docker://${host}/seed/app`);
    assert.deepEqual(JSON.parse(listed).Tags, ["1", "2"]);
    await run("delete", ...one, `docker://${host}/to/app:1`);
    assert.equal(await served.digestOf("to/app"), undefined);
  });
}

const crane = await goTool(CRANE);
for (const door of DOORS) {
  Deno.test({
    name: `crane pushes, pulls, lists and deletes: ${door}`,
    ignore: "why" in crane,
  }, async () => {
    assert("file" in crane);
    await using served = await serveSeed(door);
    const { host, scene, env, locked } = served;
    const { file } = crane;
    const insecure = locked ? [] : ["--insecure"];
    const run = (...args: readonly string[]) => tool(file, [...insecure, ...args], { env });
    if (locked) {
      await refused(served, file, ["digest", `${host}/seed/app:1`], /UNAUTHORIZED|401/);
      await run("auth", "login", host, "-u", USER, "-p", PASSWORD);
    }
    await run("copy", `${host}/seed/app:1`, `${host}/to/app:1`);
    assert.equal((await run("digest", `${host}/to/app:1`)).trim(), served.digest);
    await run("pull", "--format=oci", `${host}/to/app:1`, `${scene.dir}/out`);
    await run("push", `${scene.dir}/out`, `${host}/back/app:1`);
    assert.equal(await served.digestOf("back/app") !== undefined, true);
    assert.equal((await run("ls", `${host}/seed/app`)).trim(), "1\n2");
    assert.match(await run("catalog", host), /^seed\/app$/m);
    await run("validate", "--remote", `${host}/back/app:1`);
    await run("tag", `${host}/to/app:1`, "new");
    await run("delete", `${host}/to/app@${served.digest}`);
    assert.equal(await served.digestOf("to/app", "new"), undefined);
  });
}

/** An engine's commands, which podman, buildah and docker share. */
interface Engine {
  readonly program: string;
  /** In front of each command. */
  readonly flags: readonly string[];
  /** Of `pull` and `push` over http. */
  readonly insecure: readonly string[];
  /** Makes an image named `name` of a tar. */
  readonly make: (tar: string, name: string) => readonly (readonly string[])[];
}

/**
 * Push, pull and what is left of the rest: none of them deletes in a registry, and only podman lists. So what it pushed is
 * listed and deleted through the API, and it has to see that.
 */
async function engineRound(served: Served, engine: Engine): Promise<void> {
  const { host, scene, env, locked } = served;
  const { program, flags } = engine;
  const insecure = locked ? [] : engine.insecure;
  const words = (...args: readonly string[]) => [...flags, ...args];
  const run = (...args: readonly string[]) => tool(program, words(...args), { env });
  await logIn(served, program, flags, words("pull", `${host}/seed/app:1`));
  await run("pull", ...insecure, `${host}/seed/app:1`);
  await run("tag", `${host}/seed/app:1`, `${host}/to/app:1`);
  for (const step of engine.make(`${scene.dir}/layer.tar`, `${host}/to/app:made`)) {
    await run(...step);
  }
  for (const tag of ["1", "made"]) await run("push", ...insecure, `${host}/to/app:${tag}`);
  assert.deepEqual(await served.tagsOf("to/app"), ["1", "made"]);
  const there = await served.digestOf("to/app");
  assert(there !== undefined);
  const names = [`${host}/seed/app:1`, `${host}/to/app:1`, `${host}/to/app:made`];
  await run("rmi", "--force", ...names);
  await run("pull", ...insecure, `${host}/to/app@${there}`);
  await run("pull", ...insecure, `${host}/to/app:made`);
  await run("rmi", "--force", `${host}/to/app:made`);
  await served.registry.deleteManifest("to/app", "made");
  await refused(
    served,
    program,
    words("pull", ...insecure, `${host}/to/app:made`),
    /manifest unknown|not found/i,
  );
  if (locked) await run("logout", host);
}

// One library talks to registries in both: each door once.
const LIBRARY = { podman: ["http", "TLS and tokens"], buildah: ["TLS and a password"] };
for (const program of ["podman", "buildah"] as const) {
  for (const door of DOORS.filter((door) => LIBRARY[program].includes(door))) {
    Deno.test({
      name: `${program} pushes, pulls and sees what is listed and deleted: ${door}`,
      ignore: !installed(program) || Deno.uid() !== 0,
    }, async () => {
      await using served = await serveSeed(door);
      const { host, scene, env, locked } = served;
      const flags = ["--root", `${scene.dir}/root-of`, "--runroot", `${scene.dir}/run-of`];
      flags.push("--storage-driver=vfs");
      const insecure = ["--tls-verify=false"];
      try {
        await engineRound(served, {
          program,
          flags,
          insecure,
          make: (tar, name) =>
            program === "podman" ? [["import", tar, name]] : [
              ["from", "--name=made", "scratch"],
              ["add", "made", tar],
              ["commit", "made", name],
            ],
        });
        if (program === "podman") {
          if (locked) {
            await tool(program, [...flags, "login", "-u", USER, "-p", PASSWORD, host], { env });
          }
          const search = ["search", ...(locked ? [] : insecure), "--list-tags", `${host}/seed/app`];
          const found = await tool(program, [...flags, ...search], { env });
          // Old ones have no format for it: the tag is the last word of a line.
          assert.deepEqual([...found.matchAll(/ (\d)$/gm)].map(([, tag]) => tag), ["1", "2"]);
        }
      } finally {
        if (program === "buildah") await tool(program, [...flags, "rm", "--all"], { env });
        await tool(program, [...flags, "rmi", "--all", "--force"], { env });
      }
    });
  }
}

Deno.test({
  name: "docker pushes, pulls and sees what is listed and deleted, through an engine of its own",
  ignore: !installed("dockerd") || !installed("docker") || Deno.uid() !== 0,
}, async () => {
  // Nobody else's engine is asked, and nothing of the machine's network is changed.
  const dir = await Deno.makeTempDir({ prefix: "wherry-accept-engine-" });
  const socket = `unix://${dir}/s`;
  const engine = startProcess("dockerd", [
    ...["--host", socket, "--data-root", `${dir}/data`, "--pidfile", `${dir}/pid`],
    ...["--exec-root", `${dir}/exec`, "--storage-driver", "vfs", "--bridge", "none"],
    ...["--iptables=false", "--ip6tables=false", "--ip-forward=false"],
  ], { env: { HOME: dir } });
  try {
    try {
      await engine.until(/API listen on/);
    } catch (error) {
      // deno-lint-ignore no-console
      console.log(`skipped: no engine starts here: ${(error as Error).message.slice(-300)}`);
      return;
    }
    for (const door of DOORS) {
      await using served = await serveSeed(door);
      await engineRound(served, {
        program: "docker",
        flags: ["--host", socket],
        insecure: [], // it takes 127.0.0.0/8 as it is
        make: (tar, name) => [["import", tar, name]],
      });
    }
  } finally {
    engine.kill("SIGTERM");
    await engine.ended;
    await tool("sh", ["-c", `umount '${dir}'/data/* '${dir}'/exec/*/* 2>/dev/null; true`]);
    await Deno.remove(dir, { recursive: true });
  }
});
