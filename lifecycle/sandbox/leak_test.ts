/**
 * N-15, BU-11: a build that looks everywhere for credentials and finds none. One test per row of
 * the table of leaks, run by each kind of caller.
 */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import {
  type Caller,
  compiledHelper,
  drive,
  driveWith,
  isRoot,
  placeFor,
  type Report,
  skipped,
} from "./helper_testing.ts";
import { busyboxLayer, missingBusybox } from "./busybox_testing.ts";
import { carve } from "./machine.ts";
import { probeMachine } from "./probe_machine.ts";
import { removeTrees } from "./trees.ts";
import type { InPlaceOptions } from "./in_place.ts";
import { unpackLayers } from "./unpack.ts";

/** Prints whatever it can get hold of, marked with where it came from. `$HIDDEN` names places. */
const HOSTILE = String.raw`
exec 2>&1
SELF=$$; export SELF
say() { echo "== $1"; }
say environment; env -u SELF
say arguments; tr '\0' ' ' </proc/1/cmdline
say parents
perl -e '
  sub got { my $n = shift; my $text = ""; sysopen(my $f, $n, 2048) or return ""; # O_NONBLOCK
    sysread($f, $text, 65536); $text }
  # What is shown of strangers is only that it could be read: tests print what they got.
  my %kin; for (my $up = getppid; $up > 0;) {
    $kin{$up} = 1; (got("/proc/$up/stat") =~ /.*\) \S (\d+)/s) ? ($up = $1) : last;
  }
  for my $pid (1, grep { /^\d+$/ } map { s|.*/||r } glob "/proc/*") {
    next if $pid == $$ || $pid == $ENV{SELF};
    my @names = map { "/proc/$pid/$_" } qw(environ maps mem root/etc/hostname cwd/file fdinfo/0);
    for my $name (@names, glob "/proc/$pid/fd/*") {
      my $text = got($name);
      print "READ $name ", $kin{$pid} ? $text : "", "\n" if $text ne "";
    }
    print got("/proc/$pid/cmdline"), "\n" if $kin{$pid} && $pid > 1;
    print "KILLABLE $pid\n" if kill 0, $pid;
  }'
say files
for place in $HIDDEN "$HOME/.docker" /root/.docker /run/secrets /var/run/secrets; do
  ls -laR "$place"; cat "$place"; cat "$place"/*; find "$place" -type f -exec cat {} +
done 2>/dev/null
for place in $HIDDEN; do echo planted >"$place/planted"; rm -rf "$place"/*; done 2>/dev/null
cat /etc/shadow /etc/gshadow 2>/dev/null | sed 's/^/SHADOW /'
say descriptors; ls /proc/self/fd; cat <&9
say sockets
perl -MSocket -e '
  for my $path ($ENV{SOCKET}, "\0$ENV{ABSTRACT}") {
    socket(my $s, AF_UNIX, SOCK_STREAM, 0); 
    print "CONNECTED ", ($path =~ /^\0/ ? "abstract" : "path"), "\n"
      if connect($s, pack("Sa*", AF_UNIX, $path . ($path =~ /^\0/ ? "" : "\0")));
  }' 2>&1
say writes
for place in / /etc /usr /usr/bin /opt /sys /proc/sys/kernel /cnb; do
  (echo x >"$place/wherry-planted") 2>/dev/null && echo "WROTE $place"
done
(echo x >/proc/sys/kernel/core_pattern) 2>/dev/null && echo "WROTE core_pattern"
say rights
for group in $(id -G); do echo "GROUP $group"; done
(: </dev/tty) 2>/dev/null && echo TTY
perl -MPOSIX -e '
  my $keyctl = (POSIX::uname())[4] eq "aarch64" ? 219 : 250;
  print "KEYRING\n" if syscall($keyctl, 0, -4, 0) >= 0;'
say end
`;

/** A server on a Unix socket that accepts whoever comes; prints a line when it listens. */
const LISTEN = String.raw`
  use Socket; $| = 1; my @all;
  for my $path ($ARGV[0], "\0$ARGV[1]") {
    socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
    bind($s, pack("Sa*", AF_UNIX, $path . ($path =~ /^\0/ ? "" : "\0"))) or die "$!";
    listen($s, 9) or die; push @all, $s;
  }
  chmod 0777, $ARGV[0]; print "ready\n"; <STDIN>;`;

/** A view or the machine's own tree; or an unpacked image as root, entered by namespaces or by chroot(2). */
type Way = InPlaceOptions["mode"] | "image" | "chroot";

interface Haul {
  readonly caller: Caller;
  readonly report: Report;
  /** What is in the hidden places afterwards: must be what was there before. */
  readonly hidden: readonly string[];
}

/** Sets every trap, lets the hostile build loose, and brings back what it got. */
async function loot(caller: Caller, secret: string, way: Way): Promise<Haul> {
  const place = await placeFor(caller);
  const helper = await compiledHelper();
  const home = `${place}/home`;
  const abstract = `wherry-${crypto.randomUUID()}`;
  for (const name of ["home", "home/.docker", "docker", "store", "layers", "scratch"]) {
    await Deno.mkdir(`${place}/${name}`);
  }
  const files = ["home/.docker/config.json", "docker/config.json", "store/blob", "inherited"];
  for (const name of files) await Deno.writeTextFile(`${place}/${name}`, `FILE ${secret}\n`);
  const server = new Deno.Command("/usr/bin/perl", {
    args: ["-e", LISTEN, `${home}/socket`, abstract],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = server.stdout.getReader();
  await reader.read();
  const inside = way === "image" || way === "chroot";
  const owner = caller === "root" || way === "chroot" ? "real" : "self";
  if (inside) await makeImage(`${place}/tree`, owner, helper);
  if (isRoot && caller.endsWith("user")) {
    await new Deno.Command("/bin/chown", { args: ["-R", "-h", "1000:1000", place] }).output();
  }
  try {
    const job = {
      script: HOSTILE,
      env: {
        PATH: "/usr/bin:/bin",
        HIDDEN: `${home} ${home}/.docker ${place}/docker ${place}/store ${place}/scratch`,
        SOCKET: `${home}/socket`,
        ABSTRACT: abstract,
      },
    };
    const options = {
      helper,
      scratchDir: `${place}/scratch`,
      dirs: [{ inside: "/layers", outside: `${place}/layers`, access: "rw" as const }],
      uid: 1000,
      gid: 1000,
    };
    const around = {
      env: { CNB_REGISTRY_AUTH: `ENV ${secret}`, DOCKER_CONFIG: `${place}/docker`, HOME: home },
      inherit: `${place}/inherited`,
    };
    const report = inside
      ? await driveWith<Report>("root_driver_testing.ts", caller, {
        ...job,
        chroot: way === "chroot",
        options: {
          ...options,
          tree: `${place}/tree`,
          owner,
          root: "read-only",
          ...(way === "chroot" ? { dirs: [] } : {}),
        },
      }, around)
      : await drive(caller, {
        ...job,
        options: {
          ...options,
          path: "/usr/bin:/bin",
          home,
          hide: [`${place}/store`, `${place}/docker`],
          ...(way === undefined ? {} : { mode: way }),
        },
      }, around);
    const hidden: string[] = [];
    for (const name of ["home/.docker", "docker", "store"]) {
      for (const entry of Deno.readDirSync(`${place}/${name}`)) hidden.push(entry.name);
    }
    return { caller, report, hidden };
  } finally {
    await server.stdin.close();
    await server.status;
    await reader.cancel();
    await removeTrees(helper, [place]);
  }
}

/** An image with the tools of the script: busybox, and this machine's perl. */
async function makeImage(tree: string, owner: "self" | "real", helper: string): Promise<void> {
  await Deno.mkdir(tree);
  await unpackLayers([await busyboxLayer()], { helper, into: tree, owner, furnish: true });
  const { success } = await new Deno.Command("/bin/sh", {
    args: [
      "-c",
      'cp -L --parents $(ldd /usr/bin/perl | grep -o "/[^ ]*") /usr/bin/perl "$0" && ' +
      'cp -r --parents $(perl -e \'print join " ", grep { m|^/usr/lib.*perl-base$| } @INC\') "$0"',
      tree,
    ],
  }).output();
  ok(success);
}

async function hasPerl(): Promise<boolean> {
  try {
    await Deno.stat("/usr/bin/perl");
    return true;
  } catch {
    skipped("needs perl");
    return false;
  }
}

/** The part of the output under a heading. */
function section(report: Report, name: string): string {
  return report.output.split(`== ${name}\n`)[1]?.split("== ")[0] ?? "";
}

function without(report: Report, line: RegExp): Report {
  return { ...report, output: report.output.replace(line, "") };
}

/** What must hold wherever a build runs behind walls. */
function assertNothingLeaked({ caller, report, hidden }: Haul, secret: string, proc = true): void {
  strictEqual(report.error, undefined);
  match(report.output, /== end\n$/, `the script came to its end: ${JSON.stringify(report)}`);
  ok(!report.output.includes(secret), "the secret was found:\n" + report.output);
  ok(!section(report, "arguments").includes("/scratch"), "a path of the machine");
  const names = section(report, "environment").split("\n").map((line) => line.split("=")[0]);
  deepStrictEqual(
    names.filter((name) => !/^(|PATH|HOME|HIDDEN|SOCKET|ABSTRACT|PWD|SHLVL|TMPDIR)$/.test(name!)),
    [],
  );
  const got = report.output.split("\n").filter((line) =>
    /^(READ|KILLABLE|WROTE|SHADOW|TTY|KEYRING)/.test(line)
  );
  deepStrictEqual(got, []);
  // A map of one id keeps the caller's groups, of whom nothing is in there, under the name of nobody.
  const groups = [...section(report, "rights").matchAll(/^GROUP (\d+)$/gm)].map(([, id]) => id);
  const own = /own tree/.test(report.describe ?? "") && caller !== "root";
  if (!own) deepStrictEqual(groups.filter((id) => id !== "1000" && id !== "65534"), []);
  if (proc) match(section(report, "descriptors"), /^0\n1\n2\n3\n/);
  deepStrictEqual([...hidden].sort(), ["blob", "config.json", "config.json"], "nothing planted");
}

Deno.test("the hostile build finds everything where there are no walls", async () => {
  if (!isRoot || !await hasPerl()) return skipped("needs root and perl");
  const place = await placeFor("user");
  await Deno.writeTextFile(`${place}/file`, "FILE of secret\n");
  await Deno.chown(`${place}/file`, 1000, 1000);
  const { stdout } = await new Deno.Command("/usr/bin/setpriv", {
    args: [
      ...["--reuid", "1000", "--regid", "1000", "--groups", "4", "--"],
      ...["/bin/sh", "-c", 'exec 9<"$HIDDEN/file"; /bin/sh -c "$1"; true', "sh", HOSTILE],
    ],
    clearEnv: true,
    env: { PATH: "/usr/bin:/bin", AUTH: "ENV of secret", HIDDEN: place, HOME: place },
  }).output();
  const output = new TextDecoder().decode(stdout);
  const wanted = [/^FILE of secret/m, /^AUTH=ENV of secret/m, /^KILLABLE/m, /^GROUP 4$/m];
  for (const found of [...wanted, /^KEYRING$/m]) match(output, found);
  match(output, /^READ \/proc\/\d+\/environ (.|\0)*ENV of secret/m);
  match(output.split("== descriptors")[1]!, /^9\n/m);
  deepStrictEqual([...Deno.readDirSync(place)], [], "it deletes what it can");
  await Deno.remove(place);
});

Deno.test("N-15 a view as root leaks nothing", async () => {
  if (!isRoot || !await hasPerl()) return skipped("needs root and perl");
  const { rootns, landlock } = await probeMachine(await compiledHelper());
  if (rootns.stage !== "ok") return skipped(`no namespaces: ${rootns.stage}`);
  const secret = crypto.randomUUID();
  const haul = await loot("root", secret, "view");
  assertNothingLeaked(haul, secret);
  const reached = section(haul.report, "sockets");
  strictEqual(reached, landlock >= 6 ? "" : "CONNECTED abstract\n");
});

for (const caller of ["user", "masked user", "masked root"] as const) {
  Deno.test(`N-15 a view in a user namespace leaks nothing: ${caller}`, async () => {
    if (!await hasPerl()) return;
    if (!isRoot && caller !== "user") return skipped("needs root");
    const { userns, landlock } = await probeMachine(await compiledHelper());
    if (userns.stage !== "ok") return skipped(`no user namespaces: ${userns.stage}`);
    if (landlock < 6 && caller !== "user") {
      return skipped("processes can be signalled: no Landlock");
    }
    const secret = crypto.randomUUID();
    const haul = await loot(caller, secret, "view");
    assertNothingLeaked(haul, secret);
    const reached = section(haul.report, "sockets");
    strictEqual(reached, landlock >= 6 ? "" : "CONNECTED abstract\n");
  });
}

for (const caller of ["user", "locked user"] as const) {
  Deno.test(`N-15 the machine's own tree behind Landlock leaks nothing: ${caller}`, async () => {
    if (!await hasPerl()) return;
    const { landlock } = await probeMachine(await compiledHelper());
    if (landlock < 6) return skipped(`Landlock ${landlock} cannot keep signals and sockets apart`);
    const secret = crypto.randomUUID();
    const haul = await loot(caller, secret, caller === "user" ? "direct" : "auto");
    strictEqual(haul.report.plan?.mode, "direct");
    assertNothingLeaked(haul, secret);
    // Landlock has no say about sockets with a path. The line for people admits it.
    ok(["", "CONNECTED path\n"].includes(section(haul.report, "sockets")));
    match(haul.report.describe!, /Unix sockets .* open/);
  });
}

Deno.test("N-15 root that drops to the build user on its own tree leaks nothing", async () => {
  if (!isRoot || !await hasPerl()) return skipped("needs root and perl");
  const { landlock } = await probeMachine(await compiledHelper());
  if (landlock < 6) return skipped(`Landlock ${landlock} cannot keep signals and sockets apart`);
  const secret = crypto.randomUUID();
  assertNothingLeaked(await loot("root", secret, "direct"), secret);
});

for (const caller of ["root", "user", "masked user", "masked root"] as const) {
  Deno.test(`N-15 an image entered by namespaces leaks nothing: ${caller}`, async () => {
    if (!await hasPerl() || await missingBusybox()) return skipped("needs perl and busybox-static");
    if (!isRoot && caller !== "user") return skipped("needs root");
    const { userns, rootns, landlock } = await probeMachine(await compiledHelper());
    if ((caller === "root" ? rootns : userns).stage !== "ok") return skipped("no namespaces");
    if (landlock < 6) return skipped("sockets and signals: no Landlock");
    const secret = crypto.randomUUID();
    let haul = await loot(caller, secret, "image");
    // In a map of one id all files of the image are the build's, its own /etc/shadow too. It is nobody's secret.
    const ofImage = /^SHADOW root:secret\n/m;
    if (caller !== "root") haul = { ...haul, report: without(haul.report, ofImage) };
    assertNothingLeaked(haul, secret);
    strictEqual(section(haul.report, "sockets"), "");
  });
}

for (const caller of ["root", "masked root"] as const) {
  Deno.test(`N-15 an image entered by chroot leaks nothing: ${caller}`, async () => {
    if (!isRoot || !await hasPerl() || await missingBusybox()) return skipped("needs root");
    const { landlock } = await probeMachine(await compiledHelper());
    if (landlock < 6) return skipped("sockets: no Landlock");
    const secret = crypto.randomUUID();
    const haul = await loot(caller, secret, "chroot");
    assertNothingLeaked(haul, secret, false);
    strictEqual(section(haul.report, "sockets"), "");
  });
}

Deno.test("carve covers a tree but for its holes", async () => {
  await using temp = await tempDir();
  const dir = await Deno.realPath(temp.path);
  for (const name of ["a/deep/hole", "a/deep/other", "b"]) {
    await Deno.mkdir(`${dir}/${name}`, { recursive: true });
  }
  const cut = async (...holes: string[]) =>
    (await carve(dir, holes.map((hole) => dir + hole))).map((path) => path.slice(dir.length))
      .sort();
  deepStrictEqual(await cut("/a/deep/hole"), ["/a/deep/other", "/b"]);
  deepStrictEqual(await cut(), [""]);
  deepStrictEqual(await cut(""), []);
  deepStrictEqual(await cut("/none"), ["/a", "/b"]);
  deepStrictEqual(await carve(`${dir}/none`, []), []);
});
