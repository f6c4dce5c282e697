/** Mixed pushes, pulls, deletes and collections from many processes at once; then a look at what is there. */
import { join } from "node:path";
import { connectRegistry } from "../../registry/client/client.ts";
import { childrenOf, parseDocument } from "../../registry/oci/manifest.ts";
import type { Registry } from "../../registry/registry.ts";
import { readAll } from "../../registry/source.ts";
import { serve } from "../../registry/server/serve.ts";
import { createServer } from "../../registry/server/server.ts";
import { checkStore } from "../../registry/store/fsck.ts";
import { openStore } from "../../registry/store/store.ts";

/** What a soak came to. */
export interface SoakReport {
  /** Everything that was not as it must be; empty is good. */
  readonly wrong: readonly string[];
  /** Acts of all workers that lived to count them. */
  readonly turns: number;
  /** Changes of names that were acknowledged. */
  readonly acknowledged: number;
  /** Names at the end. */
  readonly tags: number;
  /** Workers killed in the act. */
  readonly killed: number;
  /** Pushes that took longer than the grace time and had to start again. */
  readonly slow: number;
  /** Manifests and blobs that the last collection found. */
  readonly collected: number;
}

/** An hour of the store's clock in twelve seconds. */
const SPEED = 300;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;
const WORKER = new URL("./soak_worker_testing.ts", import.meta.url).pathname;

/** What a name may stand for: what was acknowledged last, and what was begun since. */
interface Expected {
  settled: string;
  begun: string[];
}

/** Soaks for `seconds` with `workers` of each kind; the same `seed` chooses the same acts. */
export async function soak(
  options: { readonly seconds: number; readonly seed: number; readonly workers?: number },
): Promise<SoakReport> {
  const { seconds, seed, workers = 2 } = options;
  const top = await Deno.makeTempDir();
  const dir = join(top, "store");
  const run = new Run(dir, seed, Date.now() + seconds * 1000);
  try {
    await (await openStore(dir))[Symbol.asyncDispose]();
    const server = await run.server();
    const all: Promise<void>[] = [];
    for (let at = 0; at < workers; at++) {
      all.push(run.worker(server.url, `http${at}`));
      all.push(run.mortal(`store${at}`));
    }
    await Promise.all(all);
    await server.end();
    await run.judge();
    return run.report();
  } finally {
    await Deno.remove(top, { recursive: true });
  }
}

class Run {
  readonly #dir: string;
  readonly #seed: number;
  readonly #end: number;
  readonly #names = new Map<string, Expected>();
  readonly #wrong: string[] = [];
  #turns = 0;
  #acknowledged = 0;
  #tags = 0;
  #killed = 0;
  #slow = 0;
  #collected = 0;
  #spawned = 0;

  constructor(dir: string, seed: number, end: number) {
    this.#dir = dir;
    this.#seed = seed;
    this.#end = end;
  }

  report(): SoakReport {
    return {
      wrong: this.#wrong,
      turns: this.#turns,
      acknowledged: this.#acknowledged,
      tags: this.#tags,
      killed: this.#killed,
      slow: this.#slow,
      collected: this.#collected,
    };
  }

  async server(): Promise<{ url: string; end(): Promise<void> }> {
    const child = this.#spawn("server", "server");
    const lines = linesOf(child.stdout);
    const first = await lines.next();
    const rest = (async () => {
      for await (const line of lines) this.#wrong.push(line);
    })();
    return {
      url: String(first.value),
      end: async () => {
        await child.stdin.close();
        await rest;
        const { code } = await child.status;
        if (code !== 0) this.#wrong.push(`the server ended with ${code}`);
      },
    };
  }

  /** A worker that lives to the end. */
  async worker(role: string, name: string): Promise<void> {
    const child = this.#spawn(role, name);
    await child.stdin.close();
    await this.#follow(child);
    const { code } = await child.status;
    if (code !== 0) this.#wrong.push(`${name} ended with ${code}`);
  }

  /** Workers that are killed in the act, one after the other, each with names of its own. */
  async mortal(name: string): Promise<void> {
    for (let life = 0; Date.now() < this.#end; life++) {
      const child = this.#spawn("store", `${name}-${life}`);
      await child.stdin.close();
      const left = this.#end - Date.now();
      const span = 2000 + (this.#seed * 7919 + life * 104_729) % 3000;
      const timer = left < span + 2000 ? undefined : setTimeout(() => {
        this.#killed++;
        child.kill("SIGKILL");
      }, span);
      await this.#follow(child);
      clearTimeout(timer);
      const { code } = await child.status;
      if (code !== 0 && timer === undefined) this.#wrong.push(`${name} ended with ${code}`);
    }
  }

  #spawn(role: string, name: string): Deno.ChildProcess {
    const numbers = [this.#seed * 1000 + this.#spawned++, this.#end, SPEED].map(String);
    return new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        "--config",
        CONFIG,
        WORKER,
        role,
        this.#dir,
        name,
        ...numbers,
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
  }

  async #follow(child: Deno.ChildProcess): Promise<void> {
    let current: Expected | undefined;
    for await (const line of linesOf(child.stdout)) {
      const [word, repository, tag, digest = "-"] = line.split(" ");
      if (word === "begin") {
        const key = `${repository} ${tag}`;
        current = this.#names.get(key) ?? { settled: "-", begun: [] };
        current.begun.push(digest);
        this.#names.set(key, current);
      } else if (word === "done" && current !== undefined) {
        current.settled = current.begun.at(-1)!;
        current.begun = [];
        this.#acknowledged++;
      } else if (word === "turns") this.#turns += Number(repository);
      else if (word === "slow") this.#slow++;
      else this.#wrong.push(line);
    }
  }

  /** All is quiet: what was acknowledged is there, whole, the same from every side, and nothing else is. */
  async judge(): Promise<void> {
    await using store = await openStore(this.#dir);
    const { manifests, blobs } = await store.gc({ graceMs: -1 });
    this.#collected = manifests + blobs;
    const listening = await serve(createServer(store), {
      listen: { hostname: "127.0.0.1", port: 0 },
    });
    await using client = connectRegistry(listening.url.slice("http://".length));
    for (const [key, { settled, begun }] of this.#names) {
      const [repository = "", tag = ""] = key.split(" ");
      const digest = (await store.stat(repository, tag))?.digest ?? "-";
      if (digest !== settled && !begun.includes(digest)) {
        this.#wrong.push(`${key} is ${digest}, was acknowledged as ${settled}, begun ${begun}`);
      }
      if (digest === "-") continue;
      this.#tags++;
      await this.#whole(store, repository, tag);
      if (await this.#whole(client, repository, tag) !== digest) {
        this.#wrong.push(`${key} is another one over HTTP`);
      }
    }
    await listening.shutdown();
    const report = await checkStore(this.#dir, {
      onFinding: ({ kind, subject, problem }) =>
        this.#wrong.push(`${kind}: ${subject}: ${problem}`),
    });
    if (report.contents === 0) this.#wrong.push("nothing was checked");
  }

  async #whole(registry: Registry, repository: string, tag: string): Promise<string | undefined> {
    const raw = await registry.manifest(repository, tag);
    for (
      const child of raw === undefined ? [] : childrenOf(parseDocument(raw.bytes, raw.mediaType))
    ) {
      const source = await registry.blob(repository, child.digest);
      if (source === undefined) this.#wrong.push(`${repository}:${tag} lacks ${child.digest}`);
      else await readAll(source, child.size);
    }
    return raw?.digest;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? ""; // half a line of a killed process says nothing
    yield* lines;
  }
}
