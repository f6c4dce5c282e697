/** What the helper writes of a command that it ran: how that ended, or why it never began. */
import { z } from "zod";
import { type Outcome, StartError } from "./executor.ts";
import { signalName } from "./signal.ts";

const exitLine = z.lazy(() =>
  z.object({
    exit: z.number().int(),
    signal: z.number().int(),
    timeout: z.boolean(),
    maxrss_kb: z.number().int(),
  })
);

const failLine = z.lazy(() =>
  z.object({
    fail: z.union([z.literal(125), z.literal(126), z.literal(127)]),
    act: z.string(),
    thing: z.string(),
    errno: z.number().int(),
    error: z.string(),
  })
);

/** What the helper wrote: how the program ended, or why it never began. */
export interface Status {
  /** How it ended. */
  exit?: z.infer<typeof exitLine>;
  /** Why it never began. */
  failure?: StartError;
}

/** Reads it, a JSON document a line. */
export function parseStatus(text: string): Status {
  const status: Status = {};
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const value: object = JSON.parse(line);
    // Others are of how far it got.
    if ("exit" in value) status.exit = exitLine.parse(value);
    if (!("fail" in value)) continue;
    const { fail, act, thing, error } = failLine.parse(value);
    status.failure ??= new StartError(fail, `Cannot ${act} "${thing}": ${error}`);
  }
  return status;
}

/**
 * How the command ended: as the helper said, or as the helper itself did.
 *
 * @throws {StartError} When it never began.
 */
export function outcomeOf(status: Deno.CommandStatus, said: Status): Outcome {
  if (said.failure) throw said.failure;
  if (said.exit) {
    const name = said.exit.signal > 0 ? signalName(said.exit.signal) : undefined;
    return {
      code: said.exit.exit,
      maxRssKb: said.exit.maxrss_kb,
      ...(name === undefined ? {} : { signal: name }),
    };
  }
  if (status.signal === null) {
    throw new StartError(125, `Cannot run the sandbox helper: it ended with ${status.code}`);
  }
  return { code: status.code, signal: status.signal };
}
