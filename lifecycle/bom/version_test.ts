import { equal } from "node:assert/strict";
import { versionOrder } from "./version.ts";

/** Versions of one ecosystem, oldest first; those on one line, between `=`, are equal. */
const ORDERS: Readonly<Record<string, string>> = {
  maven: `1-alpha-1=1a1
1.0-alpha-2
1-beta=1.0-beta
1.0-milestone-1=1m1
1-rc=1-cr
1-SNAPSHOT
1=1.0=1.0.0=1-ga=1.0.Final=1-0
1-sp
1-foo
1-1
1.1
2.9.10
2.9.10.8
2.15.0-rc1
2.15=2.15.0
2.15.0.1
20030203.000129`,
  npm: `1.0.0-alpha
1.0.0-alpha.1
1.0.0-beta
1.0.0=1.0=v1.0.0+build
1.0.1
1.10.0
2`,
  golang: `v0.0.0-20190101000000-abcdef
v1.2.3-rc.1
v1.2.3=1.2.3
v1.10.0+incompatible`,
  pypi: `1.0.dev1
1.0a1
1.0rc1
1.0=1.0.0
1.0.post1
1.1
1!0.5`,
  deb: `0~beta
1.0~rc1-1
1.0-1
1.0-1ubuntu1
1.0-1ubuntu1.2
1.0-2
1.0a-1x
1.0+dfsg-1
1.10-1
3.0.2-0ubuntu1.15
1:0.1`,
  rpm: `1.0~rc1
1.0a
1.0.1-2
1.0.1-10.el9
1:0`,
  gem: `1.0.0.pre1
1.0.0.rc1
1.0.0=1.0=1
1.0.1
1.10`,
  "": `1.0-rc1
1.0=1.0.0=v1.0
1.0.1
1.2b
1.10`,
};

for (const [type, text] of Object.entries(ORDERS)) {
  Deno.test(`versions of ${type || "nobody knows what"} are ordered by its rules`, () => {
    const compare = versionOrder(type);
    const lines = text.split("\n").map((line) => line.split("="));
    lines.forEach((line, at) => {
      for (const a of line) {
        for (const b of line) equal(Math.sign(compare(a, b)), 0, `${a} is ${b}`);
        for (const later of lines.slice(at + 1).flat()) {
          equal(Math.sign(compare(a, later)), -1, `${a} is older than ${later}`);
          equal(Math.sign(compare(later, a)), 1, `${later} is newer than ${a}`);
        }
      }
    });
  });
}
