/** An index that is being made: a small file in the store, so that it outlives a restart of the machine. */
import { join } from "node:path";
import { z } from "zod";
import { readText, writeText } from "../lifecycle/file/document.ts";
import { encodeJson } from "../registry/image.ts";
import { type Descriptor, descriptorSchema } from "../registry/oci/descriptor.ts";
import { MediaType } from "../registry/oci/media_type.ts";
import { storeRepository } from "../registry/store/name.ts";
import { UsageError } from "./exit.ts";
import { readName } from "./places.ts";
import type { Session } from "./session.ts";

/** One image of a draft. */
export interface DraftEntry {
  /** Where it is: a name as typed, with its digest. */
  readonly from: string;
  /** What the index will say of it. */
  readonly descriptor: Descriptor;
}

/** An index to be. */
export interface Draft {
  /** Media types. */
  readonly format: "oci" | "docker";
  /** In the order of the index. */
  readonly entries: readonly DraftEntry[];
}

const schema = z.object({
  format: z.enum(["oci", "docker"]),
  entries: z.array(z.object({ from: z.string(), descriptor: descriptorSchema })),
});

/** Reads the draft of `name`; `undefined` when there is none. */
export async function readDraft(session: Session, name: string): Promise<Draft | undefined> {
  const file = draftFile(session, name);
  const text = await readText(file);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text)) as Draft;
  } catch (cause) {
    throw new UsageError(`Cannot read ${file}: want what wherry manifest create wrote`, { cause });
  }
}

/** As {@linkcode readDraft}; throws UsageError when there is none. */
export async function mustReadDraft(session: Session, name: string): Promise<Draft> {
  const draft = await readDraft(session, name);
  if (draft !== undefined) return draft;
  throw new UsageError(
    `Cannot find index ${name}: none was begun here (see: wherry manifest create --help)`,
  );
}

/** Writes a draft, whole or not at all. */
export async function writeDraft(session: Session, name: string, draft: Draft): Promise<void> {
  await session.store(); // makes the directory with the right modes
  await writeText(draftFile(session, name), JSON.stringify(draft));
}

/** Forgets a draft. @returns Whether there was one. */
export async function dropDraft(session: Session, name: string): Promise<boolean> {
  try {
    await Deno.remove(draftFile(session, name));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The index as bytes. */
export function encodeDraft({ format, entries }: Draft): {
  readonly mediaType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
} {
  const mediaType = format === "docker" ? MediaType.dockerList : MediaType.ociIndex;
  const manifests = entries.map(({ descriptor }) => descriptor);
  return { mediaType, bytes: encodeJson({ schemaVersion: 2, mediaType, manifests }) };
}

function draftFile(session: Session, name: string): string {
  const reference = readName(name);
  const file = `${storeRepository(reference)}/${reference.tag ?? "latest"}`;
  return join(session.storeDir(), "indexes", `${encodeURIComponent(file)}.json`);
}
