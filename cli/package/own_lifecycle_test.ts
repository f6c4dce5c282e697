import { deepEqual, equal } from "node:assert/strict";
import { ownLifecycle } from "./own_lifecycle.ts";

/** The first bytes of an ELF file for amd64, and some more. */
function amd64(): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set([0x7f, 0x45, 0x4c, 0x46]);
  bytes[18] = 62;
  return bytes;
}

Deno.test("BI-1: the executable is packed from where it is, also when it was named by a symlink such as /proc/self/exe", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeFile(`${dir}/wherry`, amd64());
    await Deno.symlink("wherry", `${dir}/exe`);
    const all = [...ownLifecycle("amd64", `${dir}/exe`).entries()];
    const own = all.find(({ name }) => name === "/cnb/lifecycle/lifecycle");
    equal(own?.type, "file");
    const body = own?.type === "file" ? own.body as { readonly path: string } : undefined;
    deepEqual((await Deno.lstat(body!.path)).isFile, true, "the packer follows no symlink");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
