/** For tests: one command in an in-place sandbox, as whoever this process runs as. */

import { prepareInPlace } from "./in_place.ts";
import type { Job, Report } from "./helper_testing.ts";

const job: Job = JSON.parse(await Deno.readTextFile(Deno.args[0]!));
const text = new TextDecoder();
let report: Report = { output: "" };
const controller = new AbortController();
try {
  await using sandbox = await prepareInPlace(job.options);
  const { describe, plan } = sandbox;
  report = { ...report, describe, plan };
  const first = plan.dirs[0]!.inside;
  let output = "";
  try {
    const outcome = await sandbox.run({
      program: "/bin/sh",
      args: ["-c", job.script, "sh", first],
      cwd: first,
      env: { PATH: job.options.path, HOME: plan.home, ...job.env },
      signal: controller.signal,
      onOutput(chunk) {
        output += text.decode(chunk);
        if (job.abortAt !== undefined && output.includes(job.abortAt)) {
          controller.abort(new Error("enough"));
        }
      },
    });
    report = { ...report, outcome, output };
  } catch (cause) {
    report = { ...report, error: String(cause), output };
  }
} catch (cause) {
  report = { ...report, error: String(cause) };
}
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(report)));
