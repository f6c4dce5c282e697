import { deepEqual, equal, rejects } from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { makeImage, pushImage } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { OciError } from "../../registry/oci/error.ts";
import { openBase } from "./rebase_base.ts";

Deno.test("RB-3 opening a base is tried six times, unless the registry plainly refuses", async () => {
  const ctx = quietContext();
  const memory = memoryRegistry();
  const rootfs = { type: "layers" as const, diff_ids: [] };
  const empty = makeImage({ os: "linux", architecture: "amd64", config: {}, rootfs }, []);
  await pushImage(empty, memory, "run", { tags: ["empty"] });
  const open = (reference: string, answers: readonly (OciError | undefined)[]) => {
    const pauses: number[] = [];
    let asked = 0;
    const registry: Parameters<typeof openBase>[0]["registry"] = {
      stat: (...args) => memory.stat(...args),
      blob: (...args) => memory.blob(...args),
      manifest: async (...args) => {
        const answer = answers[asked++];
        if (answer !== undefined) throw answer;
        return await memory.manifest(...args);
      },
    };
    const place = { registry, repository: "run", reference, name: "run", repositoryName: "run" };
    const wait = (ms: number) => Promise.resolve(void pauses.push(ms));
    const opening = openBase(place, ctx, { wait });
    return { opening, pauses, asked: () => asked };
  };
  const later = open("empty", [
    new OciError("UNAVAILABLE", "down"),
    new OciError("UNAVAILABLE", "down"),
  ]);
  const base = await later.opening;
  deepEqual(later.pauses, [100, 200]);
  await rejects(() => base.image({ os: "linux", architecture: "amd64" }), /it has no layer/);
  deepEqual(
    later.pauses,
    [100, 200, 100, 200, 500, 1000, 2000],
    "that it has a layer belongs to it",
  );
  const never = open("absent", []);
  await rejects(never.opening, /Cannot find run image "run"/);
  deepEqual(never.pauses, [100, 200, 500, 1000, 2000]);
  equal(never.asked(), 6);
  for (const status of [400, 401, 403, 405, 429]) {
    const refused = open("empty", [new OciError("UNAVAILABLE", "no", { status })]);
    await rejects(refused.opening, /no/);
    equal(refused.asked(), 1, String(status));
  }
});
