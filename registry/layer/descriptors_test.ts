import { deepEqual, equal, throws } from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { closeFile, OPEN, openFile, readFile, setMode, writeFile } from "./descriptors.ts";
import { inTemp } from "../temp_testing.ts";

Deno.test("descriptors: the flags are those of this machine's kernel", () => {
  const { constants } = fs;
  deepEqual(OPEN, {
    readOnly: constants.O_RDONLY,
    writeOnly: constants.O_WRONLY,
    create: constants.O_CREAT,
    exclusive: constants.O_EXCL,
    noBlock: constants.O_NONBLOCK,
    directory: constants.O_DIRECTORY,
    noFollow: constants.O_NOFOLLOW,
  });
});

Deno.test("descriptors: a file is written, read and given a mode, and no child inherits it", () =>
  inTemp((dir) => {
    const path = join(dir, "ä b");
    const made = openFile(path, OPEN.writeOnly | OPEN.create | OPEN.exclusive, 0o600);
    const bytes = crypto.getRandomValues(new Uint8Array(50_000));
    writeFile(made, bytes.subarray(1));
    setMode(made, 0o4751);
    const flags = Deno.readTextFileSync(`/proc/self/fdinfo/${made}`).match(/flags:\s*(\d+)/)?.[1];
    equal(parseInt(flags ?? "", 8) & 0o2000000, 0o2000000);
    closeFile(made);
    equal(Deno.statSync(path).mode! & 0o7777, 0o4751);
    const fd = openFile(path, OPEN.readOnly | OPEN.noFollow);
    const into = new Uint8Array(60_000);
    equal(readFile(fd, into), 49_999);
    equal(readFile(fd, into.subarray(49_999)), 0);
    closeFile(fd);
    deepEqual(into.subarray(0, 49_999), bytes.subarray(1));
  }));

Deno.test("descriptors: what fails says why, with a code", () =>
  inTemp((dir) => {
    Deno.symlinkSync("nowhere", join(dir, "link"));
    Deno.writeTextFileSync(join(dir, "file"), "");
    const { readOnly, writeOnly, create, exclusive, noFollow, directory } = OPEN;
    throws(() => openFile(join(dir, "gone"), readOnly), { code: "ENOENT" });
    throws(() => openFile(join(dir, "gone", "x"), readOnly), { code: "ENOENT" });
    throws(() => openFile(join(dir, "link"), readOnly | noFollow), { code: "ELOOP" });
    throws(() => openFile(join(dir, "file"), directory), { code: "ENOTDIR" });
    throws(() => openFile(join(dir, "file", "x"), readOnly), { code: "ENOTDIR" });
    throws(() => openFile(join(dir, "file"), writeOnly | create | exclusive), { code: "EEXIST" });
    throws(() => openFile(join(dir, "a\0b"), readOnly));
    throws(() => closeFile(9999), { code: "EBADF" });
    throws(() => writeFile(9999, new Uint8Array(1)), { code: "EBADF" });
  }));
