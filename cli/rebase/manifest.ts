/** `wherry fleet manifest`: YAML for the engine that runs the shards. */
import { resolve } from "node:path";
import { stringify } from "yaml";
import {
  type Engine,
  fleetDocuments,
  type FleetJob,
  MAX_CONFIG_MAP,
} from "../../lifecycle/fleet/manifest.ts";
import { parsePlan } from "../../lifecycle/fleet/plan.ts";
import { fileFault, UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { readName } from "../places.ts";
import { keepAt, keptAt } from "./kept.ts";

/** Its flags. */
export interface ManifestFlags {
  readonly engine: Engine;
  readonly image: string;
  readonly name: string;
  readonly shards: string;
  readonly parallel?: string;
  readonly plan?: string;
  readonly configMap?: string;
  readonly journal?: string;
  readonly secret?: string;
  readonly flag?: readonly string[];
}

/** What engines take: GitHub's matrix has at most 256 jobs, GitLab's `parallel` 200. */
const MOST: Readonly<Record<Engine, number>> = {
  "k8s-job": 100_000,
  tekton: 256,
  gitlab: 200,
  github: 256,
};

/** Prints it. */
export async function manifest(io: Io, flags: ManifestFlags): Promise<void> {
  const { engine } = flags;
  const shards = numberOf(flags.shards, "--shards", MOST[engine]);
  const parallel = flags.parallel === undefined
    ? shards
    : numberOf(flags.parallel, "--parallel", shards);
  const { configMap = "wherry-plan" } = flags;
  for (const [flag, name] of [["--name", flags.name], ["--config-map", configMap]] as const) {
    if (!/^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$/.test(name)) {
      throw new UsageError(
        `Cannot use ${flag} ${JSON.stringify(name)}: want lower-case letters, digits and "-"`,
      );
    }
  }
  readName(flags.image);
  const mapped = engine === "k8s-job" || engine === "tekton";
  if (flags.plan === undefined && !(mapped && flags.configMap !== undefined)) {
    throw new UsageError(
      `Cannot write a manifest without a plan: want --plan FILE or oci:REFERENCE${
        mapped ? ", or --config-map NAME of one that is there" : ""
      }`,
    );
  }
  const far = flags.plan !== undefined && keptAt(flags.plan) !== undefined;
  if (far && flags.configMap !== undefined) {
    throw new UsageError("Cannot use --config-map with a plan in a registry: want one of them");
  }
  if (flags.journal !== undefined) checkJournal(flags.journal, shards);
  const planText = mapped && !far && flags.plan !== undefined
    ? await readPlan(io, flags.plan)
    : undefined;
  const job: FleetJob = {
    name: flags.name,
    image: flags.image,
    shards,
    parallel,
    plan: mapped && !far ? "/plan/plan.jsonl" : flags.plan!,
    configMap: far ? undefined : configMap,
    journal: flags.journal,
    planText,
    secret: flags.secret,
    words: flags.flag ?? [],
  };
  // Aliases would save a few lines and be read by nobody.
  const texts = fleetDocuments(engine, job).map((one) =>
    stringify(one, { lineWidth: 0, aliasDuplicateObjects: false })
  );
  io.stdout.write(texts.join("---\n"));
}

/** Each part writes its own; files of jobs are what they are without the flag. */
function checkJournal(journal: string, shards: number): void {
  if (keepAt(journal.replaceAll("{shard}", "1")) === undefined) {
    throw new UsageError(`Cannot use --journal ${journal}: want oci:REGISTRY/REPOSITORY:TAG`);
  }
  if (shards === 1 || journal.includes("{shard}")) return;
  throw new UsageError(
    `Cannot keep journal ${journal} for ${shards} shards: want {shard} in its tag, since each writes its own`,
  );
}

async function readPlan(io: Io, file: string): Promise<string> {
  let text: string;
  try {
    text = await Deno.readTextFile(resolve(io.cwd, file));
  } catch (cause) {
    throw new UsageError(`Cannot read plan ${file}: ${fileFault(cause)}`, { cause });
  }
  parsePlan(text, file);
  if (new TextEncoder().encode(text).byteLength <= MAX_CONFIG_MAP) return text;
  throw new UsageError(
    `Cannot put plan ${file} into a ConfigMap: it is longer than 1 MiB; want it in a registry (wherry rebase plan --out oci:REFERENCE)`,
  );
}

function numberOf(text: string, flag: string, most: number): number {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : NaN;
  if (number >= 1 && number <= most) return number;
  throw new UsageError(`Cannot use ${flag} ${JSON.stringify(text)}: want 1 to ${most}`);
}
