/** What `wherry inspect` shows: two small documents of an image, no layer. */
import { describeImage, type ImageInfo } from "../lifecycle/platform/image_info.ts";
import { harmless } from "../registry/client/refusal.ts";
import type { CommonFlags } from "./common.ts";
import { failureOf, UsageError } from "./exit.ts";
import { imageText } from "./inspect_text.ts";
import type { Io } from "./io.ts";
import type { Known } from "./known.ts";
import { keepDocuments, recalling } from "./known_image.ts";
import type { AnyFormat } from "./output.ts";
import { imageAt, nowhere } from "./open_image.ts";
import { readPlatform } from "./platform.ts";
import { fromRegistry, imagePlace, inStore, type Located, openForReading } from "./places.ts";
import { LOOK, Session } from "./session.ts";
import { formatStructured } from "./ui/structured.ts";

/** Flags of `wherry inspect`. */
export interface InspectFlags extends CommonFlags {
  readonly platform?: string;
  readonly remote?: boolean;
  readonly layers?: boolean;
  readonly files?: boolean;
  readonly app?: boolean;
  readonly bom?: boolean;
  readonly sbom?: boolean;
  readonly output: AnyFormat;
}

/** One place's answer: what is there, nothing, or why it cannot be said. */
type Answer = { readonly info?: ImageInfo; readonly error?: string; readonly cause?: unknown };

/** Shows an image, from its registry and from the store where the name can mean both. */
export async function inspectImage(
  io: Io,
  name: string,
  flags: InspectFlags,
  format: AnyFormat,
): Promise<void> {
  await using session = new Session(io, flags, LOOK);
  await using stack = new AsyncDisposableStack();
  if (flags.platform !== undefined) readPlatform(flags.platform);
  const place = await imagePlace(session, name);
  const look = (located: Promise<Located>, known?: Known) =>
    answerOf(session, flags, located, known);
  const [remote, local] = place.kind === "registry"
    ? [
      await look(
        fromRegistry(session, place.reference).then((at) => recalling(at, session.known())),
        session.known(),
      ),
      flags.remote ? {} : await look(inStore(session, place.reference)),
    ]
    : [{}, await look(openForReading(session, place, stack))];
  if (format !== "human") {
    const value = {
      image_name: name,
      remote_info: remote.info ?? null,
      local_info: local.info ?? null,
      ...(remote.error ? { remote_error: remote.error } : {}),
      ...(local.error ? { local_error: local.error } : {}),
    };
    io.stdout.write(await formatStructured(value, format));
  } else if (remote.info !== undefined || local.info !== undefined) {
    const width = io.stdout.isTerminal ? io.stdout.columns() : undefined;
    const parts = place.kind === "registry"
      ? [
        `REMOTE:\n${show(remote, width)}`,
        ...(flags.remote ? [] : [`LOCAL:\n${show(local, width)}`]),
      ]
      : [show(local, width)];
    io.stdout.write(`Inspecting image: '${harmless(name)}'\n\n${parts.join("\n")}`);
  }
  if (remote.info === undefined && local.info === undefined) {
    const failed = remote.cause !== undefined ? remote : local;
    if (failed.cause !== undefined) {
      throw failure(failed, place.kind === "registry" && !flags.remote, local);
    }
    throw place.kind === "registry"
      ? await nowhere(session, place.reference, flags.remote)
      : new UsageError(`Cannot find ${name}: it is not there`);
  }
}

/** What went wrong comes before what is not there. */
function failure(failed: Answer, both: boolean, local: Answer): Error {
  const { code } = failureOf(failed.cause);
  const rest = both && local.cause === undefined ? "; the store has none" : "";
  return Object.assign(new Error(`${failed.error}${rest}`), { exitCode: code });
}

async function answerOf(
  session: Session,
  flags: InspectFlags,
  opening: Promise<Located>,
  known: Known | undefined,
): Promise<Answer> {
  try {
    const found = await imageAt(session, await opening, flags);
    if (found !== undefined) keepDocuments(found.image, known);
    return found === undefined ? {} : { info: describeImage(found.image, found.index) };
  } catch (error) {
    session.ctx.signal.throwIfAborted();
    return { error: error instanceof Error ? error.message : String(error), cause: error };
  }
}

function show({ info, error }: Answer, width: number | undefined): string {
  if (error !== undefined) return `ERROR: ${harmless(error)}\n`;
  return info === undefined ? "(not present)\n" : imageText(info, width);
}
