/** Programs that keep secrets for docker: the only child processes of the client (C-CRED-04). */
import { z } from "zod";
import type { Credential } from "./options.ts";
import { harmless } from "./refusal.ts";

/** The world of a helper. */
export interface HelperWorld {
  /** The environment the helper sees: all of it. `PATH` finds the helper. */
  readonly env: Readonly<Record<string, string>>;
  /** Directories that hold foreign code: a helper that lies in one of them is not run (N-07). */
  readonly untrusted?: readonly string[] | undefined;
  /** How long it may take, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number | undefined;
}

const NAME = /^[A-Za-z0-9._][A-Za-z0-9._-]*$/;
const MAX_OUTPUT = 64 * 1024;
const PREFIX = "docker-credential-";
const EVERYBODY_WRITES = 0o002;

const answerSchema = z.object({ Username: z.string(), Secret: z.string() });

/**
 * Asks `docker-credential-<name>` for the secret of `server`.
 *
 * @returns `undefined` when it has none.
 * @throws {Error} When it cannot be run, fails or answers something else; the message has no secret in it.
 */
export async function askHelper(
  name: string,
  server: string,
  world: HelperWorld,
): Promise<Credential | undefined> {
  const fail = (why: string, cause?: unknown) =>
    new Error(
      `Cannot ask credential helper ${JSON.stringify(name.slice(0, 80))} for ${server}: ${why}`,
      { cause },
    );
  const path = await helperPath(name, server, world, fail);
  const { code, output, late } = await run(path, "get", server, world);
  if (late) throw fail("it did not answer in time");
  if (output === undefined) throw fail(`it wrote more than ${MAX_OUTPUT} bytes`);
  if (code !== 0) {
    if (/credentials not found/i.test(output)) return undefined;
    const said = harmless(output).trim().slice(0, 200);
    throw fail(`it failed with ${code}${said === "" ? "" : `: ${said}`}`);
  }
  const answer = readAnswer(output);
  // Neither the text nor zod's complaint may be shown: both may hold the secret.
  if (answer === undefined) throw fail("its answer is not what a credential helper says");
  const { Username, Secret } = answer;
  if (Username === "" && Secret === "") return undefined;
  return Username === "<token>"
    ? { kind: "identity", token: Secret }
    : { kind: "basic", username: Username, password: Secret };
}

/**
 * Lets `docker-credential-<name>` keep the secret of `server`, or forget it.
 *
 * @param secret What to keep; `undefined` to forget.
 * @throws {Error} When it cannot be run or fails; the message has no secret in it. To forget what it does not have
 * is no failure.
 */
export async function tellHelper(
  name: string,
  server: string,
  secret: { readonly username: string; readonly password: string } | undefined,
  world: HelperWorld,
): Promise<void> {
  const fail = (why: string) =>
    new Error(
      `Cannot let credential helper ${JSON.stringify(name.slice(0, 80))} ${
        secret === undefined ? "forget" : "keep"
      } the secret of ${server}: ${why}`,
    );
  const path = await helperPath(name, server, world, fail);
  const { code, output, late } = secret === undefined
    ? await run(path, "erase", server, world)
    : await run(
      path,
      "store",
      JSON.stringify({ ServerURL: server, Username: secret.username, Secret: secret.password }),
      world,
    );
  if (late) throw fail("it did not answer in time");
  if (code === 0) return;
  if (secret === undefined && /credentials not found/i.test(output ?? "")) return;
  // What it says may quote what it was told.
  throw fail(`it failed with ${code}`);
}

async function helperPath(
  name: string,
  server: string,
  world: HelperWorld,
  fail: (why: string) => Error,
): Promise<string> {
  if (!NAME.test(name)) {
    throw fail("its name may have letters, digits, dots, dashes and underscores only");
  }
  if (/\p{Cc}/u.test(server)) {
    throw new Error("Cannot ask a credential helper: the host has control characters");
  }
  const path = await findHelper(PREFIX + name, world);
  if (path === undefined) {
    throw fail(`${PREFIX}${name} is not on the PATH, or not where only trusted users can put it`);
  }
  return path;
}

function readAnswer(text: string): z.infer<typeof answerSchema> | undefined {
  try {
    return answerSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * Absolute directories of `PATH` only: `.` would let the application's own files answer. What everybody may replace,
 * and what lies where foreign code does, is passed over.
 */
async function findHelper(
  program: string,
  { env, untrusted = [] }: HelperWorld,
): Promise<string | undefined> {
  const roots = await Promise.all(untrusted.map((root) => Deno.realPath(root).catch(() => root)));
  for (const dir of (env["PATH"] ?? "").split(":")) {
    if (!dir.startsWith("/")) continue;
    const path = `${dir.replace(/\/+$/, "")}/${program}`;
    try {
      const real = await Deno.realPath(path);
      if (
        roots.some((root) => real === root || real.startsWith(`${root.replace(/\/+$/, "")}/`))
      ) continue;
      const info = await Deno.stat(real);
      const above = await Deno.stat(real.slice(0, real.lastIndexOf("/")) || "/");
      if ((((info.mode ?? 0) | (above.mode ?? 0)) & EVERYBODY_WRITES) !== 0) continue;
      if (info.isFile && ((info.mode ?? 0o111) & 0o111) !== 0) return path;
    } catch (error) {
      if (
        !(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)
      ) throw error;
    }
  }
  return undefined;
}

async function run(
  path: string,
  verb: "get" | "store" | "erase",
  input: string,
  { env, timeoutMs = 10_000 }: HelperWorld,
): Promise<{ readonly code: number; readonly output: string | undefined; readonly late: boolean }> {
  const child = new Deno.Command(path, {
    args: [verb],
    env,
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  let late = false;
  // What the helper started itself may hold the pipe open after it is gone: nobody waits for that.
  const end = () => {
    reader.cancel().catch(() => {});
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  const timer = setTimeout(() => {
    late = true;
    end();
  }, timeoutMs);
  try {
    const asked = tell(child.stdin, input);
    const output = await readBounded(reader, end);
    await asked;
    const { code } = await child.status;
    return { code, output, late };
  } finally {
    clearTimeout(timer);
  }
}

async function tell(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  try {
    const writer = stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // A helper may answer without reading.
  }
}

async function readBounded(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  tooMuch: () => void,
): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.byteLength;
    if (size > MAX_OUTPUT) {
      tooMuch();
      return undefined;
    }
    text += decoder.decode(value, { stream: true });
  }
}
