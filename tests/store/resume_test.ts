/** A pull whose process is killed half way: the next one reads the rest only (C-DL-03). */
import { equal, ok } from "node:assert/strict";
import { join } from "node:path";
import {
  dockerRegistry,
  startDockerRegistry,
} from "../../registry/client/docker_registry_testing.ts";
import { connectRegistry } from "../../registry/client/client.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { pushSampleImage, sampleBytes } from "../../registry/registry_suite_testing.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { readAll } from "../../registry/source.ts";
import { createServer } from "../../registry/server/server.ts";
import { parseListen, serve } from "../../registry/server/serve.ts";
import { openStore } from "../../registry/store/store.ts";
import { tempDir } from "../../registry/temp_testing.ts";

const SIZE = 24_000_000;
const CUT = 10_000_000;

/** A way to a registry that stands still when so many bytes have come, until it is told to go on. */
interface Narrow extends AsyncDisposable {
  readonly host: string;
  /** Resolves when it stands still. */
  readonly still: Promise<void>;
  /** From now on all comes through; returns what has come so far. */
  open(): number;
  /** Bytes that came from the registry. */
  passed(): number;
}

function narrow(to: string): Narrow {
  const [hostname = "", port = ""] = to.split(":");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const still = Promise.withResolvers<void>();
  const wide = Promise.withResolvers<void>();
  const working = new Set<Promise<void>>();
  let isWide = false;
  let passed = 0;
  const pass = async (client: Deno.TcpConn) => {
    using server = await Deno.connect({ hostname, port: Number(port) });
    const up = client.readable.pipeTo(server.writable).catch(() => {});
    const writer = client.writable.getWriter();
    try {
      for await (const chunk of server.readable) {
        passed += chunk.byteLength;
        if (!isWide && passed > CUT) {
          still.resolve();
          await wide.promise;
        }
        await writer.write(chunk);
      }
      await writer.close();
    } catch {
      // Whoever read was killed: that is what this is about.
    }
    await up;
  };
  const accepting = (async () => {
    for await (const client of listener) {
      const work: Promise<void> = pass(client).catch(() => {}).finally(() => working.delete(work));
      working.add(work);
    }
  })();
  return {
    host: `127.0.0.1:${listener.addr.port}`,
    still: still.promise,
    passed: () => passed,
    open: () => {
      isWide = true;
      wide.resolve();
      return passed;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.allSettled(working);
    },
  };
}

async function killedAndPulledAgain(registry: string): Promise<void> {
  await using temp = await tempDir();
  const dir = temp.path;
  await using way = narrow(registry);
  const pull = () =>
    new Deno.Command(Deno.execPath(), {
      args: [
        ...[
          "run",
          "-A",
          "--no-check",
          "--quiet",
          new URL("../../cli/main.ts", import.meta.url).pathname,
        ],
        ...["pull", `${way.host}/app:v1`, "--store", join(dir, "store")],
      ],
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  const first = pull();
  await way.still;
  // What has come may still be on its way to the file: a byte of it there is enough to go on from.
  await until(async () => await ingested(join(dir, "store")) > CUT / 2);
  first.kill("SIGKILL");
  await first.output();
  const before = way.open();
  const { success, stderr } = await pull().output();
  ok(success, new TextDecoder().decode(stderr));
  const again = way.passed() - before;
  ok(again < SIZE - CUT / 4, `${again} bytes came again`);
  await using store = await openStore(join(dir, "store"));
  const layer = await store.content(digestOf(sampleBytes(SIZE, 3)));
  equal((await readAll(layer!, SIZE)).byteLength, SIZE);
  await store[Symbol.asyncDispose]();
}

async function ingested(store: string): Promise<number> {
  let most = 0;
  try {
    for await (const { name } of Deno.readDir(join(store, "ingest"))) {
      most = Math.max(most, (await Deno.stat(join(store, "ingest", name))).size);
    }
  } catch {
    // not yet
  }
  return most;
}

/** Looks until it is so: what happens in another process sends no event. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

Deno.test("C-DL-03 a killed pull goes on in the next process: our own server", async () => {
  const place = memoryRegistry();
  await pushSampleImage(place, "app", { seed: 3, size: SIZE, tags: ["v1"] });
  await using listening = await serve(createServer(place), { listen: parseListen("127.0.0.1:0") });
  await killedAndPulledAgain(listening.url.slice(7));
});

Deno.test({
  name: dockerRegistry === undefined
    ? "C-DL-03 a killed pull goes on: docker-registry (skipped: it is not here)"
    : "C-DL-03 a killed pull goes on in the next process: docker-registry",
  ignore: dockerRegistry === undefined,
}, async () => {
  await using docker = await startDockerRegistry();
  {
    await using registry = connectRegistry(docker.host);
    await pushSampleImage(registry, "app", { seed: 3, size: SIZE, tags: ["v1"] });
  }
  await killedAndPulledAgain(docker.host);
});
