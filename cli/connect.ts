/** The clients of a command, from its flags and environment. */
import { Registries } from "../registry/client/client.ts";
import { credentialsFrom } from "../registry/client/credentials.ts";
import type { CredentialSource, ProxySettings } from "../registry/client/options.ts";
import type { Log } from "../registry/context.ts";
import type { CommonFlags } from "./common.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";

/**
 * All registries this command may reach.
 *
 * @param around Stands between the clients and where secrets come from.
 * @throws {UsageError} When a certificate cannot be read.
 */
export async function connect(
  io: Io,
  flags: CommonFlags,
  log: Log,
  version: string,
  around: (source: CredentialSource) => CredentialSource = (source) => source,
): Promise<Registries> {
  const { env } = io;
  return new Registries({
    userAgent: `wherry/${version}`,
    caCerts: await readCerts(io, flags),
    insecureHosts: [...(flags.insecureRegistry ?? []), ...words(env["CNB_INSECURE_REGISTRIES"])],
    ...(flags.offline ? { allowHost: () => false } : {}),
    proxy: proxyOf(env),
    credentials: around(credentialsFrom({ env, uid: io.user.uid, log })),
    log,
  });
}

function words(text: string | undefined): readonly string[] {
  return (text ?? "").split(",").map((word) => word.trim()).filter((word) => word !== "");
}

/** `--ca-cert` must be readable; what the environment names is used when it is there. */
async function readCerts(io: Io, flags: CommonFlags): Promise<readonly string[]> {
  const certs: string[] = [];
  for (const file of flags.caCert ?? []) {
    let text: string;
    try {
      text = await Deno.readTextFile(file);
    } catch (cause) {
      throw new UsageError(
        `Cannot read --ca-cert ${JSON.stringify(file)}: ${(cause as Error).message}`,
        { cause },
      );
    }
    if (!text.includes("-----BEGIN CERTIFICATE-----")) {
      throw new UsageError(
        `Cannot use --ca-cert ${JSON.stringify(file)}: want a certificate in PEM`,
      );
    }
    certs.push(text);
  }
  const system = io.env["SSL_CERT_FILE"] ?? io.env["DENO_CERT"] ?? SYSTEM_BUNDLE;
  const text = await Deno.readTextFile(system).catch(() => undefined);
  return text === undefined ? certs : [...certs, text];
}

/** Where Debian, Alpine and most others keep what the machine's owner trusts. */
const SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt";

/** The usual variables; lower case wins, and HTTP_PROXY in capitals is ignored inside of CGI (httpoxy). */
function proxyOf(env: Readonly<Record<string, string>>): ProxySettings {
  const upperHttp = env["REQUEST_METHOD"] === undefined ? env["HTTP_PROXY"] : undefined;
  return {
    http: env["http_proxy"] || upperHttp || undefined,
    https: env["https_proxy"] || env["HTTPS_PROXY"] || undefined,
    no: env["no_proxy"] || env["NO_PROXY"] || undefined,
  };
}
