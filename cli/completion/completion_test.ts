/** What a tab offers. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { appImage, bench, push } from "../command_testing.ts";

Deno.test("completion: commands, flags, values, images of the store, files", async () => {
  await using shop = await bench();
  await push(appImage(), shop.registry, "app", "1");
  equal((await shop.wherry("pull", `${shop.host}/app:1`)).code, 0);
  const offered = async (...words: readonly string[]) => {
    const { code, out, err } = await shop.wherry("completion", "words", "--", ...words);
    equal(code, 0, err);
    return out.split("\n").filter((line) => line !== "").map((line) => line.split("\t")[0]);
  };
  deepEqual(await offered("bui"), ["build", "builder", "buildpack"]);
  deepEqual(await offered("builder", ""), ["create", "inspect", "suggest"]);
  deepEqual(await offered("help", "reb"), ["rebase"]);
  const policies = ["always", "if-not-present", "never"];
  deepEqual(await offered("build", "app", "--pull-policy", ""), policies);
  deepEqual(await offered("build", "--pull-policy=n"), ["--pull-policy=never"]);
  deepEqual(await offered("inspect", "app", "-o", ""), ["human", "json", "yaml", "toml"]);
  ok((await offered("build", "--")).includes("--buildpack"));
  ok(
    !(await offered("build", "--")).includes("--docker-host"),
    "what is only tolerated is not offered",
  );
  deepEqual(await offered("build", "--path", ""), [":"]);
  deepEqual(await offered("run", shop.host.slice(0, 6)), [`${shop.host}/app:1`, ":"]);
  deepEqual(await offered("rebase", "--run-image", "docker", ""), [
    ...["plan", "apply", "rollback", "report"],
    ...[`${shop.host}/app:1`, ":"],
  ]);
  deepEqual(await offered("run", "app", "--", "x"), [":"]);
  deepEqual(await offered("no-such-command", ""), []);
  deepEqual(await offered("completion", ""), ["bash", "zsh", "fish"]);
});

Deno.test("completion: a script for each shell, and one line for any other", async () => {
  await using shop = await bench();
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, out } = await shop.wherry("completion", shell);
    equal(code, 0);
    match(out, /completion words -- /);
    equal((await shop.wherry("completion", "--shell", shell)).out, out);
  }
  const other = await shop.wherry("completion", "tcsh");
  equal(other.code, 3);
  match(other.err, /^ERROR: Cannot use shell "tcsh": want bash, zsh or fish /);
  equal((await shop.wherry("completion")).code, 3);
});
