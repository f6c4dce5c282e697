/** Buildpacks in the container we stand in: through the helper, and as plain processes. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { openContainer } from "./container.ts";
import { type Command, type Executor, StartError } from "./executor.ts";
import { compiledHelper } from "./helper_testing.ts";

async function each(
  act: (executor: Executor, dir: string, how: string) => Promise<void>,
): Promise<void> {
  for (const helper of [await compiledHelper(), undefined]) {
    await using temp = await tempDir();
    const dir = temp.path;
    await act(await openContainer({ helper, scratch: dir }), dir, helper ? "helper" : "plain");
  }
}

async function command(
  dir: string,
  script: string,
  change: Partial<Command> = {},
): Promise<Command & { readonly said: () => string }> {
  await Deno.writeTextFile(`${dir}/program`, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  let text = "";
  return {
    program: `${dir}/program`,
    args: ["one", "two words"],
    cwd: dir,
    env: { PATH: "/usr/bin:/bin", ONLY: "this" },
    signal: new AbortController().signal,
    onOutput: (chunk) => text += new TextDecoder().decode(chunk),
    said: () => text,
    ...change,
  };
}

Deno.test("ENV-1 ENV-7 exact environment, arguments, working directory, no input", async () => {
  await each(async (executor, dir, how) => {
    const run = await command(
      dir,
      'echo "$2"; env | grep -v -e PWD -e _= -e SHLVL | sort; pwd; cat',
    );
    deepStrictEqual((await executor.run(run)).code, 0, how);
    strictEqual(run.said(), `two words\nONLY=this\nPATH=/usr/bin:/bin\n${dir}\n`, how);
  });
});

Deno.test("DT-14 BU-2 codes, signals, and what cannot be started", async () => {
  await each(async (executor, dir, how) => {
    strictEqual((await executor.run(await command(dir, "exit 7"))).code, 7, how);
    const killed = await executor.run(await command(dir, "kill -9 $$"));
    deepStrictEqual([killed.code, killed.signal], [137, "SIGKILL"], how);
    const absent = await command(dir, "true", { program: `${dir}/absent` });
    await rejects(
      executor.run(absent),
      (error) => error instanceof StartError && error.code === 127,
    );
    const run = await command(dir, "true");
    await Deno.chmod(run.program, 0o644);
    await rejects(executor.run(run), (error) => error instanceof StartError && error.code === 126);
  });
});

Deno.test("SIG-1 nothing a buildpack started is left running, whether it ended or was told to", async () => {
  await each(async (executor, dir, how) => {
    const background = `(sleep 1000 & echo $! > "${dir}/child"); exit 0`;
    await executor.run(await command(dir, background));
    const stop = new AbortController();
    const waiting = await command(dir, `echo $$ > "${dir}/parent"; echo go; sleep 1000`, {
      signal: stop.signal,
      onOutput: () => stop.abort(new Error("stop")),
    });
    await rejects(executor.run(waiting), /stop/);
    for (const name of ["child", "parent"]) {
      const pid = (await Deno.readTextFile(`${dir}/${name}`)).trim();
      // Killed is not yet gone: the kernel takes its time.
      let state = "";
      for (let tries = 0; tries < 300; tries++) {
        state = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
        if (state === "" || / Z /.test(state)) break;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      ok(state === "" || / Z /.test(state), `${how}: ${name} ${state}`);
    }
  });
});

Deno.test("BU-2 much output on both streams does not block", async () => {
  await each(async (executor, dir, how) => {
    const script =
      "head -c 300000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero | tr '\\0' y >&2";
    const run = await command(dir, script);
    strictEqual((await executor.run(run)).code, 0, how);
    strictEqual(run.said().length, 600_000, how);
    match(executor.describe, how === "helper" ? /no_new_privs/ : /as plain processes/);
  });
});
