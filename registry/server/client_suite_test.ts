/** The suite over our client of our server: what crosses the wire both ways keeps the interface's promises. */
import { join } from "node:path";
import { connectRegistry } from "../client/client.ts";
import { memoryRegistry } from "../memory.ts";
import { type MadeRegistry, testRegistry } from "../registry_suite_testing.ts";
import { openStore } from "../store/store.ts";
import { serve } from "./serve.ts";
import { createServer } from "./server.ts";

const SKIPS = {
  "a sha512 manifest":
    "a client names manifests by tag or sha256; `digest` is for servers (registry.ts)",
};
const listen = { hostname: "127.0.0.1", port: 0 };

testRegistry("client of a server over memory", async (): Promise<MadeRegistry> => {
  const listening = await serve(createServer(memoryRegistry()), { listen });
  const registry = connectRegistry(listening.url.slice("http://".length));
  return {
    registry,
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await listening.shutdown();
    },
  };
}, SKIPS);

testRegistry("client of a server over a store", async (): Promise<MadeRegistry> => {
  const dir = await Deno.makeTempDir();
  const store = await openStore(join(dir, "store"));
  const listening = await serve(createServer(store), { listen });
  const registry = connectRegistry(listening.url.slice("http://".length));
  return {
    registry,
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await listening.shutdown();
      await store[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    },
  };
}, SKIPS);
