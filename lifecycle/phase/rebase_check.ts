/** Whether an app image may stand on another base (RB-4, RB-5): decided from two configs, nothing is read. */
import { type ImageConfig, labelOf } from "../../registry/oci/config.ts";
import { parseJson } from "../file/json.ts";
import { runTarget } from "./run_target.ts";

/** Something that speaks against a rebase. */
export interface RebaseObstacle {
  /** One line. */
  readonly why: string;
  /** `-force` turns it into a warning. */
  readonly overridable: boolean;
  /** Which check it is, in a word or two that do not change. */
  readonly check: RebaseCheck;
  /** What the app image says. */
  readonly app: string;
  /** What the new base says. */
  readonly base: string;
}

/** Every check that can refuse a rebase. */
export type RebaseCheck =
  | "rebasable label"
  | "os"
  | "architecture"
  | "variant"
  | "distro"
  | "stack id"
  | "mixins"
  | "run image name"
  | "base layer"
  | "metadata label"
  | "base date"
  | "bill of materials";

/** An obstacle in the words of people: the check, and what it saw on both sides. */
export function saidBy({ check, app, base, why }: Omit<RebaseObstacle, "overridable">): string {
  const [ours, theirs] = [JSON.stringify(app), JSON.stringify(base)];
  switch (check) {
    case "rebasable label":
      return `${check}: the image has ${ours}, want "true" or none`;
    case "run image name":
      return `${check}: the image names ${ours}, the new base is ${theirs}`;
    case "base layer":
    case "metadata label":
      return `${check}: ${why.replace(/^(?:rebase app image|get image metadata): /, "")}`;
    case "base date":
      return `${check}: the new base is of ${theirs}, ${why}`;
    case "bill of materials":
    case "mixins":
      return `${check}: the image has ${ours}, the new base ${theirs} (${why})`;
    default:
      return `${check}: the image has ${ours}, the new base ${theirs}`;
  }
}

/**
 * What speaks against `base` under `app`.
 *
 * @param byTarget By targets (the app was built at platform API 0.12 or newer), else by stack and mixins.
 */
export function rebaseObstacles(
  app: ImageConfig,
  base: ImageConfig,
  byTarget: boolean,
): readonly RebaseObstacle[] {
  return byTarget ? targetObstacles(app, base) : stackObstacles(app, base);
}

function targetObstacles(app: ImageConfig, base: ImageConfig): readonly RebaseObstacle[] {
  const found: RebaseObstacle[] = [];
  if (labelOf(app, "io.buildpacks.rebasable") === "false") {
    found.push({
      why: "app image is not marked as rebasable",
      overridable: true,
      check: "rebasable label",
      app: "false",
      base: "",
    });
  }
  const [theirs, ours] = [runTarget(base, "new run image"), runTarget(app, "app image")];
  const mismatch = mismatchOf(ours, theirs);
  if (mismatch !== undefined) {
    found.push({
      why:
        `unable to satisfy target os/arch constraints; new run image: ${JSON.stringify(theirs)}, ` +
        `old run image: ${JSON.stringify(ours)}`,
      overridable: true,
      ...mismatch,
    });
  }
  return found;
}

type Target = ReturnType<typeof runTarget>;

/** The first part of the target that does not fit. */
function mismatchOf(
  ours: Target,
  theirs: Target,
): Pick<RebaseObstacle, "check" | "app" | "base"> | undefined {
  if (theirs.os !== ours.os) return { check: "os", app: ours.os, base: theirs.os };
  if (theirs.arch !== ours.arch) {
    return { check: "architecture", app: ours.arch, base: theirs.arch };
  }
  if (theirs.variant !== ours.variant && theirs.variant !== "" && ours.variant !== "") {
    return { check: "variant", app: ours.variant, base: theirs.variant };
  }
  const { distro } = theirs;
  const fits = distro === undefined || (ours.distro !== undefined &&
    (distro.name === "" || distro.name === ours.distro.name) &&
    (distro.version === "" || distro.version === ours.distro.version));
  if (fits) return undefined;
  const name = (one: Target["distro"]) =>
    one === undefined ? "none" : `${one.name} ${one.version}`.trim();
  return { check: "distro", app: name(ours.distro), base: name(distro) };
}

function stackObstacles(app: ImageConfig, base: ImageConfig): readonly RebaseObstacle[] {
  const stop = (why: string, check: RebaseCheck, ours: string, theirs: string) => [
    { why, overridable: false, check, app: ours, base: theirs },
  ];
  const ours = labelOf(app, "io.buildpacks.stack.id") ?? "";
  const theirs = labelOf(base, "io.buildpacks.stack.id") ?? "";
  if (ours === "") return stop("stack not defined on app image", "stack id", "none", theirs);
  if (theirs === "") return stop("stack not defined on new base image", "stack id", ours, "none");
  if (ours !== theirs) {
    const why = `incompatible stack: '${theirs}' is not compatible with '${ours}'`;
    return stop(why, "stack id", ours, theirs);
  }
  const there = mixinsOf(base);
  const wanted = mixinsOf(app);
  const missing = [...wanted].filter((mixin) => !there.has(mixin)).sort();
  if (missing.length === 0) return [];
  const list = (mixins: ReadonlySet<string>) => [...mixins].sort().join(", ") || "none";
  const why = `missing required mixin(s): ${missing.join(", ")}`;
  return stop(why, "mixins", list(wanted), list(there));
}

/** Without `build:` and `run:`, which say for whom a mixin is. */
function mixinsOf(config: ImageConfig): ReadonlySet<string> {
  const label = labelOf(config, "io.buildpacks.stack.mixins");
  const list = label ? parseJson(label, "label io.buildpacks.stack.mixins") : [];
  const names = Array.isArray(list) ? list.map(String) : [];
  return new Set(names.map((name) => name.replace(/^(build|run):/, "")));
}
