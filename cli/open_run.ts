/** The image a build stands on. */
import { ExitCode, LifecycleError } from "../lifecycle/error.ts";
import { readDocument } from "../lifecycle/file/document.ts";
import type { RunImageNames } from "../lifecycle/file/lifecycle_metadata.ts";
import { parseRunToml } from "../lifecycle/file/run_toml.ts";
import { resolveRunImage, runNamesFor } from "../lifecycle/phase/analyze_run_image.ts";
import type { RunImage } from "../lifecycle/phase/analyze_types.ts";
import { type Image, readImage } from "../registry/image.ts";
import type { Platform } from "../registry/oci/descriptor.ts";
import { familiarName, parseReference, type Place } from "../registry/oci/reference.ts";
import type { BuildTarget } from "./build_target.ts";
import type { BuildFlags } from "./build_flags.ts";
import { layout, type Located, openForReading, readName, readPlace } from "./places.ts";
import { refuseOther } from "./platform.ts";
import { readUnder, type Taken } from "./pull_policy.ts";
import type { Session } from "./session.ts";

/**
 * The base of a build: `--run-image`, else what the builder or `run.toml` names.
 *
 * @param ofBuilder What the builder names; without one, `run.toml` is read.
 * @throws {LifecycleError} When none of the names leads to an image.
 */
export async function openRun(
  session: Session,
  flags: BuildFlags,
  target: BuildTarget,
  platform: Platform,
  ofBuilder: readonly RunImageNames[] | undefined,
  stack: AsyncDisposableStack,
  extended = false,
): Promise<{ readonly run: RunImage | "scratch"; readonly runNames?: RunImageNames | undefined }> {
  const { env } = session.io;
  const asked = flags.runImage ?? env["CNB_RUN_IMAGE"];
  if (asked === "scratch") return { run: "scratch" };
  const runFile = env["CNB_RUN_PATH"] ?? "/cnb/run.toml";
  const images = ofBuilder ?? (await readDocument(runFile, parseRunToml))?.images ?? [];
  if (asked === undefined && images.length === 0) {
    throw new LifecycleError(
      ExitCode.arguments,
      "Cannot build: no run image is named; want --run-image NAME, oci:DIR, or scratch for none at all",
    );
  }
  const open = (name: string) => openNamed(session, name, flags, platform, stack);
  const { place, located, image } = asked === undefined
    ? await openFirst(images[0]!, target, open, session.ctx.signal)
    : await open(asked);
  // A path of this machine has no meaning for whoever gets the image, and would change its digest.
  const known = place.kind === "registry" || place.kind === "store"
    ? familiarName(place.reference)
    : "";
  const reference = known === ""
    ? image.raw.digest
    : `${located.repositoryName}@${image.raw.digest}`;
  const normalize = (text: string) => familiarName(parseReference(text));
  return {
    run: { image, name: known, reference },
    runNames: known === ""
      ? undefined
      : runNamesFor(images.length > 0 ? images : [{ image: known, mirrors: [] }], known, {
        normalize,
        extended,
      }),
  };
}

interface Opened {
  readonly place: Place;
  readonly located: Located;
  readonly image: Image;
}

/** Of a run image and its mirrors the one that {@linkcode resolveRunImage} chooses. */
async function openFirst(
  names: RunImageNames,
  target: BuildTarget,
  open: (name: string) => Promise<Opened>,
  signal: AbortSignal,
): Promise<Opened> {
  const opened = new Map<string, Opened>();
  const faults: string[] = [];
  const readable = async (name: string): Promise<boolean> => {
    try {
      opened.set(name, await open(name));
      return true;
    } catch (error) {
      signal.throwIfAborted();
      faults.push(error instanceof Error ? error.message : String(error));
      return false;
    }
  };
  try {
    const registryOf = (name: string) => readName(name).registry;
    return opened.get(await resolveRunImage(names, target.host, { registryOf, readable }))!;
  } catch (error) {
    if (error instanceof LifecycleError && faults.length > 0) {
      error.message += `: ${faults.join("; ")}`;
    }
    throw error;
  }
}

async function openNamed(
  session: Session,
  name: string,
  flags: BuildFlags,
  platform: Platform,
  stack: AsyncDisposableStack,
): Promise<Opened> {
  const place = readPlace(name);
  const { signal } = session.ctx;
  const read = async ({ registry, repository, reference }: Located) =>
    await readImage(registry, repository, reference, platform, { signal });
  let found: Taken<Image>;
  if (place.kind === "registry") {
    found = await readUnder(session, place.reference, flags.pullPolicy, flags.platform, read);
  } else {
    const located = place.kind === "oci"
      ? await layout(session, place, false)
      : await openForReading(session, place, stack);
    found = { located, value: await read(located) };
  }
  const { located, value: image } = found;
  if (image === undefined) {
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot find run image ${JSON.stringify(name)}: ${
        place.kind === "registry" && flags.pullPolicy === "never"
          ? "it is not in the store, and --pull-policy is never (see: wherry pull)"
          : `${located.name} is not there`
      }`,
    );
  }
  refuseOther(`run image ${name}`, image.config, flags.platform);
  return { place, located, image };
}
