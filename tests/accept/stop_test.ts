/** Stopped in the middle, politely or not: nothing stays behind, and the next build works. */
import assert from "node:assert/strict";
import { assertOneError, makeScene, type Running, type Scene } from "./wherry_testing.ts";

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGKILL: 137 } as const;
type Signal = keyof typeof SIGNALS;

interface Phase {
  readonly name: string;
  /** Prepares and starts a build; resolves when the phase is under way. */
  start(scene: Scene, nap: string, size: number): Promise<Running & Partial<AsyncDisposable>>;
}

const SH = "#!/bin/sh\n";
// In its own session, deaf to polite signals, and with a child: what is left behind by careless supervisors.
const NAP = (nap: string) =>
  `trap '' TERM INT HUP\nsetsid sleep ${nap} &\necho napping\nsleep ${nap}\n`;

async function prepare(scene: Scene, detect = "", build = ""): Promise<void> {
  await scene.write({
    "app/file": "x",
    "bp/buildpack.toml":
      `api = "0.10"\n[buildpack]\nid = "a/nap"\nversion = "1"\n[[targets]]\nos = "linux"\n`,
    "bp/bin/detect": SH + detect,
    "bp/bin/build": SH + build,
  });
}

const BUILD = ["build", "image", "--path", "app", "-b", "bp", "--run-image", "scratch"];
/** A cached layer of `size` bytes; once it is restored, `then` follows. */
const cached = (size: number, then = "") =>
  `printf '[types]\\ncache = true\\nlaunch = true\\n' >$CNB_LAYERS_DIR/large.toml
mkdir -p $CNB_LAYERS_DIR/large
if [ -f $CNB_LAYERS_DIR/large/x ]; then ${then || ":"}
else head -c ${size} /dev/urandom >$CNB_LAYERS_DIR/large/x
fi\n`;

const PHASES: readonly Phase[] = [
  {
    name: "analyze",
    async start(scene) {
      await prepare(scene);
      // A registry that takes every request and never answers.
      const deaf = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const asked = Promise.withResolvers<void>();
      const connections: Deno.Conn[] = [];
      const accepting = (async () => {
        for await (const connection of deaf) {
          connections.push(connection);
          asked.resolve();
        }
      })();
      const { port } = deaf.addr as Deno.NetAddr;
      const name = `127.0.0.1:${port}/image`;
      const running = scene.start(["build", name, "--publish", ...BUILD.slice(2)]);
      await running.until(/===> ANALYZING/);
      await asked.promise;
      return {
        ...running,
        async [Symbol.asyncDispose]() {
          deaf.close();
          await accepting;
          for (const connection of connections) connection.close();
        },
      };
    },
  },
  {
    name: "detect",
    async start(scene, nap) {
      await prepare(scene, NAP(nap));
      const running = scene.start(BUILD);
      await running.until(/===> DETECTING/);
      while (processes(nap).length < 2) await turn();
      return running;
    },
  },
  {
    name: "restore",
    async start(scene, nap, size) {
      await prepare(scene, "", cached(size, `sleep ${nap}`)); // it cannot end before the signal comes
      await scene.ok(BUILD);
      const running = scene.start(BUILD);
      await running.until(/===> RESTORING/);
      return running;
    },
  },
  {
    name: "build",
    async start(scene, nap) {
      await prepare(scene, "", NAP(nap));
      const running = scene.start(BUILD);
      await running.until(/napping/);
      while (processes(nap).length < 2) await turn();
      return running;
    },
  },
  {
    name: "export",
    async start(scene, _nap, size) {
      await prepare(scene, "", cached(size));
      const running = scene.start(BUILD);
      await running.until(/===> EXPORTING/);
      return running;
    },
  },
];

/** Lets other work go on; not a pause. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Numbers of processes that have `text` in their command line. */
function processes(text: string): readonly string[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => name).filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return Deno.readTextFileSync(`/proc/${name}/cmdline`).includes(text);
    } catch {
      return false; // it has ended
    }
  });
}

async function names(dir: string): Promise<readonly string[]> {
  return await Array.fromAsync(Deno.readDir(dir), ({ name }) => name).catch(() => []);
}

let naps = 70000;
for (const phase of PHASES) {
  for (const signal of Object.keys(SIGNALS) as Signal[]) {
    Deno.test(`${signal} in ${phase.name}: nothing is left, the next build works`, async () => {
      // An export may be over before the signal comes, where the machine is busy: then a larger one.
      let size = 24_000_000;
      while (!await isStopped(phase, signal, size)) size *= 4;
    });
  }
}

/** Stops a build and looks at what is left; `false` when it was over before. */
async function isStopped(phase: Phase, signal: Signal, size: number): Promise<boolean> {
  await using scene = await makeScene();
  const nap = `${++naps}.${Deno.pid}`;
  const running = await phase.start(scene, nap, size);
  const before = await names(`${scene.store}/ingest`);
  assert(before.length <= 2);
  try {
    running.kill(signal);
  } catch {
    // it has ended: see below
  }
  const outcome = await running.ended;
  await running[Symbol.asyncDispose]?.();
  const may = phase.name === "export" && size < 1e9;
  if (outcome.code === 0 && may) return false;
  if (signal === "SIGKILL") {
    assert.equal(outcome.code, SIGNALS[signal]);
    // The kernel ends what the build started; that is soon, not at once.
    while (processes(nap).length > 0 || processes(scene.dir).length > 0) await turn();
  } else {
    assertOneError(outcome, SIGNALS[signal], new RegExp(`Stopped by ${signal}`));
    assert.deepEqual(processes(nap), []);
    assert.deepEqual(processes(scene.dir), []);
    assert.deepEqual(await names(`${scene.store}/work`), [], "work directories");
    assert.deepEqual(await names(`${scene.store}/ingest`), [], "half-written blobs");
  }
  assert(!Deno.readTextFileSync("/proc/mounts").includes(scene.dir), "mounts");
  const { length } = await scene.json<unknown[]>(["ls"]);
  if (length > 0 && may) return false;
  assert.equal(length, phase.name === "restore" ? 1 : 0, "no name of an image");

  await prepare(scene);
  const next = await scene.json(BUILD);
  assert.match(next.digest, /^sha256:/);
  assert.deepEqual(await names(`${scene.store}/work`), [], "what a killed build left is gone");
  await scene.ok(["copy", "store:image", "oci:checked"]);
  // Files that nobody holds go when they are a minute old.
  for (const name of await names(`${scene.store}/ingest`)) {
    const past = new Date(Date.now() - 120_000);
    await Deno.utime(`${scene.store}/ingest/${name}`, past, past);
  }
  await scene.ok(["rm", "image"]); // collects
  assert.deepEqual(await names(`${scene.store}/ingest`), [], "half-written blobs");
  return true;
}
