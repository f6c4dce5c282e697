/** What the instructions of a Dockerfile do to files. */
import type { Context } from "../../registry/context.ts";
import type { Step } from "../dockerfile/parse.ts";
import { expandWord } from "../dockerfile/words.ts";
import {
  absolutePath,
  type DockerfileScope,
  type DockerfileState,
  environmentOf,
  lookupIn,
  shellOf,
  workDirOf,
} from "../extend/config.ts";
import { type BuildContext, copyInto, type CopySource, digestSources } from "../extend/copy.ts";
import type { StepLayer } from "../extend/layer_cache.ts";
import { makeDirectoryIn } from "../extend/root.ts";
import { findUser } from "../extend/users.ts";
import { runCommand, type RunMeans } from "./extend_run.ts";
import type { ExtendWork } from "./extend_work.ts";

/** What instructions are carried out with. */
export interface StepMeans extends RunMeans {
  /** What COPY and ADD copy from; opened when it is wanted. */
  readonly context: () => Promise<BuildContext>;
  readonly ctx: Context;
}

/** What an instruction makes of the files: a layer, or nothing. */
export async function applyStep(
  step: Step,
  state: DockerfileState,
  scope: DockerfileScope,
  means: StepMeans,
  work: ExtendWork,
): Promise<StepLayer> {
  const { act } = step;
  const { config } = state;
  const expand = (text: string) => expandWord(text, lookupIn(state), scope.escape);
  switch (act.name) {
    case "RUN":
      return await work.cached(
        ["RUN", act.command, environmentOf(state), shellOf(config), config.User, workDirOf(config)],
        step,
        (root) => runCommand(act.command, state, root, means),
      );
    case "WORKDIR": {
      const target = absolutePath(config, expand(act.value));
      return await work.cached(["WORKDIR", target, config.User], step, async (root) => {
        const user = findUser(root.root, config.User ?? "");
        await makeDirectoryIn(root, target, user);
        return user;
      });
    }
    case "COPY":
    case "ADD": {
      const sources = await sourcesOf(act, state, scope, means);
      const written = expand(act.target);
      const target = absolutePath(config, written);
      const chown = expand(act.chown ?? "");
      const mode = modeOf(act.chmod && expand(act.chmod));
      const isDirectory = /(^|\/)\.?\.?$/.test(written);
      const parts = [
        act.name,
        await digestSources(sources),
        target,
        isDirectory,
        chown,
        mode ?? null,
      ];
      return await work.cached(parts, step, async (root) => {
        const owner = findUser(root.root, chown);
        await copyInto(root, sources, {
          target,
          isDirectory,
          owner,
          mode,
          unpack: act.name === "ADD",
        });
        return owner;
      });
    }
    case "HEALTHCHECK":
    case "MAINTAINER":
    case "ONBUILD":
      means.ctx.log.warn(`${step.text} is left out: it means nothing in an extension`);
      return null;
    default:
      return null;
  }
}

/** What COPY or ADD copies: files of the context, and texts in the Dockerfile. */
async function sourcesOf(
  act: Extract<Step["act"], { readonly name: "COPY" | "ADD" }>,
  state: DockerfileState,
  scope: DockerfileScope,
  { context }: StepMeans,
): Promise<readonly CopySource[]> {
  const lookup = lookupIn(state);
  const sources: CopySource[] = [];
  for (const word of act.sources.map((text) => expandWord(text, lookup, scope.escape))) {
    if (/^(https?|git|ssh):\/\/|^git@/.test(word)) {
      throw new TypeError(
        `${word} is not fetched: want bin/generate to put it into the context`,
      );
    }
    sources.push(...await (await context()).find(word));
  }
  for (const { name, content, expand: isOpen } of act.heredocs) {
    const text = isOpen ? expandWord(content, lookup, scope.escape, { keepQuotes: true }) : content;
    sources.push({ name, entries: [], text });
  }
  return sources;
}

function modeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[0-7]{3,4}$/.test(text)) {
    throw new TypeError(`--chmod=${text} is no mode, want three or four octal digits`);
  }
  return Number.parseInt(text, 8);
}
