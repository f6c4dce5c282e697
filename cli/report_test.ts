import { deepEqual, equal, match } from "node:assert/strict";
import { makeShell } from "./shell_testing.ts";

const CONFIG =
  '[[mirror]]\nregistry = "secret.example"\nmirrors = ["inner.example"]\nfallback = false\n';

Deno.test("report: versions, APIs, variables and config, with no value that is nobody else's business", async () => {
  await using shell = await makeShell({
    https_proxy: "http://user:secret@proxy.example",
    HOME_OF_ANOTHER: "secret",
  });
  await shell.write({ "home/.config/wherry/config.toml": CONFIG });
  const text = await shell.ok("report");
  match(text, /^wherry: +\d+\.\d+\.\d+$/m);
  match(text, /^Platform APIs: +0\.7, .*0\.15$/m);
  match(text, /^ {2}https_proxy=\[REDACTED\]$/m);
  match(text, /^ {2}registry = "\[REDACTED\]"$/m);
  match(text, /^ {2}fallback = false$/m);
  equal(/secret|inner|HOME_OF/.test(text), false);

  const explicit = await shell.ok("report", "--explicit");
  match(explicit, /^ {2}registry = "secret\.example"$/m);

  const { config, environment, store } = JSON.parse(await shell.ok("report", "-o", "json"));
  deepEqual(config.values.mirror[0].mirrors, ["[REDACTED]"]);
  equal(environment.WHERRY_STORE, "[REDACTED]");
  equal(store, `${shell.dir}/store`);
});

Deno.test("report: no config is no fault, a broken one names file and line", async () => {
  await using shell = await makeShell();
  match(await shell.ok("report"), /^Config \(.*config\.toml\): not there$/m);
  await shell.write({ "home/.config/wherry/config.toml": "[mirror\n" });
  const { code, err } = await shell.wherry("report");
  equal(code, 3);
  match(err, /Cannot read .*config\.toml: /);
});
