import assert from "node:assert/strict";
import { digestOf } from "../oci/digest.ts";
import { bytesSource, readAll } from "../source.ts";
import { tempDir } from "../temp_testing.ts";
import { openStore } from "./store.ts";

/** Counts what is synced while `act` runs. */
async function syncsOf(act: () => Promise<void>): Promise<number> {
  const { sync, syncData } = Deno.FsFile.prototype;
  let count = 0;
  Deno.FsFile.prototype.sync = function () {
    count++;
    return sync.call(this);
  };
  Deno.FsFile.prototype.syncData = function () {
    count++;
    return syncData.call(this);
  };
  try {
    await act();
  } finally {
    Object.assign(Deno.FsFile.prototype, { sync, syncData });
  }
  return count;
}

Deno.test("ST-05 a store that ends with its process syncs nothing it is given, any other does", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const bytes = new Uint8Array(2_000_000).fill(7);
  const blob = { mediaType: "x", digest: digestOf(bytes), size: bytes.byteLength };
  const fill = (name: string, temporary: boolean) => async () => {
    await using store = await openStore(`${dir}/${name}`, { temporary });
    const upload = await store.upload("a");
    for (let at = 0; at < 5; at++) {
      await upload.write(bytes.subarray(at * 400_000, (at + 1) * 400_000));
    }
    await upload.commit(blob.digest);
    await store.pushBlob("b", blob, bytesSource(bytes), {});
    const source = await store.blob("b", blob.digest);
    assert.deepEqual(await readAll(source!, bytes.byteLength), bytes);
  };
  const opened = await syncsOf(async () => {
    await using _ = await openStore(`${dir}/empty`, { temporary: true });
  });
  assert.equal(await syncsOf(fill("temporary", true)), opened);
  assert(await syncsOf(fill("lasting", false)) > opened + 2);
});
