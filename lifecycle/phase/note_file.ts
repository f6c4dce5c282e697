/**
 * Notes of a restore for the exporter when it is another process. They lie in the layers directory, where buildpacks can write, and
 * need no protection: the exporter reuses a layer only under a diffID that the previous image or the cache has for this very layer, and
 * who can forge a note could as well put back the contents it speaks of. (`docs/decision/0009-not-hashing-again.md`)
 */
import { z } from "zod";
import type { FileMark } from "../../registry/layer/unchanged.ts";
import { digestSchema } from "../../registry/oci/descriptor.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { readContained } from "../file/contained.ts";
import { writeText } from "../file/document.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { LayerNotes } from "./export_types.ts";

/** A name that no buildpack's directory can have: ids hold letters, digits, dots and dashes, and `_` for a slash. */
const NAME = "~restored.json";
/** Times of change are of the clock of one boot. */
const BOOT = "/proc/sys/kernel/random/boot_id";

/** What a restore leaves. */
export interface RestoreNotes {
  /** Layers on disk, by `<id>:<name>`. */
  readonly layers: LayerNotes;
  /** Layers of the cache, by diffID. */
  readonly cached: ReadonlyMap<Digest, FileMark>;
}

/** Nothing is known. */
const NO_NOTES: RestoreNotes = { layers: new Map(), cached: new Map() };

/** Writes notes; nothing when there are none, or this machine gives no way to tell its boots apart. */
export async function writeNotes(layers: Dir, notes: RestoreNotes): Promise<void> {
  const boot = bootId();
  if (boot === undefined || notes.layers.size + notes.cached.size === 0) return;
  const document = { boot, layers: [...notes.layers], cached: [...notes.cached] };
  await writeText(`${layers.outside}/${NAME}`, JSON.stringify(document) + "\n");
}

/** Reads notes; none when there are none, they are of another boot, or they cannot be read. */
export function readNotes(layers: Dir): RestoreNotes {
  try {
    const text = readContained(`${layers.inside}/${NAME}`, [layers]);
    if (text === undefined) return NO_NOTES;
    const { boot, layers: noted, cached } = notesSchema.parse(JSON.parse(text));
    if (boot !== bootId()) return NO_NOTES;
    return { layers: new Map(noted), cached: new Map(cached) };
  } catch {
    return NO_NOTES; // without them all is hashed
  }
}

const notesSchema = z.object({
  boot: z.string().min(1),
  layers: z.array(z.tuple([
    z.string(),
    z.object({ diffId: digestSchema, state: digestSchema, offset: z.number() }),
  ])),
  cached: z.array(z.tuple([digestSchema, z.object({ look: z.string(), offset: z.number() })])),
});

function bootId(): string | undefined {
  try {
    return Deno.readTextFileSync(BOOT).trim() || undefined;
  } catch {
    return undefined;
  }
}
