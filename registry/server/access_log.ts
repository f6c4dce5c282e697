/** The access log: one line of JSON for each request. */
import type { RequestEntry } from "./server.ts";

/** What the log needs besides the entry. */
export interface AccessLogContext {
  /** When it was answered. */
  readonly now: Date;
}

/** Query values that may be shown. All others might be a secret that somebody put into an address. */
const SHOWN: ReadonlySet<string> = new Set([
  "account",
  "artifactType",
  "client_id",
  "digest",
  "digest-algorithm",
  "from",
  "last",
  "mount",
  "n",
  "scope",
  "service",
  "tag",
]);
const MAX_TEXT = 2048;

/**
 * One request as a line with its end. Keys are in this order: `time`, `remote`, `user`, `method`, `path`, `kind`,
 * `repository`, `status`, `bytes_in`, `bytes_out`, `duration_ms`, `user_agent`. What is not known is null. Headers but
 * the user agent are never in it, nor bodies; a name that failed to log in is not either: people type passwords there.
 */
export function formatAccess(entry: RequestEntry, { now }: AccessLogContext): string {
  return JSON.stringify({
    time: now.toISOString(),
    remote: entry.remote || null,
    user: entry.user ?? null,
    method: short(entry.method),
    path: short(redactPath(entry.path)),
    kind: entry.kind,
    repository: entry.repository ?? null,
    status: entry.status,
    bytes_in: entry.bytesIn,
    bytes_out: entry.bytesOut,
    duration_ms: Math.round(entry.durationMs * 1000) / 1000,
    user_agent: entry.userAgent === undefined ? null : short(entry.userAgent),
  }) + "\n";
}

/** A path whose unknown query values, and whatever looks like a user in an address, are hidden. */
export function redactPath(path: string): string {
  const mark = path.indexOf("?");
  const bare = (mark < 0 ? path : path.slice(0, mark)).replace(/\/\/[^/@]*@/g, "//REDACTED@");
  if (mark < 0) return bare;
  const parts = path.slice(mark + 1).split("&").map((part) => {
    const sign = part.indexOf("=");
    if (sign < 0) return part === "" || SHOWN.has(part) ? part : "REDACTED";
    const name = part.slice(0, sign);
    return SHOWN.has(name) ? part : `${name.slice(0, 100)}=REDACTED`;
  });
  return `${bare}?${parts.join("&")}`;
}

function short(text: string): string {
  return text.length > MAX_TEXT ? text.slice(0, MAX_TEXT) + "..." : text;
}

/** Lines on their way into a file. */
export interface LineWriter extends AsyncDisposable {
  /** Takes a line; it is in the file a moment later. Never waits, never throws. */
  write(line: string): void;
}

/** Lines that may wait for a slow disk; what comes then is counted and said when it goes on. */
const MAX_WAITING = 100_000;

/**
 * Appends lines to a file (0600 when it makes it). Lines that come together are written together. The file is opened
 * again when it was moved away, so that it can be rotated without a signal.
 *
 * @param onError Called once for each run of failures: a full disk must not end the server.
 * @throws Deno's errors when the file cannot be opened.
 */
export async function openLineWriter(
  path: string,
  onError: (error: unknown) => void,
): Promise<LineWriter> {
  const open = () => Deno.open(path, { create: true, append: true, mode: 0o600 });
  let file = await open();
  let waiting: string[] = [];
  let lost = 0;
  let failing = false;
  let running: Promise<void> | undefined;
  const encoder = new TextEncoder();
  const flush = async () => {
    while (waiting.length > 0) {
      let text = waiting.join("");
      waiting = [];
      if (lost > 0) text += JSON.stringify({ lost_lines: lost }) + "\n";
      lost = 0;
      try {
        if (await wasMoved(file, path)) {
          const next = await open();
          file.close();
          file = next;
        }
        let bytes = encoder.encode(text);
        while (bytes.byteLength > 0) bytes = bytes.subarray(await file.write(bytes));
        failing = false;
      } catch (error) {
        if (!failing) onError(error);
        failing = true;
      }
    }
    running = undefined;
  };
  return {
    write(line) {
      if (waiting.length >= MAX_WAITING) lost++;
      else waiting.push(line);
      running ??= Promise.resolve().then(flush);
    },
    async [Symbol.asyncDispose]() {
      await running;
      file.close();
    },
  };
}

async function wasMoved(file: Deno.FsFile, path: string): Promise<boolean> {
  const [here, there] = await Promise.all([
    file.stat(),
    Deno.stat(path).catch(() => undefined),
  ]);
  return here.ino !== there?.ino || here.dev !== there?.dev;
}
