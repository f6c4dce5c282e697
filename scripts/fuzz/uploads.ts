/** Uploads to the server against a model: whatever the order of chunks, what is published is what was named. */
import assert from "node:assert/strict";
import { memoryRegistry } from "../../registry/memory.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { createServer } from "../../registry/server/server.ts";
import { openStore } from "../../registry/store/store.ts";
import { type Next, pick, rounds } from "./seeded.ts";
import type { Span } from "../../registry/span_testing.ts";

/** An upload as the model sees it. */
interface Upload {
  readonly repository: string;
  location: string;
  bytes: Uint8Array<ArrayBuffer>;
}

const REPOSITORIES = ["a", "a/b", "blobs/uploads"];

/** Over memory and over a store; a store is used for many rounds. */
export async function fuzzUploads(span: Span, seed: number): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-fuzz-" });
  try {
    await using store = await openStore(`${dir}/store`);
    let log: unknown[] = [];
    const count = await rounds(
      span,
      seed,
      async (next) => {
        log = [];
        await oneRun(next, next(2) === 0 ? store : memoryRegistry(), log);
      },
      () => log,
      10_000,
    );
    const left = await Array.fromAsync(Deno.readDir(`${dir}/store`));
    assert.ok(left.length > 0);
    return count;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function oneRun(
  next: Next,
  place: Parameters<typeof createServer>[0],
  log: unknown[],
): Promise<void> {
  const faults: unknown[] = [];
  const server = createServer(place, { onError: (error) => faults.push(error) });
  const call = async (
    method: string,
    path: string,
    body?: Uint8Array<ArrayBuffer>,
    headers: Record<string, string> = {},
  ) => {
    const response = await server.fetch(
      new Request(`http://registry.test${path}`, {
        method,
        body: body ?? null,
        headers: body === undefined
          ? headers
          : { "content-length": String(body.length), ...headers },
      }),
    );
    log.push([method, path.slice(0, 200), body?.length, headers, response.status]);
    assert.ok(response.status < 500, `status ${response.status}: ${faults}`);
    return { response, bytes: new Uint8Array(await response.arrayBuffer()) };
  };
  const open: Upload[] = [];
  const published = new Map<string, Uint8Array>();
  const gone: Upload[] = [];
  const salt = next(2 ** 31);
  for (let steps = 4 + next(20); steps > 0; steps--) {
    const upload = open.length > 0 ? pick(next, open) : undefined;
    const chunk = Uint8Array.from({ length: next(5) === 0 ? 0 : next(300) }, (_, at) => at * salt);
    const act = next(8);
    if (upload === undefined || act === 0) {
      const repository = pick(next, REPOSITORIES);
      const { response } = await call("POST", `/v2/${repository}/blobs/uploads/`);
      assert.equal(response.status, 202);
      const location = response.headers.get("location")!;
      open.push({ repository, location, bytes: new Uint8Array() });
    } else if (act <= 3) {
      // In order, out of order, overlapping, with or without saying where; a range that lies about its length.
      const from = pick(next, [
        upload.bytes.length,
        upload.bytes.length,
        0,
        upload.bytes.length + 1,
      ]);
      const says = next(3) > 0;
      const lies = says && next(6) === 0 ? 1 : 0;
      const range = `${from}-${from + chunk.length - 1 + lies}`;
      const { response } = await call(
        "PATCH",
        upload.location,
        chunk,
        says ? { "content-range": range } : {},
      );
      if (response.status === 202) {
        if (says && chunk.length > 0) {
          assert.equal(from, upload.bytes.length, "out of order was taken");
        }
        if (says && chunk.length > 0) assert.equal(lies, 0, "a range that lies was taken");
        upload.bytes = joined(upload.bytes, chunk);
        upload.location = response.headers.get("location")!;
      } else {
        assert.ok(says, `a plain chunk was refused with ${response.status}`);
        assert.ok([400, 416].includes(response.status));
      }
    } else if (act === 4) {
      const { response } = await call("GET", upload.location);
      assert.equal(response.status, 204);
      assert.equal(response.headers.get("range"), `0-${Math.max(0, upload.bytes.length - 1)}`);
    } else if (act === 5) {
      await call("DELETE", upload.location);
      drop(upload);
    } else if (act === 6 && next(2) === 0) {
      // In another repository it is not there, whoever names it.
      const other = REPOSITORIES.find((name) => name !== upload.repository)!;
      const path = upload.location.replace(`/v2/${upload.repository}/`, `/v2/${other}/`);
      const { response } = await call("PATCH", path, chunk);
      assert.equal(response.status, 404);
    } else {
      const whole = next(2) === 0 ? joined(upload.bytes, chunk) : upload.bytes;
      const last = whole === upload.bytes ? undefined : chunk;
      const right = next(4) > 0;
      const digest = digestOf(right ? whole : joined(whole, Uint8Array.of(1)));
      const sign = upload.location.includes("?") ? "&" : "?";
      const { response } = await call("PUT", `${upload.location}${sign}digest=${digest}`, last);
      assert.equal(response.status, right ? 201 : 400);
      if (right) published.set(`${upload.repository} ${digest}`, whole);
      drop(upload);
    }
    if (gone.length > 0 && next(4) === 0) {
      const { response } = await call("PATCH", pick(next, gone).location, chunk);
      assert.equal(response.status, 404, "an upload that is over was gone on with");
    }
  }
  for (const [name, bytes] of published) {
    const [repository, digest] = name.split(" ");
    const { response, bytes: got } = await call("GET", `/v2/${repository}/blobs/${digest}`);
    assert.equal(response.status, 200);
    assert.deepEqual(got, bytes);
  }
  for (const { location } of open) await call("DELETE", location);

  function drop(upload: Upload): void {
    open.splice(open.indexOf(upload), 1);
    gone.push(upload);
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
