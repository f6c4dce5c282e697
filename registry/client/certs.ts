/** Certificates that lie in directories named after hosts, as docker and containers keep them (C-CONN-04). */
import { X509Certificate } from "node:crypto";
import type { Log } from "../context.ts";
import { apiHost } from "../oci/reference.ts";
import type { HostTls } from "./options.ts";

const MAX_FILE = 1024 * 1024;
const PEM = "-----BEGIN CERTIFICATE-----";

/**
 * Where certificates for hosts are looked for, most important first.
 *
 * @see containers-certs.d(5)
 */
export function certDirs(env: Readonly<Record<string, string>>): readonly string[] {
  const home = env["HOME"];
  const settings = env["XDG_CONFIG_HOME"] || (home && `${home}/.config`);
  return [
    ...(settings ? [`${settings}/containers/certs.d`] : []),
    "/etc/containers/certs.d",
    "/etc/docker/certs.d",
  ];
}

/**
 * Reads `DIR/HOST[:PORT]/`: each `*.crt` is an authority trusted for that host alone, `X.cert` with `X.key` is our
 * own certificate for it. Authorities of all directories count; of our certificates the first one does.
 *
 * A directory without a port is about port 443. A directory or file that may not be read is skipped.
 *
 * @returns By `host:port`, ready to be {@linkcode TransportOptions.hosts}. Reading the entry of a host throws a
 * TypeError when a certificate there has no key, a key no certificate, or a file is not what its name says.
 */
export async function readCertDirs(
  dirs: readonly string[],
  log?: Log,
): Promise<Readonly<Record<string, HostTls>>> {
  const hosts: Record<string, HostTls> = {};
  for (const dir of dirs) {
    for (const name of namesIn(dir)) {
      const key = hostKey(name);
      if (Object.getOwnPropertyDescriptor(hosts, key)?.get !== undefined) continue;
      let found: HostTls | undefined;
      try {
        found = await readHostDir(`${dir}/${name}`, log);
      } catch (error) {
        // The host cannot be used; others can, and most commands are about others.
        Object.defineProperty(hosts, key, {
          enumerable: true,
          get() {
            throw error;
          },
        });
        continue;
      }
      if (found === undefined) continue;
      const { caCerts = [], ...pair } = hosts[key] ?? {};
      hosts[key] = {
        ...(pair.cert === undefined ? { cert: found.cert, key: found.key } : pair),
        caCerts: [...caCerts, ...found.caCerts ?? []],
      };
    }
  }
  return hosts;
}

/** `host:port` as connections know it: IPv6 without brackets, Docker Hub's API by its name. */
function hostKey(name: string): string {
  const host = apiHost(name.toLowerCase());
  const full = /^(\[.*\]|[^:]*):\d+$/.test(host) ? host : `${host}:443`;
  return full.replace(/^\[(.*)\]:/, "$1:");
}

/**
 * Authorities for every host: those of `SSL_CERT_FILE` and `SSL_CERT_DIR`, as OpenSSL and Go read them, or those
 * of the system when neither is set; `DENO_CERT` besides. What is not there or holds no certificate is skipped.
 *
 * @returns PEM texts.
 */
export async function readSystemCerts(
  env: Readonly<Record<string, string>>,
  system: readonly string[] = SYSTEM_BUNDLES,
): Promise<readonly string[]> {
  const files: string[] = [];
  const { SSL_CERT_FILE: file, SSL_CERT_DIR: dirs, DENO_CERT: own } = env;
  if (file) files.push(file);
  for (const dir of (dirs ?? "").split(":").filter((dir) => dir !== "")) {
    files.push(...(namesIn(dir)).map((name) => `${dir}/${name}`));
  }
  if (own) files.push(own);
  const certs = await Promise.all(files.map(readPem));
  if (!file && !dirs) {
    for (const bundle of system) {
      const text = await readPem(bundle);
      if (text === undefined) continue;
      certs.push(text);
      break;
    }
  }
  return [...new Set(certs.filter((text) => text !== undefined))];
}

/** Where Debian and Alpine, Fedora and SUSE keep what the machine's owner trusts. */
const SYSTEM_BUNDLES: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

async function readHostDir(dir: string, log: Log | undefined): Promise<HostTls | undefined> {
  const names = namesIn(dir);
  const caCerts: string[] = [];
  let pair: { readonly cert: string; readonly key: string } | undefined;
  for (const name of names) {
    const path = `${dir}/${name}`;
    if (name.endsWith(".crt")) {
      const text = await readText(path);
      if (text !== undefined) caCerts.push(checkedPem(text, path));
    } else if (name.endsWith(".cert")) {
      const half = `${name.slice(0, -".cert".length)}.key`;
      if (!names.includes(half)) {
        throw new TypeError(`Cannot use ${path}: there is no ${half} beside it`);
      }
      const cert = await readText(path);
      const key = await readText(`${dir}/${half}`);
      if (cert === undefined || key === undefined) continue;
      if (pair !== undefined) {
        log?.debug(`${path} is not used: another certificate of ${dir} comes first`);
        continue;
      }
      if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(key)) {
        throw new TypeError(`Cannot use ${dir}/${half}: want a private key in PEM`);
      }
      pair = { cert: checkedPem(cert, path), key };
    } else if (name.endsWith(".key")) {
      const half = `${name.slice(0, -".key".length)}.cert`;
      if (!names.includes(half)) {
        throw new TypeError(
          `Cannot use ${path}: there is no ${half} beside it (authorities end with .crt)`,
        );
      }
    }
  }
  if (caCerts.length === 0 && pair === undefined) return undefined;
  log?.debug(`Certificates of ${dir} are used`);
  return { ...pair, caCerts };
}

function checkedPem(text: string, path: string): string {
  if (!isPem(text)) throw new TypeError(`Cannot use ${path}: want a certificate in PEM`);
  return text;
}

/** Whether the first certificate of the text can be read: a broken one would end every handshake. */
function isPem(text: string): boolean {
  const at = text.indexOf(PEM);
  if (at < 0) return false;
  try {
    new X509Certificate(text.slice(at));
    return true;
  } catch {
    return false;
  }
}

async function readPem(path: string): Promise<string | undefined> {
  const text = await readText(path).catch(() => undefined);
  return text !== undefined && text.includes(PEM) ? text : undefined;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    const { isFile, size } = await Deno.stat(path);
    if (!isFile) return undefined;
    if (size > MAX_FILE) {
      throw new TypeError(`Cannot read ${path}: it is larger than ${MAX_FILE} bytes`);
    }
    return await Deno.readTextFile(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Sorted, so that "the first" means the same everywhere; nothing when the directory is not for us. */
function namesIn(dir: string): readonly string[] {
  try {
    return Array.from(Deno.readDirSync(dir), ({ name }) => name).sort();
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ||
    error instanceof Deno.errors.PermissionDenied;
}
