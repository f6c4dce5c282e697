import { notYet } from "./not_yet.ts";
import type { Store, StoreOptions } from "./store.ts";

/** The store over plain files. */
export class FileStore {
  /** Opens it. */
  static open(_dir: string, _options: StoreOptions): Promise<Store> {
    return notYet("open store");
  }
}
