/** What `wherry verify` does. */
import { formatOwner, layerOwners } from "../lifecycle/inspect/layer_owner.ts";
import { type Check, verifyDocuments, verifyLayer } from "../lifecycle/inspect/verify.ts";
import { readMetadata } from "../lifecycle/platform/image_info.ts";
import type { CommonFlags } from "./common.ts";
import { count } from "./ui/count.ts";
import type { Io } from "./io.ts";
import type { AnyFormat } from "./output.ts";
import { imageAt, type OpenedImage, openImage } from "./open_image.ts";
import { LOOK, Session } from "./session.ts";
import { plain } from "./ui/plain.ts";
import { formatStructured } from "./ui/structured.ts";

/** Flags of `wherry verify`. */
export interface VerifyFlags extends CommonFlags {
  readonly platform?: string;
  readonly remote?: boolean;
  readonly layers?: boolean;
  readonly output: AnyFormat;
}

/** One image of what was named, and what was checked. */
interface Verified {
  readonly digest: string;
  readonly platform: string;
  readonly checks: readonly Check[];
}

/**
 * Checks an image, or each image of an index.
 *
 * @returns 0, or 1 when something is wrong.
 */
export async function verifyImage(
  io: Io,
  name: string,
  flags: VerifyFlags,
  format: AnyFormat,
): Promise<number> {
  await using session = new Session(io, flags, LOOK);
  await using stack = new AsyncDisposableStack();
  const opened = await openImage(session, name, flags, stack);
  const all = flags.platform === undefined ? opened.index?.images ?? [] : [];
  const results: Verified[] = [];
  if (all.length === 0) results.push(await verifyOne(session, opened, flags));
  for (const { digest, platform } of all) {
    const located = { ...opened.located, reference: digest };
    const found = digest === opened.image.raw.digest
      ? opened
      : await imageAt(session, located, { platform });
    results.push(
      found === undefined
        ? {
          digest,
          platform,
          checks: [{ what: "it is there", faults: ["the index names it only"] }],
        }
        : await verifyOne(session, { ...opened, ...found }, flags),
    );
  }
  const faults = results.flatMap(({ checks }) => checks.flatMap((check) => check.faults));
  if (format !== "human") {
    const value = { image_name: name, ok: faults.length === 0, images: results };
    io.stdout.write(await formatStructured(value, format));
    return faults.length === 0 ? 0 : 1;
  }
  for (const { digest, platform, checks } of plain(results)) {
    if (results.length > 1) io.stdout.write(`${platform} ${digest}\n`);
    for (const { what, faults } of checks) {
      io.stdout.write(`${faults.length === 0 ? "ok    " : "FAULT "} ${what}\n`);
      for (const fault of faults) io.stdout.write(`         ${fault}\n`);
    }
  }
  session.log.info(
    faults.length === 0
      ? `${name} is well${flags.layers ? "" : " (its layers were not read: want --layers)"}`
      : `${count(faults.length, "fault")} in ${name}`,
  );
  return faults.length === 0 ? 0 : 1;
}

async function verifyOne(
  session: Session,
  { image }: Pick<OpenedImage, "image">,
  flags: VerifyFlags,
): Promise<Verified> {
  const checks: Check[] = [...verifyDocuments(image)];
  const { digest } = image.raw;
  const { os, architecture, variant } = image.config;
  const platform = [os, architecture, variant].filter(Boolean).join("/");
  if (!flags.layers) return { digest, platform, checks };
  const owners = layerOwners(image, readMetadata(image.config));
  for (const [at, layer] of image.layers.entries()) {
    const owner = owners[at]!;
    const whose = [formatOwner(owner), owner.name].filter(Boolean).join(" ");
    const meter = session.ctx.meter(`Reading layer ${at + 1}`, layer.descriptor.size);
    try {
      const faults = await verifyLayer(layer, (bytes) => meter.add(bytes), session.ctx.signal);
      checks.push({ what: `layer ${at + 1}, ${whose}: ${layer.descriptor.digest}`, faults });
    } finally {
      meter.end();
    }
  }
  return { digest, platform, checks };
}
