/** Whether an app image may stand on another base (RB-4, RB-5): decided from two configs, nothing is read. */
import { type ImageConfig, labelOf } from "../../registry/oci/config.ts";
import { parseJson } from "../file/json.ts";
import { runTarget } from "./analyze.ts";

/** Something that speaks against a rebase. */
export interface RebaseObstacle {
  /** One line. */
  readonly why: string;
  /** `-force` turns it into a warning. */
  readonly overridable: boolean;
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
    found.push({ why: "app image is not marked as rebasable", overridable: true });
  }
  const [theirs, ours] = [runTarget(base, "new run image"), runTarget(app, "app image")];
  const { distro } = theirs;
  const fits = theirs.os === ours.os && theirs.arch === ours.arch &&
    (theirs.variant === ours.variant || theirs.variant === "" || ours.variant === "") &&
    (distro === undefined || (ours.distro !== undefined &&
      (distro.name === "" || distro.name === ours.distro.name) &&
      (distro.version === "" || distro.version === ours.distro.version)));
  if (!fits) {
    found.push({
      why:
        `unable to satisfy target os/arch constraints; new run image: ${JSON.stringify(theirs)}, ` +
        `old run image: ${JSON.stringify(ours)}`,
      overridable: true,
    });
  }
  return found;
}

function stackObstacles(app: ImageConfig, base: ImageConfig): readonly RebaseObstacle[] {
  const stop = (why: string) => [{ why, overridable: false }];
  const ours = labelOf(app, "io.buildpacks.stack.id") ?? "";
  const theirs = labelOf(base, "io.buildpacks.stack.id") ?? "";
  if (ours === "") return stop("stack not defined on app image");
  if (theirs === "") return stop("stack not defined on new base image");
  if (ours !== theirs) {
    return stop(`incompatible stack: '${theirs}' is not compatible with '${ours}'`);
  }
  const there = mixinsOf(base);
  const missing = [...mixinsOf(app)].filter((mixin) => !there.has(mixin)).sort();
  return missing.length === 0 ? [] : stop(`missing required mixin(s): ${missing.join(", ")}`);
}

/** Without `build:` and `run:`, which say for whom a mixin is. */
function mixinsOf(config: ImageConfig): ReadonlySet<string> {
  const label = labelOf(config, "io.buildpacks.stack.mixins");
  const list = label ? parseJson(label, "label io.buildpacks.stack.mixins") : [];
  const names = Array.isArray(list) ? list.map(String) : [];
  return new Set(names.map((name) => name.replace(/^(build|run):/, "")));
}
