import { deepEqual, equal, match } from "node:assert/strict";
import { compileC } from "../scripts/compile_c.ts";
import { makeShell } from "./shell_testing.ts";

Deno.test("doctor: the whole probe, and what follows for each isolation", async () => {
  await compileC("helper", Deno.build.arch === "aarch64" ? "arm64" : "amd64");
  await using shell = await makeShell();
  const text = await shell.ok("doctor");
  match(text, /^kernel +\d+\./m);
  match(text, /^user namespace +(yes|no: )/m);
  match(text, /^ +with ids of \/etc\/subuid +(yes: build --sub-ids|no: )/m);
  match(text, /^control groups +(yes: build --memory|no: )/m);
  match(text, /^takeover +no +it would replace |^takeover +no +/m);
  const { probe, ways, root_in_use } = JSON.parse(await shell.ok("doctor", "-o", "json"));
  equal(typeof probe.landlock, "number");
  deepEqual(ways.map(({ isolation }: { isolation: string }) => isolation), [
    "auto",
    "namespaces",
    "chroot",
    "takeover",
    "in-place",
  ]);
  equal(root_in_use.length > 0, true);
});
