/** `wherry bundle inspect` and `wherry bundle verify`. */
import { carriedBy, contentOf } from "../../registry/bundle/lock.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { formatPlatform } from "../../registry/oci/platform.ts";
import type { CommonFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { Session } from "../session.ts";
import { plain } from "../ui/plain.ts";
import { formatSize } from "../ui/size.ts";
import { formatTable } from "../ui/table.ts";
import { readVerifier } from "./keys.ts";
import { openFiles } from "./open.ts";
import { count } from "../ui/count.ts";

/** Flags of both. */
export interface InspectBundleFlags extends CommonFlags {
  readonly output: string;
  readonly key?: string;
  readonly partial?: boolean;
}

/** Shows what is in a bundle. */
export async function inspectBundle(
  io: Io,
  files: readonly string[],
  flags: InspectBundleFlags,
): Promise<void> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const bundle = await openFiles(session, files, stack);
  const { lock } = bundle;
  const sum = (list: readonly { readonly size: number }[]) =>
    list.reduce((total, one) => total + one.size, 0);
  const images = bundle.images.map((image) => ({
    reference: image.reference,
    role: image.role,
    required_by: image.requiredBy ?? null,
    digest: image.descriptor.digest,
    size: sum(image.content),
    absent_platforms: image.absent.map(({ platform }) => formatPlatform(platform)),
  }));
  if (flags.output === "json") {
    io.stdout.write(
      JSON.stringify(
        {
          lock: digestOf(bundle.lockBytes),
          tool: lock.tool,
          signed: bundle.signature !== undefined,
          since: lock.since ?? null,
          parts: lock.parts,
          images,
          blobs: carriedBy(lock).length,
          bytes: sum(carriedBy(lock)),
          missing: bundle.missing().map(({ digest }) => digest),
        },
        null,
        2,
      ) + "\n",
    );
    return;
  }
  const rows = plain(images).map((one) => [
    one.role,
    one.reference,
    formatSize(one.size),
    one.required_by ?? "-",
    one.digest.slice(0, 19),
  ]);
  const lines = [
    `Lock: ${digestOf(bundle.lockBytes)}`,
    `Made by: ${plain(lock.tool)}`,
    `Signed: ${bundle.signature === undefined ? "no" : "yes (see: wherry bundle verify --key)"}`,
    ...(lock.since === undefined ? [] : [`Adds to: ${lock.since}`]),
    ...(lock.parts === 1 ? [] : [`Parts: ${lock.parts}`]),
    `Content: ${count(contentOf(lock).length, "blob")}, of which ${carriedBy(lock).length} (${
      formatSize(sum(carriedBy(lock)))
    }) are in this bundle`,
    ...(bundle.missing().length === 0
      ? []
      : [`Not here: ${count(bundle.missing().length, "blob")}`]),
    "",
    formatTable(["ROLE", "IMAGE", "SIZE", "NEEDED BY", "DIGEST"], rows).trimEnd(),
  ];
  io.stdout.write(lines.join("\n") + "\n");
}

/** Says what is wrong with a bundle. @returns 1 when something is. */
export async function verifyBundle(
  io: Io,
  files: readonly string[],
  flags: InspectBundleFlags,
): Promise<number> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const verify = flags.key === undefined ? undefined : await readVerifier(session.path(flags.key));
  const bundle = await openFiles(session, files, stack);
  const findings = bundle.findings().filter(({ kind }) => !(flags.partial && kind === "missing"));
  const lines = findings.map(({ text }) => text);
  if (verify !== undefined) {
    if (bundle.signature === undefined) lines.push("signature: the lock is not signed");
    else if (!await verify(bundle.lockBytes, bundle.signature)) {
      lines.push("signature: the lock is not signed by this key");
    }
  }
  if (flags.output === "json") {
    io.stdout.write(
      JSON.stringify({ lock: digestOf(bundle.lockBytes), faults: lines }, null, 2) + "\n",
    );
  } else for (const line of lines) io.stdout.write(`${line}\n`);
  const { lock, images } = bundle;
  const missing = bundle.findings().filter(({ kind }) => kind === "missing").length;
  const here = contentOf(lock).length - missing;
  session.log.info(
    `${count(here, "blob")} of ${count(images.length, "image")}: ${count(lines.length, "fault")}`,
  );
  if (missing > 0 && !flags.partial) {
    const rest = [
      ...(lock.parts > 1 ? [`all ${lock.parts} parts (or --partial for one)`] : []),
      ...(lock.before.length > 0 ? ["the bundle it was made --since"] : []),
    ];
    if (rest.length > 0) session.log.info(`It is not the whole: give ${rest.join(" and ")}`);
  }
  return lines.length === 0 ? 0 : 1;
}

/** `OLD=NEW` of a flag. */
export function readRule(text: string): { readonly from: string; readonly to: string } {
  const at = text.indexOf("=");
  if (at > 0 && at < text.length - 1) {
    const trim = (part: string) => part.replace(/\/+$/, "");
    return { from: trim(text.slice(0, at)), to: trim(text.slice(at + 1)) };
  }
  throw new UsageError(`Cannot use --map ${JSON.stringify(text)}: want OLD=NEW`);
}
