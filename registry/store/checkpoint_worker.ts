/// <reference lib="deno.worker" />
/** Folds the log of a store's database into its main file. Runs in a worker, because SQLite waits for the disk. */
import { DatabaseSync } from "node:sqlite";

/** What the database sends: once where its file is, then that it is time; at last that there is no more to do. */
export type CheckpointJob = { readonly path: string } | { readonly end: boolean };

/** What the worker answers to each time, and to the end. */
export interface CheckpointAnswer {
  /** Pages in the log. */
  readonly log: number;
  /** Pages of it that are in the main file. */
  readonly done: number;
  /** Why it did not work. */
  readonly error?: string | undefined;
}

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<CheckpointJob>) => void;
  postMessage(answer: CheckpointAnswer): void;
  close(): void;
};

let path = "";
let db: DatabaseSync | undefined;

scope.onmessage = ({ data }) => {
  if ("path" in data) {
    path = data.path;
    return;
  }
  try {
    if (data.end) db?.close();
    scope.postMessage(data.end ? { log: 0, done: 0 } : fold());
  } catch (error) {
    scope.postMessage({ log: 0, done: 0, error: String(error) });
  }
  if (data.end) scope.close();
};

function fold(): CheckpointAnswer {
  if (db === undefined) {
    db = new DatabaseSync(path);
    db.exec("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0");
  }
  const said = db.prepare("PRAGMA wal_checkpoint(PASSIVE)").get() as Record<string, unknown>;
  // Another process is at it, then.
  if (said["busy"] !== 0) return { log: 0, done: 0 };
  return { log: Number(said["log"]), done: Number(said["checkpointed"]) };
}
