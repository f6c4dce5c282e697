/** Which names the result of a rebase gets. */
import type { PreparedRebase } from "../../lifecycle/platform/rebase_read.ts";
import type { RebaseTarget } from "../../lifecycle/platform/rebase_write.ts";
import { type Digest, digestOf } from "../../registry/oci/digest.ts";
import { familiarName, isTag, type Reference } from "../../registry/oci/reference.ts";
import { storeRepository } from "../../registry/store/name.ts";
import { UsageError } from "../exit.ts";
import { readPlace, type Writable } from "../places.ts";
import type { RebaseHow } from "./one.ts";

/** One of them. */
export interface NamedTarget extends RebaseTarget {
  /** For people, where it is not simply another tag of the image. */
  readonly name?: string;
}

/** Where the result goes: the image's own tag only from where it was read, so that nobody's change is lost. */
export function targetsOf(
  { tagTemplate, tags = [], from }: Pick<RebaseHow, "tagTemplate" | "tags" | "from">,
  target: Writable,
  reference: Reference | undefined,
  { old, made, base }: PreparedRebase,
  now: Date,
): readonly NamedTarget[] {
  const { repository } = target;
  const own = reference === undefined
    ? target.reference
    : reference.tag ?? (reference.digest === undefined ? "latest" : undefined);
  const targets: NamedTarget[] = [];
  if (tagTemplate !== undefined) {
    const tag = fillTag(tagTemplate, own ?? "latest", made.digest, base.digest, now);
    targets.push({ repository, tag, expect: "absent" });
  } else if (own === undefined) {
    targets.push({ repository });
  } else {
    targets.push({ repository, tag: own, ...(from === undefined ? { expect: [old.digest] } : {}) });
  }
  for (const name of tags) targets.push(otherName(name, target, reference));
  return targets;
}

/** A name of `--tag`: of the same registry, of the store, or another tag of the same layout. */
function otherName(
  name: string,
  target: Writable,
  reference: Reference | undefined,
): NamedTarget {
  const other = readPlace(name);
  if (reference === undefined) {
    if (other.kind === "oci" && `oci:${other.path}` === target.repositoryName) {
      return { repository: target.repository, tag: other.tag ?? "latest" };
    }
    throw new UsageError(
      `Cannot tag ${name}: want a tag of the same layout, as in ${target.repositoryName}:TAG`,
    );
  }
  if (other.kind !== "registry" && !(other.kind === "store" && isStore(target))) {
    throw new UsageError(`Cannot tag ${name}: --tag goes with the name of an image`);
  }
  if (other.reference.digest !== undefined || other.reference.registry !== reference.registry) {
    throw new UsageError(
      `Cannot tag ${name}: want a tag on the registry of ${familiarName(reference)}`,
    );
  }
  const tag = other.reference.tag ?? "latest";
  return {
    repository: isStore(target) ? storeRepository(other.reference) : other.reference.repository,
    tag,
    name: familiarName({ ...other.reference, tag }),
  };
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
export function namesOf(target: Writable, targets: readonly NamedTarget[]): readonly string[] {
  return targets.flatMap(({ tag, name }) =>
    tag === undefined ? [] : [name ?? `${target.repositoryName}:${tag}`]
  );
}

/**
 * Reads templates before anything is read or written.
 *
 * @throws {UsageError} When one cannot become a tag.
 */
export function checkTemplates(...templates: readonly (string | undefined)[]): void {
  const digest = digestOf(new Uint8Array());
  for (const template of templates) {
    if (template !== undefined) fillTag(template, "latest", digest, digest, new Date(0));
  }
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
