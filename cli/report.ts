/** `wherry report`: what somebody who helps wants to know first, without what is nobody else's business. */
import { parse, stringify } from "smol-toml";
import { BUILDPACK_APIS, PLATFORM_APIS } from "../lifecycle/api.ts";
import { formatPlatform } from "../registry/oci/platform.ts";
import type { CommonFlags } from "./common.ts";
import { fileFault, UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import type { OutputFormat } from "./output.ts";
import { machinePlatform } from "./platform.ts";
import { settingsPath } from "./registry_settings.ts";
import { Session } from "./session.ts";
import { shown } from "./ui/shown.ts";
import { VERSION } from "./version.ts";

const HIDDEN = "[REDACTED]";

/** Variables that change what wherry does, by name or by how the name begins. */
const TELLING =
  /^(WHERRY_|CNB_|XDG_(CONFIG|DATA)_HOME$|SOURCE_DATE_EPOCH$|DOCKER_CONFIG$|REGISTRY_AUTH_FILE$|CONTAINERS_|REGISTRIES_|SSL_CERT_|NO_COLOR$|(https?|no|all)_proxy$)/i;

/**
 * Prints the report.
 *
 * @param options.explicit Shows values instead of that there are some.
 * @throws {UsageError} When `config.toml` cannot be read.
 */
export function report(
  io: Io,
  flags: CommonFlags,
  options: { readonly explicit: boolean; readonly format: OutputFormat },
): void {
  const { explicit, format } = options;
  const path = settingsPath(io.env);
  const text = path && readIfThere(path);
  const value = (text: string) => explicit ? text : HIDDEN;
  const env = Object.entries(io.env).filter(([name]) => TELLING.test(name)).toSorted();
  const found = {
    version: VERSION,
    platform: formatPlatform(machinePlatform()),
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    kernel: Deno.osRelease(),
    apis: { platform: PLATFORM_APIS, buildpack: BUILDPACK_APIS },
    store: storeOf(io, flags),
    environment: Object.fromEntries(env.map(([name, text]) => [name, value(text)])),
    config: { path, values: text === undefined ? undefined : configValues(text, path!, value) },
  };
  if (format === "json") {
    io.stdout.write(JSON.stringify(found, null, 2) + "\n");
    return;
  }
  const values = found.config.values;
  const lines = [
    `wherry:         ${found.version}`,
    `Platform:       ${found.platform}, Linux ${found.kernel}`,
    `Deno:           ${found.deno}, V8 ${found.v8}`,
    `Platform APIs:  ${found.apis.platform.join(", ")}`,
    `Buildpack APIs: ${found.apis.buildpack.join(", ")}`,
    `Store:          ${found.store ?? "none: there is no HOME"}`,
    "",
    env.length === 0 ? "Environment: nothing that wherry heeds" : "Environment:",
    ...Object.entries(found.environment).map(([name, text]) => `  ${name}=${shown(text)}`),
    "",
    `Config (${path ?? "no HOME to have one in"})${values ? ":" : ": not there"}`,
    ...(values ? stringify(values).trimEnd().split("\n").map((line) => `  ${line}`) : []),
  ];
  io.stdout.write(lines.map((line) => line.trimEnd() + "\n").join(""));
}

function readIfThere(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new UsageError(`Cannot read ${path}: ${fileFault(cause)}`, { cause });
  }
}

function storeOf(io: Io, flags: CommonFlags): string | undefined {
  try {
    return new Session(io, flags).storeDir();
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}

/** The document, each text in it as `value` gives it; keys, numbers and switches stay. */
function configValues(
  text: string,
  path: string,
  value: (text: string) => string,
): Readonly<Record<string, unknown>> {
  const told = (one: unknown): unknown => {
    if (typeof one === "string") return value(one);
    if (Array.isArray(one)) return one.map(told);
    if (typeof one !== "object" || one === null || one instanceof Date) return one;
    return Object.fromEntries(Object.entries(one).map(([key, below]) => [key, told(below)]));
  };
  try {
    return told(parse(text)) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    const [what = ""] = (cause as Error).message.split("\n");
    throw new UsageError(`Cannot read ${path}: ${what}`, { cause });
  }
}
