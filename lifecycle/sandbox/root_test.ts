import { deepEqual, equal, match } from "node:assert/strict";
import { busyboxLayer, missingBusybox } from "./busybox_testing.ts";
import {
  type Caller,
  compiledHelper,
  driveWith,
  isRoot,
  placeFor,
  skipped,
} from "./helper_testing.ts";
import type { RootJob, RootReport } from "./root_driver_testing.ts";
import type { RootOptions } from "./root.ts";
import { removeTrees } from "./trees.ts";
import { unpackLayers } from "./unpack.ts";

const CALLERS: readonly Caller[] = isRoot
  ? ["root", "user", "masked user", "masked root"]
  : ["user", "masked user"];

/** A tree of busybox for `caller`, and a directory for the build. */
async function withTree(
  caller: Caller,
  act: (
    run: (job: Partial<RootJob> & { readonly with?: Partial<RootOptions> }) => Promise<RootReport>,
    place: string,
  ) => Promise<void>,
): Promise<void> {
  const missing = await missingBusybox();
  if (missing) return skipped(`apt-get install ${missing}`);
  const helper = await compiledHelper();
  const place = await placeFor(caller);
  try {
    const owner = caller === "root" ? "real" : "self";
    for (const name of ["tree", "scratch", "layers", "app"]) await Deno.mkdir(`${place}/${name}`);
    await unpackLayers([
      await busyboxLayer({ name: "opt/keep", text: "old" }, { name: "opt/go", text: "old" }),
    ], {
      ...{ helper, into: `${place}/tree`, owner, furnish: true },
    });
    if (isRoot && caller.endsWith("user")) {
      await new Deno.Command("chown", { args: ["-R", "-h", "1000:1000", place] }).output();
    }
    await act(({ with: more, ...job }) =>
      driveWith<RootReport>("root_driver_testing.ts", caller, {
        options: {
          ...{ helper, owner, scratchDir: `${place}/scratch`, tree: `${place}/tree` },
          dirs: [
            { inside: "/layers", outside: `${place}/layers`, access: "rw" },
            { inside: "/workspace", outside: `${place}/app`, access: "rw" },
            { inside: "/cnb/buildpacks/x/1", outside: `${place}/app`, access: "ro" },
          ],
          ...{ uid: 1000, gid: 1000, root: "read-only", ...more },
        },
        script: "true",
        ...job,
      }), place);
    deepEqual(
      await Array.fromAsync(Deno.readDir(`${place}/scratch`)),
      [],
      "nothing is left behind",
    );
  } finally {
    await removeTrees(helper, [place]);
  }
}

for (const caller of CALLERS) {
  Deno.test(`root: a build as the CNB user, ${caller}`, () =>
    withTree(caller, async (run, place) => {
      const report = await run({
        script: `exec 2>&1; id -u; id -g; pwd; echo $HOME
          echo a >/layers/a && echo b >/workspace/b && echo c >/tmp/c && echo d >$HOME/d && echo ok
          echo x >/cnb/buildpacks/x/1/no; echo x >/etc/passwd; echo x >/opt/keep; echo x >/new
          ls / | tr '\\n' ' '; cat /var/tmp/c; cat /proc/self/status | grep -E 'CapEff|NoNewPrivs' | tr -d '\\t\\n'; exit 7`,
      });
      equal(report.error, undefined);
      match(report.describe ?? "", /^namespaces, the image's own root \(/);
      equal(report.outcome?.code, 7, report.output);
      const lines = report.output.split("\n");
      deepEqual(lines.slice(0, 5), ["1000", "1000", "/", "/home/cnb", "ok"]);
      equal(
        report.output.match(/Read-only file system|Permission denied/g)?.length,
        4,
        report.output,
      );
      match(
        report.output,
        /bin cnb dev etc home layers opt proc root run sys tmp usr var workspace c\n/,
      );
      match(report.output, /CapEff:0{16}NoNewPrivs:1/);
      equal(await Deno.readTextFile(`${place}/layers/a`), "a\n");
    }));

  Deno.test(`root: copy on write as root, ${caller}`, () =>
    withTree(caller, async (run, place) => {
      const report = await run({
        with: { uid: 0, gid: 0, root: "copy-on-write", dirs: [] },
        listUpper: true,
        script:
          `id -u; echo new >/opt/keep && rm /opt/go && mkdir -p /srv/a && echo x >/srv/a/b && chmod 4755 /srv/a/b
          rm -r /home/cnb && mkdir /home/cnb && echo n >/home/cnb/n; cat /etc/shadow; cat /opt/keep; ls /opt
          mount -t tmpfs t /mnt 2>&1; ${
            caller === "root" ? "chown 33:34 /srv/a/b;" : ""
          } echo done`,
      });
      equal(report.error, undefined);
      equal(report.outcome?.code, 0, report.output);
      match(report.output, /^0\nroot:secret\nnew\nkeep\nmount: .*\ndone\n$/);
      const upper = report.upper!.map((line) =>
        caller === "root" ? line : line.replace(/ \d+:\d+$/, "")
      );
      const own = (path: string, ids = "0:0") => caller === "root" ? `${path} ${ids}` : path;
      deepEqual(upper, [
        own("gone opt/go"),
        own("home"),
        own("home/cnb"),
        own("home/cnb/n"),
        own("opt"),
        own("opt/keep"),
        own("srv"),
        own("srv/a"),
        own("srv/a/b", "33:34"),
      ]);
      equal(await Deno.readTextFile(`${place}/tree/opt/keep`), "old", "the tree stays as it is");
    }));
}

Deno.test("root: no network", () =>
  withTree("root", async (run) => {
    const report = await run({
      with: { network: "none" },
      script:
        "ls /sys/class/net /proc/sys/net/ipv4/conf | tr '\\n' ' '; cat /etc/resolv.conf | wc -c",
    });
    equal(report.outcome?.code, 0, report.output + report.error);
    match(report.output, /conf: all default lo .*0\n$/);
  }));

Deno.test("root: a user the image does not know has a HOME and a name", () =>
  withTree("user", async (run) => {
    const report = await run({
      with: { uid: 4321, gid: 99 },
      script: "id; echo x >~/x && echo $HOME; ls -ld ~",
    });
    match(report.output, /^uid=4321\(cnb\) gid=99\(cnb\).*\n\/home\/cnb\n/);
  }));
