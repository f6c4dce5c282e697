/** Who asks twice means it. */
import { doesNotMatch, equal, match } from "node:assert/strict";
import { startProcess } from "./process_testing.ts";
import { makeShell } from "./shell_testing.ts";

Deno.test("a second SIGINT ends wherry at once, with 130 and without a word about itself", async () => {
  await using shell = await makeShell();
  await shell.write({
    "app/x": "",
    "bp/buildpack.toml": 'api = "0.10"\n[buildpack]\nid = "a/deaf"\nversion = "1"\n',
    "bp/bin/detect": "#!/bin/sh\n",
    "bp/bin/build":
      "#!/bin/sh\ntrap 'echo heard' INT TERM\necho ready\nwhile :; do sleep 0.1; done\n",
  });
  const words = ["build", "app", "--path", "app", "--buildpack", "./bp", "--run-image", "scratch"];
  const child = startProcess(shell.dir, words, { stdout: "null", stderr: "piped" });
  let said = "";
  let asked = 0;
  for await (const chunk of child.stderr) {
    said += new TextDecoder().decode(chunk);
    const due = said.includes("heard") ? 2 : said.includes("ready") ? 1 : 0;
    if (asked < due) {
      asked = due;
      try {
        child.kill("SIGINT");
      } catch {
        // the first one was enough
      }
    }
  }
  equal((await child.status).code, 130, said);
  match(said, /ready/);
  doesNotMatch(said, /please report/);
});
