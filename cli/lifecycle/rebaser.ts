/** `rebaser`: another base under an image, without a build (16). */
import { ExitCode } from "../../lifecycle/error.ts";
import { writeText } from "../../lifecycle/file/document.ts";
import { METADATA_LABEL, type RunImageNames } from "../../lifecycle/file/lifecycle_metadata.ts";
import { formatReportToml } from "../../lifecycle/file/report_toml.ts";
import { pushToAll, startPush } from "../../lifecycle/phase/export_push.ts";
import { baseOf, rebaseImage } from "../../lifecycle/phase/rebase.ts";
import { persistently } from "../../lifecycle/platform/rebase_base.ts";
import { type Image, readImage } from "../../registry/image.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { machinePlatform } from "../platform.ts";
import { badArguments, failing } from "./fail.ts";
import { checkSameRegistry, imageNames } from "./image_inputs.ts";
import { type OpenedImage, type PhaseImages, readName } from "./images.ts";
import { dropPrivileges, openRegistryImages, type PhaseRun, refuseDaemon } from "./phase_run.ts";
import { withOldRunImage } from "./old_run_image.ts";
import { chooseRunImage, sameName } from "./run_names.ts";

/** Runs the phase. */
export async function run(given: PhaseRun): Promise<void> {
  const phase = withOldRunImage(given);
  const { words, inputs, can, ctx } = phase;
  if (words.length === 0) throw badArguments("at least one image argument is required");
  const names = imageNames(phase, words, []);
  checkSameRegistry(words);
  refuseDaemon(phase);
  await using images = await openRegistryImages(phase, names, words);
  const appName = inputs.previousImage || words[0]!;
  const app = await failing(
    "set app image",
    ExitCode.rebase,
    ctx.signal,
    async () => await mustRead(phase, appName, images),
  );
  const runName = await failing(
    "set app image",
    ExitCode.rebase,
    ctx.signal,
    async () => await chooseRunImage(phase, namesOf(phase, app), appName, images),
  );
  const known = [...names, runName, oldBaseOf(app, [appName, runName])];
  await using bases = await openRegistryImages(phase, known, words);
  await dropPrivileges(phase, []);
  const base = await failing(
    "access run image",
    ExitCode.failure,
    ctx.signal,
    () => persistently(() => mustReadBase(phase, runName, bases), ctx),
  );
  await failing("rebase", ExitCode.rebase, ctx.signal, async () => {
    const place = await bases.open(runName);
    const reference = `${place.repositoryName}@${base.raw.digest}`;
    const image = rebaseImage({
      app,
      base,
      run: { name: runName, reference },
      oldBase: await readOldBase(phase, oldBaseOf(app, [appName, runName]), bases),
      targets: can.targets,
      force: inputs.forceRebase,
      normalize: sameName,
    }, phase.log);
    const target = await bases.open(words[0]!);
    await save(phase, image, target);
    const { digest, bytes } = image.raw;
    const report = {
      image: { tags: words, digest, manifestSize: bytes.byteLength },
      runImage: { image: runName, reference, topLayer: base.layers.at(-1)?.diffId },
    };
    const path = inputs.reportPath;
    await writeText(
      path.startsWith("/") ? path : `${phase.io.cwd}/${path}`,
      formatReportToml(report),
    );
  });
}

async function save(phase: PhaseRun, image: Image, target: OpenedImage): Promise<void> {
  const destinations = phase.words.map((name) => {
    const { repository, tag } = readName(name);
    return { repository, tag: tag ?? "latest", name };
  });
  await using early = startPush(target.registry, target.repository, phase.ctx);
  for (const layer of image.layers) early.add(layer);
  await pushToAll(image, target.registry, destinations, early, phase.ctx);
}

/** What the app's builder called its run image (RB-2). */
function namesOf({ can }: PhaseRun, app: Image): readonly RunImageNames[] {
  const label = labelOf(app.config, METADATA_LABEL);
  if (!label) return [];
  const { runImage, stack } = baseOf(label);
  const names = can.targets && runImage.image ? runImage : stack?.runImage;
  return names?.image ? [{ image: names.image, mirrors: names.mirrors ?? [] }] : [];
}

/** The base the app stands on; only where we go anyway, since an image may name any host of our network (M-10). */
function oldBaseOf(app: Image, known: readonly string[]): string {
  const label = labelOf(app.config, METADATA_LABEL);
  try {
    const { reference } = baseOf(label ?? "").runImage;
    const { registry } = readName(reference);
    return known.some((name) => readName(name).registry === registry) ? reference : "";
  } catch {
    return "";
  }
}

/** Only to be surer of the cut: one that is gone is no reason to fail. */
async function readOldBase(
  phase: PhaseRun,
  name: string,
  images: PhaseImages,
): Promise<Image | undefined> {
  return name === "" ? undefined : await mustRead(phase, name, images).catch(() => undefined);
}

/** Without a layer it is no base (RB-3). */
async function mustReadBase(phase: PhaseRun, name: string, images: PhaseImages): Promise<Image> {
  const image = await mustRead(phase, name, images);
  if (image.layers.length > 0) return image;
  throw new Error(`Image with name "${name}" has no layer`);
}

async function mustRead(phase: PhaseRun, name: string, images: PhaseImages): Promise<Image> {
  const { registry, repository, reference } = await images.open(name);
  const options = { signal: phase.ctx.signal };
  const image = await readImage(registry, repository, reference, machinePlatform(), options);
  if (image === undefined) throw new Error(`Image with name "${name}" not found`);
  return image;
}
