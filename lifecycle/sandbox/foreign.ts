/** Whether images of the other processor can be entered: found by starting a program of it behind the walls. */
import { join } from "node:path";
import type { Entry } from "./entry.ts";
import { StartError } from "./executor.ts";
import { prepareRoot } from "./root.ts";
import { runPlain } from "./run.ts";
import { removeTrees } from "./trees.ts";

/** A program that says by its exit code that it ran. */
export interface ForeignProgram {
  /** A static executable. */
  readonly bytes: Uint8Array;
  /** What it ends with when it is started with no argument and no environment. */
  readonly code: number;
}

/** Where the attempt is made. */
export interface ForeignOptions {
  /** How images are entered here. */
  readonly entry: Entry;
  /** The sandbox helper's executable. */
  readonly helper: string;
  /** Ends the attempt. */
  readonly signal: AbortSignal;
}

/** Its user; any that is not root. */
const ID = 1000;

/**
 * Starts `program` as a buildpack would be, in a root that holds nothing else.
 *
 * @returns Why it does not start; `undefined` when it does.
 */
export async function whyNotForeign(
  program: ForeignProgram,
  { entry, helper, signal }: ForeignOptions,
): Promise<string | undefined> {
  const scratch = await Deno.makeTempDir({ prefix: "wherry-foreign-" });
  try {
    await Deno.chmod(scratch, 0o755);
    const tree = join(scratch, "root");
    for (const dir of ["", "proc", "sys", "dev", "tmp", "var", "var/tmp", "etc", "home"]) {
      await Deno.mkdir(join(tree, dir), { recursive: true, mode: 0o755 });
    }
    const file = join(tree, "program");
    await Deno.writeFile(file, program.bytes);
    await Deno.chmod(file, 0o755);
    const command = { args: [], cwd: "/", env: {}, signal, onOutput() {} };
    // A kernel without a rule makes the C library hand the file to the shell, which ends otherwise.
    const plain = await runPlain({ ...command, program: file }).catch(toError);
    if (plain instanceof StartError && plain.message.includes("denied")) return undefined; // noexec: cannot be told
    if (plain instanceof StartError || plain.code !== program.code) return NO_RULE;
    if (entry.mode !== "namespaces") return undefined;
    await using sandbox = await prepareRoot({
      ...{ helper, tree, scratchDir: scratch, owner: entry.owner, dirs: [] },
      ...{ uid: ID, gid: ID, root: "read-only" },
    });
    const inside = await sandbox.run({ ...command, program: "/program" }).catch(toError);
    return !(inside instanceof StartError) && inside.code === program.code ? undefined : NOT_FIXED;
  } finally {
    await removeTrees(helper, [scratch]);
  }
}

const NO_RULE = "the kernel has no interpreter for its programs";
const NOT_FIXED = "the interpreter of its programs is not found in a root of their own " +
  "(registered without flag F)";

function toError(error: unknown): StartError {
  if (error instanceof StartError) return error;
  throw error;
}
