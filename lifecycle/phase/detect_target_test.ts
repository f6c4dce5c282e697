import assert from "node:assert/strict";
import type { Target } from "../file/module.ts";
import { describeMismatch, suitsRunImage } from "./detect_target.ts";
import type { RunTarget } from "./detect_types.ts";

const run: RunTarget = {
  id: "",
  os: "linux",
  arch: "arm64",
  variant: "v8",
  distro: { name: "debian", version: "12" },
};
const any: Target = { os: "", arch: "", variant: "", distros: [] };

Deno.test("DT-9 os, arch and variant: equal, or empty on either side", () => {
  for (const key of ["os", "arch", "variant"] as const) {
    const rows: [string, string, boolean][] = [
      ["", "", true],
      ["x", "", true],
      ["", "x", true],
      ["x", "x", true],
      ["x", "y", false],
    ];
    for (const [mine, theirs, want] of rows) {
      const found = suitsRunImage([{ ...any, [key]: mine }], { ...run, [key]: theirs });
      assert.equal(found, want, `${key} "${mine}" "${theirs}"`);
    }
  }
});

Deno.test("DT-9 distributions", () => {
  const debian = { name: "debian", version: "12" };
  const rows: [string, { name: string; version: string }[], RunTarget["distro"], boolean][] = [
    ["none listed", [], debian, true],
    ["none listed, none known", [], undefined, true],
    ["listed, none known", [debian], undefined, false],
    ["equal", [debian], debian, true],
    ["any version", [{ name: "debian", version: "" }], debian, true],
    ["the image has no version", [debian], { name: "debian", version: "" }, true],
    ["another version", [{ name: "debian", version: "11" }], debian, false],
    ["another name", [{ name: "alpine", version: "12" }], debian, false],
    ["one of several", [{ name: "alpine", version: "3" }, debian], debian, true],
  ];
  for (const [why, distros, distro, want] of rows) {
    assert.equal(suitsRunImage([{ ...any, distros }], { ...run, distro }), want, why);
  }
});

Deno.test("DT-11 the build image's distribution stands in when the run image tells none", () => {
  const debian = { name: "debian", version: "12" };
  const target = { ...any, distros: [debian] };
  const silent = { ...run, distro: undefined };
  assert.equal(suitsRunImage([target], silent, debian), true);
  assert.equal(suitsRunImage([target], silent, { name: "alpine", version: "3" }), false);
  const other = { ...run, distro: { name: "alpine", version: "3" } };
  assert.equal(suitsRunImage([target], other, debian), false);
});

Deno.test("DT-9 any of several targets will do, none at all suits every image", () => {
  assert.equal(suitsRunImage([{ ...any, os: "windows" }, { ...any, os: "linux" }], run), true);
  assert.equal(suitsRunImage([], run), true);
});

Deno.test("DT-10 the message shows both sides", () => {
  assert.equal(
    describeMismatch([{ ...any, os: "windows", arch: "amd64" }], { ...run, distro: undefined }),
    "unable to satisfy target os/arch constraints; run image: linux/arm64/v8, " +
      "buildpack: windows/amd64",
  );
  const distros = [{ name: "alpine", version: "3.1" }, { name: "debian", version: "" }];
  assert.match(
    describeMismatch([{ ...any, os: "linux", distros }, { ...any, os: "windows" }], run),
    /image: linux\/arm64\/v8 with .+, buildpack: linux\/any with alpine 3\.1 or debian; windows\/any$/,
  );
});
