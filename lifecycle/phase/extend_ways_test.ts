import assert from "node:assert/strict";
import { missingBusybox } from "../sandbox/busybox_testing.ts";
import {
  type Caller,
  compiledHelper,
  driveWith,
  isRoot,
  placeFor,
  skipped,
} from "../sandbox/helper_testing.ts";
import { removeTrees } from "../sandbox/trees.ts";
import type { ExtendJob, ExtendReport } from "./extend_driver_testing.ts";

/** In the base, beside busybox and its users. */
const FILES: ExtendJob["files"] = [
  ...["opt", "opt/full", "opt/full/below", "opt/same", "opt/links"].map((name) =>
    ({ name, type: "directory", mode: 0o755 }) as const
  ),
  ...["full/a", "full/b", "full/below/c", "same/kept", "same/moved", "same/written", "links/one"]
    .map((name) => ({ name: `opt/${name}`, text: `old ${name}\n` })),
  { name: "opt/links/two", type: "link", linkName: "opt/links/one" },
  { name: "opt/links/alone", text: "alone\n" },
  { name: "opt/soft", type: "symlink", linkName: "same/kept" },
  { name: "home/cnb/mine", text: "mine\n", mode: 0o666 },
];

/** Each line is an instruction of its own. */
const COMMANDS: readonly string[] = [
  "echo more >>/opt/full/a; mkdir -p /opt/new/dir; echo x >/opt/new/dir/file",
  "echo both >>/opt/links/two; cat /opt/links/one", // all names of a file are one file
  "ln /opt/links/alone /opt/links/new; rm /opt/links/one",
  "rm -r /opt/full; mkdir -p /opt/full/below; echo c >/opt/full/below/other", // made anew, not merged
  "ls -R /opt/full; mkdir /opt/full/again; echo a >/opt/full/a",
  // Touched, opened, written with what was there: nothing was changed, and there is no layer.
  "touch /opt/same/kept; chmod 644 /opt/same/kept; chown 0:0 /opt/same/kept; : >>/opt/same/written; cp /opt/same/written /w; cat /w >/opt/same/written; rm /w",
  "echo other >/opt/same/written; chmod 600 /opt/same/kept",
  "echo 'old same/written' >/opt/same/written", // what it was in the base, which it no longer is
  "mv /opt/same/moved /opt/same/elsewhere; rm /opt/soft; echo file >/opt/soft",
  "rm -r /opt/links; echo file >/opt/links; rm /opt/soft; mkdir /opt/soft; echo in >/opt/soft/in",
  "mv /opt/new /opt/renamed; mkdir -m 700 /opt/closed; ln -s /etc /opt/etc; mkfifo /opt/pipe",
  "rm -r /etc 2>&1; ls /", // with what was mounted in it; one pipe, for two come in any order
];

const CALLERS: readonly Caller[] = isRoot
  ? ["root", "user", "masked user", "masked root"]
  : ["user"];

for (const caller of CALLERS) {
  Deno.test(`XT-4 over the unpacked image and in a copy of it the same layers are made: ${caller}`, async () => {
    const missing = await missingBusybox();
    if (missing) return skipped(`apt-get install ${missing}`);
    const helper = await compiledHelper();
    const dir = await placeFor(caller);
    try {
      await Deno.mkdir(`${dir}/context/sub`, { recursive: true });
      await Deno.writeTextFile(`${dir}/context/sub/file`, "copied");
      const text = [
        "USER root",
        ...COMMANDS.slice(0, -1).map((command) => `RUN ${command}`),
        "COPY sub /opt/full",
        "ADD sub/file /opt/soft/added",
        "WORKDIR /opt/work",
        "USER 1000",
        "RUN echo mine >>/home/cnb/mine; echo own >/tmp/own",
        "USER root",
        `RUN ${COMMANDS.at(-1)}`,
        "USER 1000",
      ].join("\n");
      const job: ExtendJob = { helper, dir, files: FILES, text };
      const report = await driveWith<ExtendReport>(
        "../phase/extend_driver_testing.ts",
        caller,
        job,
      );
      if ("error" in report) assert.fail(report.error);
      const [over, copied] = report.ways;
      assert.deepEqual(over!.layers, copied!.layers);
      assert.equal(over!.output, copied!.output);
      assert.equal(copied!.overlay, false);
      if (!over!.overlay) skipped(`no overlay can be had here as ${caller}`);
      const at = (number: number) => over!.layers[number]!.slice(1).join("\n");
      assert.match(at(1), /links\/one 644 0:0\n.*links\/two 644 0:0 \/opt\/links\/one/);
      assert.match(at(2), /links\/new 644 0:0 \/opt\/links\/alone/);
      assert.match(at(3), /opt\/full\/.wh.a .*\n.*opt\/full\/.wh.b /);
      assert.match(at(3), /opt\/full\/below\/.wh.c /);
      assert.equal(over!.layers.length, COMMANDS.length + 3, "what is as it was makes no layer");
      assert.match(at(6), /same\/written 644/);
      assert.match(over!.output, /both\n/);
      assert.deepEqual(
        [...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) => /^extend-/.test(name)),
        [],
        "nothing stays",
      );
    } finally {
      await removeTrees(helper, [dir]);
    }
  });
}
