/** A machine for keychain tests: files as a record, lines of the log kept, nothing of the real world. */
import { quietContext } from "../../context.ts";
import type { KeychainWorld } from "./world.ts";

/** A world whose log lines can be read. */
export interface TestWorld extends KeychainWorld {
  /** All lines at all levels. */
  readonly lines: string[];
}

/**
 * Makes one; `files` by absolute path. Metadata services are where nobody listens unless `world` says where; those
 * that are there have all the time a loaded machine may take.
 */
export function testWorld(
  world: KeychainWorld,
  files: Readonly<Record<string, string>> = {},
): TestWorld {
  const lines: string[] = [];
  const say = (line: string) => void lines.push(line);
  const nowhere = "http://127.0.0.1:1";
  return {
    readFile: (path) => Promise.resolve(files[path]),
    log: { ...quietContext().log, debug: say, info: say, warn: say, error: say },
    probeMs: 60_000,
    ...world,
    endpoints: {
      awsContainer: nowhere,
      awsMetadata: nowhere,
      googleMetadata: nowhere,
      azureMetadata: nowhere,
      ecrPublic: nowhere,
      ecr: () => nowhere,
      sts: () => nowhere,
      sso: () => nowhere,
      googleToken: nowhere,
      googleIam: nowhere,
      azureAuthority: () => nowhere,
      acr: () => nowhere,
      ...world.endpoints,
    },
    lines,
  };
}
