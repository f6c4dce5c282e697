/** Which names the result of a rebase gets. */
import type { PreparedRebase } from "../../lifecycle/platform/rebase_read.ts";
import type { RebaseTarget } from "../../lifecycle/platform/rebase_write.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { familiarName, isTag, type Reference } from "../../registry/oci/reference.ts";
import { storeRepository } from "../../registry/store/name.ts";
import { UsageError } from "../exit.ts";
import { readPlace, type Writable } from "../places.ts";
import type { RebaseHow } from "./one.ts";

/** Where the result goes: the image's own tag only from where it was read, so that nobody's change is lost. */
export function targetsOf(
  { tagTemplate, tags = [], from }: Pick<RebaseHow, "tagTemplate" | "tags" | "from">,
  target: Writable,
  reference: Reference | undefined,
  { old, made, base }: PreparedRebase,
  now: Date,
): readonly RebaseTarget[] {
  const { repository } = target;
  const own = reference === undefined
    ? target.reference
    : reference.tag ?? (reference.digest === undefined ? "latest" : undefined);
  const targets: RebaseTarget[] = [];
  if (tagTemplate !== undefined) {
    const tag = fillTag(tagTemplate, own ?? "latest", made.digest, base.digest, now);
    targets.push({ repository, tag, expect: "absent" });
  } else if (own === undefined) {
    targets.push({ repository });
  } else {
    targets.push({ repository, tag: own, ...(from === undefined ? { expect: [old.digest] } : {}) });
  }
  for (const name of tags) {
    const other = readPlace(name);
    if (other.kind !== "registry" || reference === undefined) {
      throw new UsageError(`Cannot tag ${name}: --tag goes with the name of an image`);
    }
    if (other.reference.digest !== undefined || other.reference.registry !== reference.registry) {
      throw new UsageError(
        `Cannot tag ${name}: want a tag on the registry of ${familiarName(reference)}`,
      );
    }
    targets.push({
      repository: isStore(target) ? storeRepository(other.reference) : other.reference.repository,
      tag: other.reference.tag ?? "latest",
    });
  }
  return targets;
}

/** Whether it is where the image was read. */
export function isSource(
  one: RebaseTarget,
  { source }: PreparedRebase,
  target: Writable,
): boolean {
  return (source.registry as unknown) === target.registry &&
    source.repository === one.repository &&
    (one.tag ?? source.reference) === source.reference;
}

/** There an image is read as fast as what an earlier run noted of it. */
export function isStore({ registry }: Writable): boolean {
  return registry.name === "store";
}

/** Names of tags for people. */
export function namesOf(target: Writable, targets: readonly RebaseTarget[]): readonly string[] {
  return targets.flatMap(({ repository, tag }) =>
    tag === undefined ? [] : [
      repository === target.repository ? `${target.repositoryName}:${tag}` : `${repository}:${tag}`,
    ]
  );
}

/** A tag made of a template: `{tag}`, `{date}` as 20260131, `{digest}` and `{base}` as their first twelve digits. */
export function fillTag(
  template: string,
  tag: string,
  digest: Digest,
  base: Digest,
  now: Date,
): string {
  const short = (text: Digest) => text.slice(text.indexOf(":") + 1, text.indexOf(":") + 13);
  const made = template
    .replaceAll("{tag}", tag)
    .replaceAll("{date}", now.toISOString().slice(0, 10).replaceAll("-", ""))
    .replaceAll("{digest}", short(digest))
    .replaceAll("{base}", short(base));
  if (isTag(made)) return made;
  throw new UsageError(
    `Cannot use tag ${JSON.stringify(made)} of ${
      JSON.stringify(template)
    }: want {tag}, {date}, {digest}, {base} and characters of a tag`,
  );
}
