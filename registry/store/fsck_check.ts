/** What the parts of a check of the store share: where it is, what they may do, what they found. */
import type { Digest } from "../oci/digest.ts";
import { BlobFiles } from "./blob_files.ts";
import { hashFile } from "./hash_file.ts";
import { Quarantine } from "./quarantine.ts";

/** What can be wrong. */
export type FindingKind =
  /** The database is damaged. */
  | "metadata"
  /** Bytes that are not what their digest says. */
  | "digest"
  /** More or fewer bytes than recorded. */
  | "size"
  /** A record whose bytes are gone. */
  | "absent"
  /** A file that no record knows; a crash may leave one, and a collection takes it. */
  | "orphan"
  /** A name that leads nowhere. */
  | "dangling"
  /** An image without something it needs. */
  | "child"
  /** Others may read or change what is ours alone, or it is not ours. */
  | "mode"
  /** Something that does not belong there, like a symbolic link. */
  | "foreign";

/** One thing that is not as it should be. */
export interface Finding {
  readonly kind: FindingKind;
  /** `false` for what does no harm: an orphan. */
  readonly fault: boolean;
  /** The path below the store, or the name of an image. */
  readonly subject: string;
  /** What was seen and wanted. */
  readonly problem: string;
  /** What was done about it, if anything. */
  readonly repair?: string | undefined;
}

/** What a check has gone through. */
export interface CheckReport {
  /** Blobs and documents read and hashed. */
  readonly contents: number;
  /** Bytes of those. */
  readonly bytes: number;
  /** Findings that are faults and were not put right. */
  readonly faults: number;
  /** Findings that do no harm, and those that were put right. */
  readonly notes: number;
}

/** Options of {@linkcode checkStore}. */
export interface CheckOptions {
  /** Move what is wrong to `quarantine/`, so that the next pull brings it back. Nothing is deleted. */
  readonly repair?: boolean | undefined;
  /** The store may belong to another user. */
  readonly foreignOwner?: boolean | undefined;
  /** Ends the check early. */
  readonly signal?: AbortSignal | undefined;
  /** Called with each finding as it is made. */
  readonly onFinding?: ((finding: Finding) => void) | undefined;
}

/** Rows looked at together. */
export const PAGE = 500;

/** One check of one store. */
export class Check {
  /** The directory of the store, absolute. */
  readonly dir: string;
  /** Its blobs. */
  readonly files: BlobFiles;
  /** Whether what is wrong is put right, or aside. */
  readonly repair: boolean;
  /** Ends the check early. */
  readonly signal: AbortSignal | undefined;
  /** Where things are put aside. */
  readonly quarantine: Quarantine;
  /** Where metadata are that were replaced. */
  kept: string | undefined;
  /** What this check has put aside. */
  readonly aside = new Set<Digest>();
  readonly #onFinding: CheckOptions["onFinding"];
  #contents = 0;
  #bytes = 0;
  #faults = 0;
  #notes = 0;

  /** Looks at nothing yet. */
  constructor(dir: string, { repair = false, signal, onFinding }: CheckOptions) {
    this.dir = dir;
    this.files = new BlobFiles(dir);
    this.repair = repair;
    this.signal = signal;
    this.quarantine = new Quarantine(dir);
    this.#onFinding = onFinding;
  }

  /** Tells and counts. */
  found(finding: Finding): void {
    if (finding.fault && finding.repair === undefined) this.#faults++;
    else this.#notes++;
    this.#onFinding?.(finding);
  }

  /** Counts content that was hashed. */
  read(bytes: number): void {
    this.#contents++;
    this.#bytes += bytes;
  }

  /** Reads the file of a blob; `undefined` when it is gone, or was said with the modes. */
  async hash(
    digest: Digest,
  ): Promise<{ readonly digest: string; readonly size: number } | undefined> {
    const seen = await hashFile(this.files.path(digest), digest, this.signal);
    if (seen !== undefined) this.read(seen.size);
    return seen;
  }

  /** So far. */
  report(): CheckReport {
    return {
      contents: this.#contents,
      bytes: this.#bytes,
      faults: this.#faults,
      notes: this.#notes,
    };
  }
}

/** Lets others have a turn between two pages. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
