/** `wherry sbom download`: the documents as files, in pack's layout. */
import { harmless } from "../registry/client/refusal.ts";
import { ConfinedDirectory, stepsOf } from "../registry/layer/confined.ts";
import { UsageError } from "./exit.ts";
import { count } from "./ui/count.ts";
import type { Io } from "./io.ts";
import { BOM_FORMATS } from "../lifecycle/bom/document.ts";
import { findSboms, type SbomFlags } from "./sbom_read.ts";
import { LOOK, Session } from "./session.ts";

/** Writes `layers/sbom/launch/...` below the output directory, and prints each path. */
export async function downloadSboms(
  io: Io,
  name: string,
  flags: SbomFlags & { readonly outputDir?: string },
): Promise<void> {
  await using session = new Session(io, flags, LOOK);
  await using stack = new AsyncDisposableStack();
  const { documents } = await findSboms(session, name, flags, stack);
  const given = flags.outputDir ?? ".";
  const dir = session.path(given);
  try {
    await Deno.mkdir(dir, { recursive: true });
  } catch (cause) {
    throw new UsageError(
      `Cannot use --output-dir ${JSON.stringify(given)}: ${(cause as Error).message}`,
      { cause },
    );
  }
  using target = new ConfinedDirectory(dir);
  for (const { path, bytes, format } of documents) {
    // What lies beside an image has a digest for a name.
    const file = path.startsWith("layers/")
      ? path
      : `layers/sbom/attached/${path.replace(":", "-")}/sbom.${BOM_FORMATS[format].extension}`;
    const out = target.makeFile(stepsOf(file), 0o644);
    try {
      out.write(bytes);
      out.end();
    } finally {
      out.close();
    }
    io.stdout.write(
      harmless(`${given === "." ? "" : `${given.replace(/\/+$/, "")}/`}${file}`) + "\n",
    );
  }
  session.log.info(`Wrote ${count(documents.length, "document")}`);
}
