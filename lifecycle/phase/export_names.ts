/** An app must not take the name of what builds stand on (M-13). */
import { formatReference, parseReference } from "../../registry/oci/reference.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import type { RunImageNames } from "../file/lifecycle_metadata.ts";
import type { Destination } from "./export_types.ts";

/**
 * Refuses to give the app image a name of its run image: the next build of anybody would stand on this app.
 *
 * @param runName The run image as it was named; empty when it has no name.
 * @param runNames Its names in `run.toml`.
 * @throws {LifecycleError} 3 with the name.
 */
export function refuseTakenNames(
  destinations: readonly Pick<Destination, "name">[],
  runName: string,
  runNames: RunImageNames | undefined,
): void {
  const names = [runName, runNames?.image ?? "", ...runNames?.mirrors ?? []];
  refuseNames(destinations.map(({ name }) => name), names, "run image");
}

/**
 * Refuses to give the app image one of `taken`, the names of `what`: of the builder, the run image or the cache image.
 *
 * @param taken Empty ones count for nothing.
 * @throws {LifecycleError} 3 with the name.
 */
export function refuseNames(
  names: readonly string[],
  taken: readonly string[],
  what: string,
): void {
  const spelled = new Set(taken.filter((name) => name !== "").map(spelledOut));
  for (const name of names) {
    if (!spelled.has(spelledOut(name))) continue;
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot name the app image ${
        JSON.stringify(name)
      }: that is its ${what}, which it would replace`,
    );
  }
}

/** The same text for every spelling of a name; a digest plays no part, since no tag is lost by it. */
function spelledOut(name: string): string {
  try {
    const { digest: _, ...reference } = parseReference(name);
    return formatReference(reference);
  } catch {
    return name;
  }
}
