import assert from "node:assert/strict";
import { ExitCode, failAs, FileError, LifecycleError } from "./error.ts";

const never = new AbortController().signal;

Deno.test("2.3 what a phase throws has an exit code, message, file and cause", async () => {
  const cause = new FileError("/cnb/order.toml", "Cannot parse /cnb/order.toml:1: x", { line: 1 });
  await assert.rejects(
    failAs(ExitCode.detect, never, () => Promise.reject(cause)),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 22 && error.file === cause.file &&
      error.message === cause.message && error.cause === cause,
  );
});

Deno.test("2.3 an exit code that is there already stays", async () => {
  const inner = new LifecycleError(ExitCode.buildpackApi, "x");
  await assert.rejects(failAs(ExitCode.detect, never, () => Promise.reject(inner)), inner);
});

Deno.test("SIG-1 the reason of an aborted signal passes as it is", async () => {
  const reason = new Error("Ctrl-C");
  const signal = AbortSignal.abort(reason);
  await assert.rejects(failAs(ExitCode.build, signal, () => signal.throwIfAborted()), reason);
});

Deno.test("what is thrown may be anything", async () => {
  await assert.rejects(
    failAs(ExitCode.build, never, () => Promise.reject("text")),
    { name: "LifecycleError", message: "text" },
  );
});

Deno.test("security: a message about a file is one line without control characters", () => {
  const error = new FileError("f", "Cannot parse f: \x1b[31m\n\u2028é");
  assert.equal(error.message, "Cannot parse f: \\u001b[31m\\u000a\\u2028é");
});
