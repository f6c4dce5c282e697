/**
 * Turns an order into fully expanded groups, one after the other, until one passes.
 *
 * A composite is replaced by each of its alternatives in turn, and the rest of its group is tried
 * anew with each (DT-3, DT-4).
 */
import type { Capabilities, PlatformCapabilities } from "../api.ts";
import { ExitCode, failAs, LifecycleError } from "../error.ts";
import { type BuildpackDescriptor, inferTargets, isComposite } from "../file/buildpack_toml.ts";
import { type ExtensionDescriptor, inferExtensionTargets } from "../file/extension_toml.ts";
import {
  type GroupElement,
  type GroupOrder,
  inExecEnv,
  moduleName,
  type Target,
} from "../file/module.ts";
import type { Context } from "../../registry/context.ts";
import { capabilitiesOf } from "./capabilities.ts";
import { type DetectRun, notRun, runDetect } from "./detect_run.ts";
import { describeMismatch, suitsRunImage } from "./detect_target.ts";
import type { DetectInput, Module } from "./detect_types.ts";

/** An element of a group and how it got there. */
export interface Element extends GroupElement {
  /** The composites it came from, outermost first, as `id@version`. */
  readonly from: readonly string[];
  /** It is an image extension. */
  readonly extension: boolean;
}

/** Stands in front of every group for all extensions: a composite of them, so to speak (DT-1). */
const EXTENSIONS = Symbol("extensions");

/** A component that was run, or will have been when `run` settles. */
export interface Member {
  /** Its place in the order. */
  readonly element: Element;
  /** What its file says. */
  readonly descriptor: BuildpackDescriptor | ExtensionDescriptor;
  /** Its detection; started, shared between groups. */
  readonly run: Promise<DetectRun>;
}

/** What became of one group: the answer of the whole search, or go on with the next. */
export type Answer<T> =
  | { readonly kind: "pass"; readonly value: T }
  | { readonly kind: "fail" }
  | { readonly kind: "error" };

/** The search through an order. It starts each `bin/detect` at most once (DT-6). */
export class Expansion<T> {
  readonly #runs = new Map<string, Promise<DetectRun>>();
  #extensions: GroupOrder = [];
  readonly #input: DetectInput;
  readonly #platform: PlatformCapabilities;
  readonly #ctx: Context;
  readonly #resolve: (members: readonly Member[]) => Promise<Answer<T>>;

  /** Prepares a search; `resolve` judges one fully expanded group. */
  constructor(
    input: DetectInput,
    platform: PlatformCapabilities,
    ctx: Context,
    resolve: (members: readonly Member[]) => Promise<Answer<T>>,
  ) {
    this.#input = input;
    this.#platform = platform;
    this.#ctx = ctx;
    this.#resolve = resolve;
  }

  /**
   * Searches `order` for the first group that passes, each with the first group of `extensions` that lets it pass.
   *
   * @throws {LifecycleError} 22 for a nested buildpack that is not there, unreadable or part of itself;
   * 12 for one whose API is not supported.
   */
  search(order: GroupOrder, extensions: GroupOrder): Promise<Answer<T>> {
    this.#extensions = extensions;
    const first = extensions.length > 0 ? [EXTENSIONS] as const : [];
    return this.#order(order, { from: [], extension: false }, [], first, [], false);
  }

  /** Settles when every `bin/detect` that was started has ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#runs.values());
  }

  async #order(
    order: GroupOrder,
    which: Pick<Element, "from" | "extension">,
    done: readonly Member[],
    first: readonly (typeof EXTENSIONS)[],
    next: readonly Element[],
    optional: boolean,
  ): Promise<Answer<T>> {
    let errored = false;
    for (const { group } of order) {
      const elements = group.map((element): Element => ({ ...element, ...which }));
      const answer = await this.#group([...first, ...elements, ...next], done);
      if (answer.kind === "pass") return answer;
      errored ||= answer.kind === "error";
    }
    if (optional) return await this.#group(next, done);
    return { kind: errored ? "error" : "fail" };
  }

  async #group(
    group: readonly (Element | typeof EXTENSIONS)[],
    before: readonly Member[],
  ): Promise<Answer<T>> {
    const done = [...before];
    for (const [at, element] of group.entries()) {
      // It is only ever the first.
      const rest = group.slice(at + 1) as readonly Element[];
      if (element === EXTENSIONS) {
        const which = { from: [], extension: true };
        return await this.#order(this.#extensions, which, done, [], rest, true);
      }
      if (done.some((member) => isSame(member.element, element))) continue;
      const module = await this.#find(element);
      const { descriptor } = module;
      if (this.#platform.execEnv && !inExecEnv(element.execEnv, this.#input.execEnv)) {
        this.#skipExecEnv(element, element.execEnv);
        continue;
      }
      const name = moduleName(descriptor);
      const can: Capabilities = capabilitiesOf(this.#platform, module);
      if (module.kind === "buildpack" && isComposite(module.descriptor)) {
        if (element.from.includes(name)) {
          throw new LifecycleError(
            ExitCode.detect,
            `Cannot expand buildpack "${name}": it is part of itself, ` +
              [...element.from, name].join(" -> "),
          );
        }
        const from = [...element.from, name];
        const { order } = module.descriptor;
        const which = { from, extension: false };
        return await this.#order(order, which, done, [], rest, element.optional);
      }
      if (can.execEnv && !inExecEnv(descriptor.execEnv, this.#input.execEnv)) {
        this.#skipExecEnv(element, descriptor.execEnv);
        continue;
      }
      const refused = this.#mismatch(element, module, can);
      const run = refused ? Promise.resolve(refused) : this.#start(module, can);
      done.push({ element, descriptor, run });
    }
    return await this.#resolve(done);
  }

  /** Nested elements are looked up here for the first time (DT-2). */
  async #find(element: Element): Promise<Module> {
    return await failAs(ExitCode.detect, this.#ctx.signal, () => {
      const { id, version } = element;
      if (element.extension) {
        const extension = this.#input.extensionStore?.find(id, version);
        if (extension !== undefined) return { kind: "extension", ...extension };
        throw new LifecycleError(
          ExitCode.detect,
          `Cannot find extension "${moduleName(element)}", named by the order`,
        );
      }
      const buildpack = this.#input.store.find(id, version);
      if (buildpack !== undefined) return { kind: "buildpack", ...buildpack };
      const from = element.from.at(-1);
      throw new LifecycleError(
        ExitCode.detect,
        `Cannot find buildpack "${moduleName(element)}"${from ? `, named by "${from}"` : ""}`,
      );
    });
  }

  /** The result of a buildpack that does not suit the run image and so is not run (DT-10). */
  #mismatch(
    element: Element,
    module: Module,
    can: Capabilities,
  ): DetectRun | undefined {
    if (!this.#platform.targets) return undefined;
    const { target, buildDistro } = this.#input;
    const targets = targetsOf(module, can);
    if (suitsRunImage(targets, target, buildDistro)) return undefined;
    // Go runs an optional one all the same; the text says to leave it out (D15).
    const verdict = element.optional ? "skip" : "error";
    return notRun(module.descriptor, verdict, describeMismatch(targets, target));
  }

  /** Starts `bin/detect`, or takes the result of an earlier group (DT-6). */
  #start(module: Module, can: Capabilities): Promise<DetectRun> {
    const key = `${module.kind} ${moduleName(module.descriptor)}`;
    let run = this.#runs.get(key);
    if (run === undefined) {
      run = runDetect(module, can, this.#input, this.#ctx);
      // It is awaited with its whole group; until then a failure is not unheard of.
      run.catch(() => {});
      this.#runs.set(key, run);
    }
    return run;
  }

  #skipExecEnv(element: Element, supported: readonly string[]): void {
    this.#ctx.log.debug(
      `Skipping ${moduleName(element)} due to execution environment mismatch; ` +
        `current: ${this.#input.execEnv}, buildpack supports: ${supported.join(", ")}`,
    );
  }
}

/** Kinds have ids of their own: an extension may be called as a buildpack is (DT-4). */
function isSame(a: Element, b: Element): boolean {
  return a.id === b.id && a.extension === b.extension;
}

function targetsOf(module: Module, can: Capabilities): readonly Target[] {
  if (module.kind === "buildpack") {
    const hasBuild = exists(`${module.dir.outside}/bin/build`);
    return inferTargets(module.descriptor, can.buildpack.targets, hasBuild);
  }
  const bin = `${module.dir.outside}/bin`;
  return inferExtensionTargets(
    module.descriptor,
    exists(`${bin}/detect`) || exists(`${bin}/generate`),
  );
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
