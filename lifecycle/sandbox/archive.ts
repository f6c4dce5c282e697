/** The verbs `archive` and `look`: a tree becomes a layer, walked, hashed and compressed by the helper, or is walked alone. */
import { z } from "zod";
import type { SeenTree } from "../../registry/layer/unchanged.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { complaintOf, helperDigest, kill, startHelper } from "./child.ts";

/** A layer that {@linkcode archiveWith} made. */
export interface ArchivedLayer {
  /** Of the plain tar. */
  readonly diffId: Digest;
  /** Bytes of it. */
  readonly tarSize: number;
  /** Of the blob. */
  readonly digest: Digest;
  /** Bytes of it. */
  readonly size: number;
}

const archiveLine = z.lazy(() =>
  z.union([
    z.object({ tar: z.number().int() }),
    z.object({
      diffId: helperDigest,
      tarSize: z.number().int(),
      digest: helperDigest,
      size: z.number().int(),
    }),
    z.object({ why: z.string() }),
  ])
);

/** Where {@linkcode archiveWith} writes, and whom it tells. */
export interface ArchiveOptions {
  /** The file to write over with the gzip blob; without one none is made, and `digest` is that of nothing. */
  readonly blob?: string | undefined;
  /** The file to append the plain tar to. */
  readonly spool?: string | undefined;
  /** Called with bytes of tar that are done. */
  readonly onProgress?: ((tarBytes: number) => void) | undefined;
  readonly signal: AbortSignal;
}

/**
 * Makes a layer of what `words` say, see `archive.c`: groups of words, each a list for one entry or tree.
 *
 * @returns What was made, or why the helper leaves it to others; anything may be in the files then.
 * @throws {Error} With the helper's reason, or what `words` threw. The signal's reason.
 */
export async function archiveWith(
  helper: string,
  words: Iterable<readonly (string | number)[]>,
  { blob = "-", spool = "-", onProgress, signal }: ArchiveOptions,
): Promise<ArchivedLayer | { readonly why: string }> {
  let made: ArchivedLayer | { readonly why: string } | undefined;
  let told = 0;
  await tell(helper, ["archive", blob, spool], words, signal, (line) => {
    const said = archiveLine.parse(JSON.parse(line));
    if (!("tar" in said)) made = said;
    const done = "tar" in said ? said.tar : "tarSize" in said ? said.tarSize : told;
    onProgress?.(done - told);
    told = done;
  });
  if (made !== undefined) return made;
  throw new Error("Cannot archive: the helper said nothing");
}

const lookLine = z.lazy(() =>
  z.union([
    z.object({ frame: helperDigest, looks: helperDigest }),
    z.object({ why: z.string() }),
  ])
);

/**
 * Looks at what would be a layer, as {@linkcode archiveWith} is told of it, and reads no file.
 *
 * @returns What was seen, or why the helper leaves it to others.
 * @throws {Error} With the helper's reason, or what `words` threw. The signal's reason.
 */
export async function lookWith(
  helper: string,
  words: Iterable<readonly (string | number)[]>,
  signal: AbortSignal,
): Promise<SeenTree | { readonly why: string }> {
  let seen: SeenTree | { readonly why: string } | undefined;
  await tell(helper, ["look"], words, signal, (line) => {
    seen = lookLine.parse(JSON.parse(line));
  });
  if (seen !== undefined) return seen;
  throw new Error("Cannot look at a layer: the helper said nothing");
}

/** Tells a verb `words`, and `hear` each line of its answer. */
async function tell(
  helper: string,
  verb: readonly string[],
  words: Iterable<readonly (string | number)[]>,
  signal: AbortSignal,
  hear: (line: string) => void,
): Promise<void> {
  signal.throwIfAborted();
  const child = startHelper(helper, [...verb], {}, "piped", "piped");
  const end = () => kill(child, "SIGKILL");
  signal.addEventListener("abort", end, { once: true });
  const hearAll = async () => {
    for await (const line of linesOf(child.stdout)) hear(line);
  };
  try {
    const heard = Promise.all([hearAll(), child.stderr.text(), child.status]);
    heard.catch(end);
    const writer = child.stdin.getWriter();
    try {
      for (const chunk of inChunks(words)) await writer.write(chunk);
    } catch (error) {
      // A helper that has ended says why below.
      if (!(error instanceof Deno.errors.BrokenPipe)) {
        end();
        await heard.catch(() => {});
        throw error;
      }
    }
    await writer.close().catch(() => {});
    const [, complaint, { code, signal: killed }] = await heard;
    signal.throwIfAborted();
    if (code === 0) return;
    throw new Error(
      complaintOf(complaint) || `Cannot ${verb[0]}: the helper ended with ${killed ?? code}`,
    );
  } finally {
    signal.removeEventListener("abort", end);
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

/** Words with a NUL behind each, some at a time. */
function* inChunks(words: Iterable<readonly (string | number)[]>): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  let text = "";
  for (const group of words) {
    for (const word of group) text += `${word}\0`;
    if (text.length < 64 * 1024) continue;
    yield encoder.encode(text);
    text = "";
  }
  yield encoder.encode(`${text}.\0`);
}
