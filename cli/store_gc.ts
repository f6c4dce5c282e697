/** `wherry store gc`. */
import type { CommonFlags } from "./common.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import type { OutputFormat } from "./output.ts";
import { Session } from "./session.ts";
import { formatSize } from "./ui/size.ts";

/** Collects once and says what went. */
export async function collect(
  io: Io,
  flags: CommonFlags & { readonly grace?: string },
  format: OutputFormat,
): Promise<void> {
  const graceMs = flags.grace === undefined ? undefined : readSeconds(flags.grace) * 1000;
  await using session = new Session(io, flags);
  const store = await session.store();
  const report = await store.gc({ graceMs, signal: session.ctx.signal });
  if (format === "json") io.stdout.write(JSON.stringify(report, null, 2) + "\n");
  else {
    const { manifests, blobs, bytes, uploads } = report;
    io.stdout.write(
      `Removed ${manifests} manifests, ${blobs} blobs (${
        formatSize(bytes)
      }) and ${uploads} uploads\n`,
    );
  }
}

function readSeconds(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`Cannot use --grace ${JSON.stringify(text)}: want a number of seconds`);
}
