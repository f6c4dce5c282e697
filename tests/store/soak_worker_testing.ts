/**
 * One process of the soak (tests/soak.ts): `ROLE DIR NAME SEED END_MS SPEED`. ROLE is `server`, `store` (works on the
 * directory itself) or the address of a server. A worker prints `begin <repository> <tag> <digest or ->` before it
 * changes a name of its own, `done` when that was acknowledged, `wrong <what>` when an answer is not what it must be.
 */
import { connectRegistry } from "../../registry/client/client.ts";
import { encodeJson } from "../../registry/image.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { isOciError } from "../../registry/oci/error.ts";
import { childrenOf, parseDocument } from "../../registry/oci/manifest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import type { Registry } from "../../registry/registry.ts";
import { pushBytes, sampleBytes } from "../../registry/registry_suite_testing.ts";
import { readAll } from "../../registry/source.ts";
import { serve } from "../../registry/server/serve.ts";
import { createServer } from "../../registry/server/server.ts";
import { openStore, type Store } from "../../registry/store/store.ts";

const REPOSITORIES = ["soak/a", "soak/b"];
/** Layers come from a small set, so that everybody shares, removes and needs again what others have. */
const POOL = 24;
/** Of one client, which remembers what it saw: much less than the grace time, which is 12 s here. */
const LIFE_MS = 4000;

/** Slower than this, in true milliseconds, a push may find its blobs collected, or those that its client remembers. */
const SLOW_MS = 5000;

const [role = "", dir = "", name = "", seedText = "", endText = "", speedText = ""] = Deno.args;
const end = Number(endText);
const speed = Number(speedText);
/** Hours pass in seconds; at the end it is now, so that no file is ever from the future. */
const clock = () => new Date(end - (end - Date.now()) * speed);

const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

let state = Number(seedText) * 2654435761 >>> 0;
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor(state / 2 ** 32 * below);
}

function layerBytes(at: number): Uint8Array<ArrayBuffer> {
  return sampleBytes(at % 3 === 0 ? 100 + at : 66_000 + at * 5003, at + 1);
}

async function push(registry: Registry, repository: string, tag: string): Promise<void> {
  const layers: Descriptor[] = [];
  const pool = [random(POOL), random(POOL)];
  const config = encodeJson({ os: "linux", architecture: "amd64", config: { Labels: { tag } } });
  const manifest = {
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: {
      mediaType: MediaType.ociConfig,
      digest: digestOf(config),
      size: config.byteLength,
    },
    layers,
  };
  for (const at of pool) {
    layers.push(await pushBytes(registry, repository, layerBytes(at), MediaType.ociLayer));
  }
  await pushBytes(registry, repository, config, MediaType.ociConfig);
  const bytes = encodeJson(manifest);
  say(`begin ${repository} ${tag} ${digestOf(bytes)}`);
  await registry.pushManifest(repository, { mediaType: MediaType.ociManifest, bytes }, {
    tags: [tag],
  });
  own.set(`${repository} ${tag}`, digestOf(bytes));
  say("done");
}

/** What this worker was told is there. */
const own = new Map<string, string>();

async function read(registry: Registry, key: string, mine: boolean): Promise<void> {
  const [repository = "", tag = ""] = key.split(" ");
  const raw = await registry.manifest(repository, tag);
  if (mine && raw?.digest !== own.get(key)) {
    say(`wrong ${key} is ${raw?.digest}, want ${own.get(key)}`);
    return;
  }
  if (raw === undefined) return;
  for (const child of childrenOf(parseDocument(raw.bytes, raw.mediaType))) {
    const source = await registry.blob(repository, child.digest);
    if (source !== undefined) await readAll(source, child.size); // verified to its end
    else if (mine) say(`wrong ${key} lacks ${child.digest}`);
    else if ((await registry.stat(repository, tag))?.digest === raw.digest) {
      // Nobody removed it meanwhile, so it must be whole.
      if (await registry.blob(repository, child.digest) === undefined) {
        say(`wrong ${key} is not whole`);
      }
    }
  }
}

async function remove(registry: Registry, key: string): Promise<void> {
  const [repository = "", tag = ""] = key.split(" ");
  say(`begin ${repository} ${tag} -`);
  if ("release" in registry && random(2) === 0) {
    await (registry as Store).release(repository, tag);
  } else await registry.deleteManifest(repository, tag);
  own.delete(key);
  say("done");
}

async function turn(registry: Registry, count: number): Promise<void> {
  const repository = REPOSITORIES[random(2)]!;
  const keys = [...own.keys()];
  const mine = keys[random(keys.length)];
  const what = random(100);
  if (what < 40 || mine === undefined) {
    const started = Date.now();
    const tag = `${name}-${random(20)}`;
    try {
      await push(registry, repository, tag);
    } catch (error) {
      if (!isOciError(error, "MANIFEST_BLOB_UNKNOWN") || Date.now() - started < SLOW_MS) {
        throw error;
      }
      say("slow");
    }
  } else if (what < 65) await read(registry, mine, true);
  else if (what < 75) {
    const tags: string[] = [];
    for await (const tag of registry.tags(repository)) tags.push(tag);
    const missing = keys.filter((key) => key.startsWith(`${repository} `))
      .filter((key) => !tags.includes(key.split(" ")[1]!));
    if (missing.length > 0) say(`wrong ${missing.join(", ")} not listed`);
    const other = tags[random(tags.length)];
    if (other !== undefined) await read(registry, `${repository} ${other}`, false);
  } else if (what < 90) await remove(registry, mine);
  else if ("gc" in registry && count % 3 === 0) {
    await (registry as Store).gc({ graceMs: random(2) === 0 ? 0 : undefined });
  }
}

async function work(registry: Registry, until = end): Promise<void> {
  let turns = 0;
  while (Date.now() < until) {
    // Whoever pushes says so: what it looks at first must be there when it comes to the manifest.
    await using _lease = "lease" in registry ? await (registry as Store).lease() : undefined;
    await turn(registry, turns++);
  }
  say(`turns ${turns}`);
}

try {
  if (role === "server") {
    await using store = await openStore(dir, { now: clock });
    const listening = await serve(
      createServer(store, { locate: (digest) => store.locate(digest) }),
      { listen: { hostname: "127.0.0.1", port: 0 } },
    );
    say(listening.url);
    for await (const _ of Deno.stdin.readable); // ends when the soak closes it
    await listening.shutdown();
  } else if (role === "store") {
    await using store = await openStore(dir, { now: clock });
    await work(store);
  } else {
    // A client remembers what it saw in a registry for as long as it lives; hours of these clocks are too long for that.
    while (Date.now() < end) {
      await using registry = connectRegistry(role.slice("http://".length));
      await work(registry, Math.min(end, Date.now() + LIFE_MS));
    }
  }
} catch (error) {
  say(
    `wrong ${name}: ${String(error).replaceAll("\n", " ")} ${
      (error as Error).stack?.split("\n")[1] ?? ""
    }`,
  );
}
