/** Builders, run images and caches in a registry. */
import { equal, match, ok } from "node:assert/strict";
import { builderShell, canMakeBuilder } from "./builder_testing.ts";
import { bench } from "./command_testing.ts";

Deno.test({
  name:
    "AN-2 build --builder from a registry: pull policies, a run image's mirror there, a cache image",
  ignore: !canMakeBuilder,
  async fn() {
    await using registry = await bench();
    await using shell = await builderShell();
    const { host } = registry;
    const there = ["--insecure-registry", host];
    const toml = await Deno.readTextFile(`${shell.dir}/builder.toml`);
    await shell.write({
      "builder.toml": toml.replace(
        'image = "oci.example/run:1"',
        `image = "127.0.0.1:1/run:1"\nmirrors = ["${host}/run:1"]`,
      ),
    });
    await shell.ok("builder", "create", "oci:mirrored", "--config", "builder.toml");
    await shell.ok("copy", "oci:mirrored", `${host}/builder:1`, ...there);
    await shell.ok("copy", "oci:base:1", `${host}/run:1`, ...there);
    const build = (...flags: readonly string[]) =>
      shell.wherry(
        ...["build", `${host}/app`, "--publish", "--builder", `${host}/builder:1`, "--path", "app"],
        ...[...there, "-o", "json", ...flags],
      );

    const never = await build("--pull-policy", "never");
    equal(never.code, 3);
    match(never.err, /Cannot find .*builder:1 in the store, and --pull-policy is never/);

    registry.reset();
    const first = await build("--cache-image", `${host}/cache:1`);
    equal(first.code, 0, first.err);
    equal(JSON.parse(first.out).run_image.mirrors[0], `${host}/run:1`);
    const blobs = (path: string) =>
      registry.seen.requests.filter((one) => one.startsWith(`GET /v2/${path}/blobs/`)).length;
    ok(blobs("builder") > 0);
    ok(
      registry.seen.requests.some((one) => one.startsWith("PUT /v2/cache/manifests/")),
      "the cache is an image there",
    );

    registry.reset();
    const second = await build("--cache-image", `${host}/cache:1`, "--pull-policy", "always");
    equal(second.code, 0, second.err);
    equal(JSON.parse(second.out).digest, JSON.parse(first.out).digest);
    equal(blobs("builder"), 0, "what is there is not pulled again");
    ok(!second.err.includes("Unpacked"));
    match(second.err, /Restoring data for "test\/greeter:greeting" from cache/);

    registry.reset();
    const third = await build(
      "--cache",
      `type=build;format=image;name=${host}/cache:1`,
      "--pull-policy",
      "if-not-present",
    );
    equal(third.code, 0, third.err);
    equal(
      registry.seen.requests.filter((one) => one.includes("/v2/builder/")).length,
      0,
      "nobody is asked about a builder that is there",
    );

    await shell.ok("rm", `${host}/builder:1`);
    const { trees } = JSON.parse(await shell.ok("store", "gc", "--grace", "0", "-o", "json"));
    equal(trees, 1, "a builder that is gone needs no tree");
  },
});
