import { runVerb } from "./child.ts";
import { parseProbe, type Probe } from "./probe.ts";

/** Asks the helper what this machine allows; takes some milliseconds, once: it does not change while we run. */
export function probeMachine(helper: string): Promise<Probe> {
  let probe = probes.get(helper);
  if (probe === undefined) {
    probe = runVerb(helper, ["probe"]).then(parseProbe);
    probe.catch(() => probes.delete(helper));
    probes.set(helper, probe);
  }
  return probe;
}

const probes = new Map<string, Promise<Probe>>();
