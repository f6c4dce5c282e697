/** The image a build stands on. */
import { ExitCode, LifecycleError } from "../lifecycle/error.ts";
import { readDocument } from "../lifecycle/file/document.ts";
import type { RunImageNames } from "../lifecycle/file/lifecycle_metadata.ts";
import { parseRunToml } from "../lifecycle/file/run_toml.ts";
import { resolveRunImage, runNamesFor } from "../lifecycle/phase/analyze_run_image.ts";
import type { RunImage } from "../lifecycle/phase/analyze_types.ts";
import { type Image, readImage } from "../registry/image.ts";
import type { Platform } from "../registry/oci/descriptor.ts";
import {
  familiarName,
  parseReference,
  type Place,
  type Reference,
} from "../registry/oci/reference.ts";
import type { BuildTarget } from "./build_target.ts";
import type { BuildFlags } from "./command/build.ts";
import { layout, type Located, openForReading, readName, readPlace } from "./places.ts";
import { refuseOther } from "./platform.ts";
import { isAt, underPolicy, withStoreHint } from "./pull_policy.ts";
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
      "--run-image is required when there is no run metadata available: want a name, oci:DIR, or scratch",
    );
  }
  const { pullPolicy } = flags;
  const names = asked === undefined ? images[0]! : { image: asked, mirrors: [] };
  const { place, located, image } = await withStoreHint(
    session,
    [names.image, ...names.mirrors].flatMap(referenceOf),
    pullPolicy,
    async () => {
      const chosen = asked ?? await resolveRunImage(names, target.host, {
        registryOf: (text) => readName(text).registry,
        readable: async (text) =>
          await isAt(await underPolicy(session, readName(text), pullPolicy, flags.platform))
            .catch(() => false),
      });
      return await openNamed(session, chosen, flags, platform, stack);
    },
  );
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

async function openNamed(
  session: Session,
  name: string,
  flags: BuildFlags,
  platform: Platform,
  stack: AsyncDisposableStack,
): Promise<{ readonly place: Place; readonly located: Located; readonly image: Image }> {
  const place = readPlace(name);
  const located = await openRunPlace(session, flags, place, stack);
  const { registry, repository, reference } = located;
  const image = await readImage(registry, repository, reference, platform, {
    signal: session.ctx.signal,
  });
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

function referenceOf(name: string): readonly Reference[] {
  const place = readPlace(name);
  return place.kind === "registry" ? [place.reference] : [];
}

async function openRunPlace(
  session: Session,
  flags: BuildFlags,
  place: Place,
  stack: AsyncDisposableStack,
): Promise<Located> {
  if (place.kind === "oci") return await layout(session, place, false);
  if (place.kind !== "registry") return await openForReading(session, place, stack);
  return await underPolicy(session, place.reference, flags.pullPolicy, flags.platform);
}
