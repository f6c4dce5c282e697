import { resolve } from "node:path";
import type { CommonFlags } from "./common.ts";
import { fileFault, UsageError } from "./exit.ts";

/**
 * The texts of `--ca-cert`. Read when a command begins, whether it dials anybody or not: a path that is wrong shall not
 * show in the middle of a build.
 *
 * @param cwd What paths are relative to.
 * @throws {UsageError} When one cannot be read, or is no certificate in PEM.
 */
export function flaggedCerts(cwd: string, { caCert = [] }: CommonFlags): readonly string[] {
  return caCert.map((file) => {
    let text: string;
    try {
      text = Deno.readTextFileSync(resolve(cwd, file));
    } catch (cause) {
      throw new UsageError(
        `Cannot read --ca-cert ${JSON.stringify(file)}: ${fileFault(cause)}`,
        { cause },
      );
    }
    if (!text.includes("-----BEGIN CERTIFICATE-----")) {
      throw new UsageError(
        `Cannot use --ca-cert ${JSON.stringify(file)}: want a certificate in PEM`,
      );
    }
    return text;
  });
}
