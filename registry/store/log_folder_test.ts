import { equal, ok } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { tempDir } from "../temp_testing.ts";
import { LogFolder } from "./log_folder.ts";

async function inDatabase(
  test: (db: DatabaseSync, path: string, limits: number[]) => Promise<void>,
): Promise<void> {
  await using temp = await tempDir();
  const dir = temp.path;
  const db = new DatabaseSync(`${dir}/metadata.db`);
  db.exec("PRAGMA journal_mode = WAL; CREATE TABLE x (bytes BLOB)");
  await test(db, `${dir}/metadata.db`, []);
  equal(JSON.stringify(db.prepare("PRAGMA integrity_check").all()), '[{"integrity_check":"ok"}]');
  db.close();
  ok(!await there(`${dir}/metadata.db-wal`), "nobody else has it open");
}

async function there(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

const sizeOf = async (path: string) => (await Deno.stat(path)).size;

Deno.test("ST-05 the log is folded by another thread; where it cannot be to its end, nobody writes for a moment", async () => {
  await inDatabase(async (db, path, limits) => {
    const sizes = { startAfter: 100, every: 10, pauseAt: 50 };
    const folder = new LogFolder(path, (pages) => limits.push(pages), sizes);
    db.exec("PRAGMA wal_autocheckpoint = 0");
    const insert = db.prepare("INSERT INTO x VALUES (zeroblob(10000))");
    const write = (acts: number) => {
      for (let act = 0; act < acts; act++) {
        insert.run();
        folder.written(1);
      }
    };
    const before = await sizeOf(path);
    write(90);
    const reader = new DatabaseSync(path);
    reader.exec("BEGIN; SELECT count(*) FROM x"); // what comes behind it stays in the log
    equal(await sizeOf(path), before, "not for a few");
    write(10);
    while (folder.pause === undefined) await new Promise((resolve) => setTimeout(resolve));
    await folder.pause;
    equal(folder.pause, undefined);
    reader.close();
    ok(await sizeOf(path) > 80 * 10_000, "what could be folded is in the main file");
    await folder.close();
    await folder.close();
    equal(limits.length, 2, "once by itself, then only where the thread falls behind");
    equal(db.prepare("SELECT * FROM x").all().length, 100);
  });
});

Deno.test("ST-05 a log that no thread can fold is folded by the one that writes", async () => {
  await inDatabase(async (_, path, limits) => {
    const sizes = { startAfter: 1, every: 1, pauseAt: 1 };
    const folder = new LogFolder(`${path}/none`, (pages) => limits.push(pages), sizes);
    folder.written(1);
    await folder.close();
    folder.written(1);
    equal(folder.pause, undefined);
    equal(limits[0], limits.at(-1));
    equal(limits.length, 3);
  });
});
