/** Which of a run image's places a build takes (AN-2). */
import { ExitCode, LifecycleError } from "../error.ts";
import type { RunImageNames } from "../file/lifecycle_metadata.ts";

/** What {@linkcode resolveRunImage} asks the world. */
export interface RunImageQuestions {
  /** The registry host in an image name, `index.docker.io` when it names none. */
  readonly registryOf: (name: string) => string;
  /** Whether the image can be read; a refusal, an absence and a network failure are all `false`. */
  readonly readable: (name: string) => Promise<boolean>;
}

/**
 * Chooses among a run image and its mirrors: first those on the registry of the output image, in order, then
 * all; the first that can be read wins. None is asked twice, and none after the winner.
 *
 * @param output The registry the app image goes to; absent when it stays on this machine.
 * @throws {LifecycleError} 3 when none can be read, naming all that were tried.
 */
export async function resolveRunImage(
  names: RunImageNames,
  output: string | undefined,
  questions: RunImageQuestions,
): Promise<string> {
  const all = [...new Set([names.image, ...names.mirrors])].filter((name) => name !== "");
  const near = all.filter((name) => output !== undefined && questions.registryOf(name) === output);
  const candidates = [...near, ...all.filter((name) => !near.includes(name))];
  for (const name of candidates) if (await questions.readable(name)) return name;
  if (candidates.length === 0) {
    throw new LifecycleError(
      ExitCode.arguments,
      "-run-image is required when there is no run metadata available",
    );
  }
  throw new LifecycleError(
    ExitCode.arguments,
    `failed to find accessible run image: tried ${candidates.join(", ")}`,
  );
}

/**
 * The names that go into the label (EX-4): the entry of `run.toml` that holds the run image, else the first.
 *
 * @param images The `[[images]]` of `run.toml`, in order.
 * @param runImage The run image as it was given; its digest, if any, plays no part.
 * @param options `extended`: extensions took part, so an image outside `run.toml` stands for itself.
 * `normalize` makes two spellings of one name equal.
 */
export function runNamesFor(
  images: readonly RunImageNames[],
  runImage: string,
  options: {
    readonly extended?: boolean | undefined;
    readonly normalize?: ((name: string) => string) | undefined;
  } = {},
): RunImageNames | undefined {
  const { normalize = (name: string) => name } = options;
  const bare = (name: string) => normalize(name.replace(/@[a-z0-9]+:[0-9a-f]+$/, ""));
  const wanted = bare(runImage);
  const found = images.find(({ image, mirrors }) =>
    [image, ...mirrors].some((name) => bare(name) === wanted)
  );
  if (found !== undefined) return found;
  if (options.extended) return { image: runImage, mirrors: [] };
  return images[0];
}
