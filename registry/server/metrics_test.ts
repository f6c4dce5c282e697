import { deepEqual, equal, match, ok } from "node:assert/strict";
import { join } from "node:path";
import { tempDir } from "../temp_testing.ts";
import { formatAccess, openLineWriter, redactPath } from "./access_log.ts";
import { Metrics } from "./metrics.ts";
import type { RequestEntry } from "./server.ts";

const ENTRY: RequestEntry = {
  method: "GET",
  path: "/v2/team/app/manifests/v1",
  kind: "getManifest",
  repository: "team/app",
  status: 200,
  bytesIn: 0,
  bytesOut: 1234,
  durationMs: 1.23456,
  remote: "192.0.2.1",
  user: "alice",
  userAgent: "skopeo/1.9.3",
};

/** Each sample of the text form, and whether the text is one a scraper takes. */
function samples(text: string): Map<string, number> {
  const found = new Map<string, number>();
  const typed = new Set<string>();
  ok(text.endsWith("\n"));
  for (const line of text.trimEnd().split("\n")) {
    const comment = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line);
    if (comment !== null) {
      if (comment[1] === "TYPE") typed.add(comment[2]!);
      continue;
    }
    const sample = /^([a-z_]+)(\{[a-zA-Z_]+="[^"\n]*"(?:,[a-zA-Z_]+="[^"\n]*")*\})? (\S+)$/.exec(
      line,
    );
    ok(sample, line);
    ok(typed.has(sample[1]!.replace(/_(bucket|sum|count)$/, "")) || typed.has(sample[1]!), line);
    ok(!found.has(sample[1]! + (sample[2] ?? "")), `twice: ${line}`);
    found.set(sample[1]! + (sample[2] ?? ""), Number(sample[3]));
  }
  return found;
}

Deno.test("S-AUTH metrics count by method, kind and status, and name nobody", () => {
  const metrics = new Metrics({ version: '1.2"\n3', startedAt: 5000 });
  for (let at = 0; at < 3; at++) metrics.begin();
  metrics.end(ENTRY);
  metrics.end({ ...ENTRY, method: "BREW", kind: "other", status: 404, durationMs: 99_000 });
  metrics.refused("password");
  metrics.failed();
  const text = metrics.format();
  const seen = samples(text);
  equal(seen.get('wherry_http_requests_total{method="GET",kind="getManifest",status="200"}'), 1);
  equal(seen.get('wherry_http_requests_total{method="other",kind="other",status="404"}'), 1);
  equal(seen.get("wherry_http_requests_active"), 1);
  equal(seen.get("wherry_http_sent_bytes_total"), 2468);
  equal(seen.get('wherry_auth_refused_total{reason="password"}'), 1);
  equal(seen.get('wherry_auth_refused_total{reason="token"}'), 0);
  equal(seen.get("wherry_internal_errors_total"), 1);
  equal(seen.get("process_start_time_seconds"), 5);
  const bucket = (kind: string, le: string) =>
    seen.get(`wherry_http_request_duration_seconds_bucket{kind="${kind}",le="${le}"}`);
  equal(bucket("getManifest", "0.001"), 0);
  equal(bucket("getManifest", "0.0025"), 1);
  equal(bucket("getManifest", "60"), 1);
  equal(bucket("other", "60"), 0);
  equal(bucket("other", "+Inf"), 1);
  for (const secret of ["alice", "team", "192.0.2.1", "BREW"]) ok(!text.includes(secret), secret);
});

Deno.test("S-AUTH the access log is one line of JSON with keys in order", () => {
  const line = formatAccess(ENTRY, { now: new Date(0) });
  equal(line.indexOf("\n"), line.length - 1);
  deepEqual(Object.entries(JSON.parse(line)), [
    ["time", "1970-01-01T00:00:00.000Z"],
    ["remote", "192.0.2.1"],
    ["user", "alice"],
    ["method", "GET"],
    ["path", "/v2/team/app/manifests/v1"],
    ["kind", "getManifest"],
    ["repository", "team/app"],
    ["status", 200],
    ["bytes_in", 0],
    ["bytes_out", 1234],
    ["duration_ms", 1.235],
    ["user_agent", "skopeo/1.9.3"],
  ]);
  const odd = formatAccess({
    ...ENTRY,
    remote: "",
    user: undefined,
    userAgent: 'x"\n{"user":"root"}\u2028' + "y".repeat(10_000),
    path: "/" + "p".repeat(10_000),
  }, { now: new Date(0) });
  equal(odd.split("\n").length, 2);
  ok(odd.length < 5000);
  equal(JSON.parse(odd).user, null);
  equal(JSON.parse(odd).remote, null);
});

Deno.test("S-AUTH secrets in addresses do not reach the access log", () => {
  const rows: readonly (readonly [string, string])[] = [
    ["/v2/a/tags/list?n=5&last=v1", "/v2/a/tags/list?n=5&last=v1"],
    ["/token?service=x&scope=repository:a:pull", "/token?service=x&scope=repository:a:pull"],
    ["/token?password=hunter2&account=bob", "/token?password=REDACTED&account=bob"],
    ["/v2/?access_token=hunter2", "/v2/?access_token=REDACTED"],
    ["/v2/?hunter2", "/v2/?REDACTED"],
    ["/v2/?X-Amz-Signature=hunter2&n=1", "/v2/?X-Amz-Signature=REDACTED&n=1"],
    ["/v2/?n=1&&", "/v2/?n=1&&"],
    ["/go//bob:hunter2@host/x", "/go//REDACTED@host/x"],
  ];
  for (const [path, wanted] of rows) equal(redactPath(path), wanted);
});

Deno.test("S-AUTH the log file is 0600, is appended to, and follows its rotation", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const path = join(dir, "access.log");
  const errors: unknown[] = [];
  const failed = (error: unknown) => errors.push(error);
  {
    await using log = await openLineWriter(path, failed);
    log.write("1\n");
    log.write("2\n");
  }
  equal((await Deno.stat(path)).mode! & 0o777, 0o600);
  {
    await using log = await openLineWriter(path, failed);
    await Deno.rename(path, `${path}.1`);
    log.write("3\n");
  }
  equal(await Deno.readTextFile(`${path}.1`), "1\n2\n");
  equal(await Deno.readTextFile(path), "3\n");
  deepEqual(errors, []);
});

Deno.test("S-AUTH a full disk is told once and ends nothing", async () => {
  let full: boolean;
  try {
    full = (await Deno.stat("/dev/full")).isCharDevice ?? false;
  } catch {
    full = false;
  }
  if (!full) return;
  const errors: string[] = [];
  {
    await using log = await openLineWriter("/dev/full", (error) => errors.push(String(error)));
    log.write("1\n");
    log.write("2\n");
  }
  equal(errors.length, 1);
  match(errors[0]!, /No space left/);
});
