/** What a policy asks of an image and its new base: read and compared where the policy asks, and only then. */
import { attachedBoms } from "../../lifecycle/bom/referrer.ts";
import { RebaseRefusal } from "../../lifecycle/phase/rebase.ts";
import type { RebaseCheck } from "../../lifecycle/phase/rebase_check.ts";
import { readMetadata } from "../../lifecycle/platform/image_info.ts";
import type { RebaseCandidate } from "../../lifecycle/platform/rebase_read.ts";
import type { Image } from "../../registry/image.ts";
import { type ImageConfig, labelOf } from "../../registry/oci/config.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import type { Reader } from "../../registry/registry.ts";
import { canList } from "../sbom_read.ts";
import type { PolicyQuestions } from "./policy.ts";

/** A place and the repository in it. */
interface Spot {
  readonly registry: Reader;
  readonly repository: string;
}

/**
 * Says no when the policy does. An image that stands on this base already is let through: nothing is moved.
 *
 * @param readOld The base an image stands on, where it may be asked for.
 * @throws {RebaseRefusal} With the check and both values.
 */
export async function judge(
  asks: PolicyQuestions,
  { app, base, oldBase, chosen }: RebaseCandidate,
  source: Spot,
  readOld: (reference: string, platform: Platform) => Promise<Image | undefined>,
  signal: AbortSignal,
): Promise<void> {
  if (oldBase.endsWith(`@${base.raw.digest}`)) return;
  if (asks.sameDistro) judgeDistro(app.config, base.config);
  if (asks.newerThan !== undefined) {
    const wanted = asks.newerThan.toISOString();
    const { date } = madeAt(base.config);
    if (date === undefined || date <= asks.newerThan) {
      const why = `the policy wants one after ${wanted}`;
      refuse("base date", `want after ${wanted}`, saidDate(base.config), why);
    }
  }
  if (asks.newer) await judgeAge(app, base, oldBase, readOld);
  for (const which of asks.sboms ?? []) {
    const has = which === "image"
      ? Boolean(readMetadata(app.config)?.sbom?.sha) || await isAttached(source, app, signal)
      : carriesSbom(base) || await isAttached(chosen.place, base, signal, chosen.digest);
    if (has) continue;
    const [ours, theirs] = which === "image" ? ["none", "not asked"] : ["not asked", "none"];
    refuse("bill of materials", ours!, theirs!, `the policy wants one of the ${which}`);
  }
}

function refuse(check: RebaseCheck, app: string, base: string, why: string): never {
  throw new RebaseRefusal({ check, app, base, why, overridable: false });
}

/** What either does not say is not the same. */
function judgeDistro(app: ImageConfig, base: ImageConfig): void {
  const [ours, theirs] = [distroOf(app), distroOf(base)];
  if (ours !== theirs || ours === "none") {
    refuse("distro", ours, theirs, "the policy wants the same");
  }
}

function distroOf(config: ImageConfig): string {
  const of = (key: string) => labelOf(config, `io.buildpacks.base.distro.${key}`) ?? "";
  return `${of("name")} ${of("version")}`.trim() || "none";
}

async function judgeAge(
  app: Image,
  base: Image,
  oldBase: string,
  readOld: (reference: string, platform: Platform) => Promise<Image | undefined>,
): Promise<void> {
  const { os, architecture, variant } = app.config;
  const old = await readOld(oldBase, { os, architecture, ...(variant ? { variant } : {}) });
  const [before, then] = [old && madeAt(old.config), madeAt(base.config)];
  if (before?.date !== undefined && then.date !== undefined && then.date > before.date) return;
  const wants = "the policy wants it newer than that of the image";
  const ours = old === undefined
    ? `${oldBase || "the old base"} cannot be read`
    : saidDate(old.config);
  refuse("base date", ours, saidDate(base.config), `${wants}: ${ours}`);
}

/** When an image was made, by its labels or its config. The dates of reproducible builds are no dates. */
function madeAt(config: ImageConfig): { readonly date?: Date; readonly text: string } {
  const said = [
    labelOf(config, "io.buildpacks.base.released"),
    labelOf(config, "org.opencontainers.image.created"),
    config.created,
  ].filter((text) => text !== undefined && text !== "");
  for (const text of said) {
    const date = new Date(text!);
    if (date.getTime() > FIXED) return { date, text: text! };
  }
  return { text: said[0] ?? "" };
}

/** Builds that write a fixed date write one at the beginning of 1980 or 1970. */
const FIXED = Date.UTC(1980, 0, 2);

function saidDate(config: ImageConfig): string {
  const { date, text } = madeAt(config);
  if (date !== undefined) return text;
  return text === "" ? "no date" : `${text}, a fixed date`;
}

/** A layer of its own, by diffID. */
function carriesSbom({ config, layers }: Image): boolean {
  const diffId = labelOf(config, "io.buildpacks.base.sbom");
  return layers.some((layer) => layer.diffId === diffId);
}

/** Beside the image, or the index it is one of. */
async function isAttached(
  { registry, repository }: Spot,
  { raw }: Image,
  signal: AbortSignal,
  index: Digest = raw.digest,
): Promise<boolean> {
  if (!canList(registry)) return false;
  for (const digest of new Set([raw.digest, index])) {
    if ((await attachedBoms(registry, repository, digest, signal)).length > 0) return true;
  }
  return false;
}
