/** Archives of buildpacks that want directories of this machine to be the buildpack. */
import { rejects } from "node:assert/strict";
import { ExitCode, LifecycleError } from "../../lifecycle/error.ts";
import { gatherBuildpacks } from "../../lifecycle/platform/buildpack_source.ts";
import { type Sample, tarOf } from "../../registry/layer/tar_testing.ts";
import { untouched } from "./untouched_testing.ts";

const COMPOSITE = 'api = "0.10"\n[buildpack]\nid = "x/all"\nversion = "1"\n' +
  '[[order]]\n[[order.group]]\nid = "x/leaf"\nversion = "1"\n';
const part = (uri: string) => `[buildpack]\nuri = "."\n[[dependencies]]\nuri = "${uri}"\n`;

const CASES: readonly (readonly [why: string, (outside: string) => readonly Sample[]])[] = [
  ["X-02 its directory is a link", (outside) => [
    { name: "bp", type: "symlink", linkName: outside },
  ]],
  ["X-02 its descriptor is a link", (outside) => [
    { name: "bin/build", text: "#!/bin/sh\n" },
    { name: "buildpack.toml", type: "symlink", linkName: `${outside}/buildpack.toml` },
  ]],
  ["X-01 a part of it lies outside", (outside) => [
    { name: "buildpack.toml", text: COMPOSITE },
    { name: "package.toml", text: part(outside) },
  ]],
  ["X-01 a part of it lies outside, by ..", () => [
    { name: "buildpack.toml", text: COMPOSITE },
    { name: "package.toml", text: part("../../outside") },
  ]],
  ["X-02 a part of it is a link", (outside) => [
    { name: "buildpack.toml", text: COMPOSITE },
    { name: "package.toml", text: part("leaf") },
    { name: "leaf", type: "symlink", linkName: outside },
  ]],
];

for (const [why, entries] of CASES) {
  Deno.test(`${why}: a buildpack's archive is refused`, () =>
    untouched(async ({ top, inside, outside }) => {
      await Deno.writeFile(`${top}/evil.tgz`, tarOf(...entries(outside)));
      const act = gatherBuildpacks({
        buildpacks: [`${top}/evil.tgz`],
        cwd: top,
        scratch: inside,
      });
      await rejects(
        act,
        (error) =>
          error instanceof LifecycleError && error.exitCode === ExitCode.arguments &&
          /link|outside/.test(error.message),
      );
    }));
}
