/** The phases read through the mirrors of this machine, as every other command does. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { quietContext } from "../../registry/context.ts";
import { type MemoryRegistry, memoryRegistry } from "../../registry/memory.ts";
import { OciError } from "../../registry/oci/error.ts";
import { pushSampleImage } from "../../registry/registry_suite_testing.ts";
import { parseListen, serve } from "../../registry/server/serve.ts";
import { createServer, type Judgement } from "../../registry/server/server.ts";
import type { Io } from "../io.ts";
import { openRegistries } from "./registry_images.ts";
import { runPhase } from "./run_lifecycle.ts";

/** A registry on this machine that remembers what it was asked. */
interface Asked extends AsyncDisposable {
  readonly host: string;
  readonly place: MemoryRegistry;
  /** `METHOD path` of requests below a repository. */
  readonly calls: string[];
}

async function start(user?: string): Promise<Asked> {
  const place = memoryRegistry();
  const refused: Judgement = {
    kind: "refuse",
    user: undefined,
    error: new OciError("UNAUTHORIZED", "who?"),
    headers: { "www-authenticate": 'Basic realm="mirror"' },
  };
  const calls: string[] = [];
  const server = createServer(place, {
    onRequest: ({ method, path }) => {
      if (path !== "/v2/") calls.push(`${method} ${path.replace(/\?.*/, "")}`);
    },
    authorize: (request) =>
      Promise.resolve(
        user === undefined || request.headers.get("authorization") === `Basic ${btoa(user)}`
          ? { kind: "allow", user, registry: place }
          : refused,
      ),
  });
  const listening = await serve(server, { listen: parseListen("127.0.0.1:0") });
  return {
    host: listening.url.replace("http://", ""),
    place,
    calls,
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

/** A home whose settings have these mirrors, by prefix. */
async function homeWith(
  mirrors: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { readonly io: Io; readonly dir: string; said(): string }> {
  const dir = await Deno.makeTempDir();
  await Deno.mkdir(join(dir, ".config/wherry"), { recursive: true });
  await Deno.writeTextFile(
    join(dir, ".config/wherry/config.toml"),
    Object.entries(mirrors).map(([prefix, endpoint]) =>
      `[[mirror]]\nprefix = "${prefix}"\nendpoints = ["${endpoint}"]\n`
    ).join("\n"),
  );
  let text = "";
  const sink = {
    write: (chunk: string | Uint8Array) => void (text += String(chunk)),
    isTerminal: false,
    columns: () => 80,
  };
  const io: Io = {
    args: [],
    env: { HOME: dir, CNB_NO_COLOR: "true", CNB_PLATFORM_API: "0.13", CNB_RUN_PATH: "/nowhere" },
    cwd: dir,
    user: { uid: Deno.uid()!, gid: Deno.gid()! },
    stdout: sink,
    stderr: sink,
    signal: new AbortController().signal,
  };
  return {
    io,
    dir,
    said: () => text,
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

Deno.test("C-MIRROR analyzer: the run image comes from its mirror, what is written is asked itself", async () => {
  await using mirror = await start();
  await using target = await start();
  const run = await pushSampleImage(mirror.place, "hub/someone/run", { tags: ["1"] });
  await pushSampleImage(target.place, "team/app", { tags: ["latest"] });
  // The mirror of the target has another app: an old one, say.
  await pushSampleImage(mirror.place, "old/team/app", { seed: 9, tags: ["latest"] });
  await using home = await homeWith({
    "docker.io": `${mirror.host}/hub`,
    [target.host]: `${mirror.host}/old`,
  });
  const layers = join(home.dir, "layers");
  await Deno.mkdir(layers);
  const words = ["-layers", layers, "-run-image", "someone/run:1"];
  if (Deno.uid() === 0) words.push("-uid", "0", "-gid", "0");
  const code = await runPhase(home.io, "analyze", [...words, `${target.host}/team/app`]);
  assert.equal(code, 0, home.said());
  const analyzed = await Deno.readTextFile(join(layers, "analyzed.toml"));
  assert.match(analyzed, new RegExp(`"index.docker.io/someone/run@${run.digest}"`));
  assert.ok(mirror.calls.includes("GET /v2/hub/someone/run/manifests/1"), mirror.calls.join());
  assert.ok(!mirror.calls.some((call) => call.includes("/old/")), mirror.calls.join());
  assert.ok(target.calls.includes("POST /v2/team/app/blobs/uploads/"), target.calls.join());
});

Deno.test("C-MIRROR, PRIV-2 the secret of a mirror is looked up before rights are given up", async () => {
  await using mirror = await start("mia:pass");
  await pushSampleImage(mirror.place, "hub/someone/run", { tags: ["1"] });
  await using home = await homeWith({ "docker.io": `${mirror.host}/hub` });
  const file = join(home.dir, ".docker/config.json");
  await Deno.mkdir(join(home.dir, ".docker"));
  await Deno.writeTextFile(
    file,
    JSON.stringify({ auths: { [mirror.host]: { auth: btoa("mia:pass") } } }),
  );
  await using images = await openRegistries({
    io: home.io,
    log: quietContext().log,
    insecure: [],
    names: ["someone/run:1"],
    written: [],
  });
  await Deno.remove(file);
  assert.equal(await images.readable("someone/run:1"), true);
});

Deno.test("C-MIRROR a phase reads the repository it writes from the place itself", async () => {
  await using mirror = await start();
  await using target = await start();
  await pushSampleImage(target.place, "app", { seed: 1, tags: ["1", "2"] });
  await pushSampleImage(mirror.place, "app", { seed: 2, tags: ["1", "2"] });
  await using home = await homeWith({ [target.host]: mirror.host });
  for (const written of [[`${target.host}/app:1`], []]) {
    await using images = await openRegistries({
      io: home.io,
      log: quietContext().log,
      insecure: [],
      names: [`${target.host}/app:2`],
      written,
    });
    const { registry, repository, reference } = await images.open(`${target.host}/app:2`);
    const found = await registry.stat(repository, reference);
    const holder = written.length > 0 ? target : mirror;
    assert.equal(found?.digest, (await holder.place.stat("app", "2"))?.digest);
  }
});
