import { deepEqual, equal, throws } from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { ownLifecycle } from "./own_lifecycle.ts";

/** The first bytes of an ELF file for a processor (62: amd64), and some more. */
function elf(machine: number): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set([0x7f, 0x45, 0x4c, 0x46]);
  bytes[18] = machine;
  return bytes;
}

Deno.test("BI-1: the executable is packed from where it is, also when it was named by a symlink such as /proc/self/exe", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  await Deno.writeFile(`${dir}/wherry`, elf(62));
  await Deno.symlink("wherry", `${dir}/exe`);
  const all = [...ownLifecycle("amd64", [`${dir}/exe`]).entries()];
  const own = all.find(({ name }) => name === "/cnb/lifecycle/lifecycle");
  equal(own?.type, "file");
  const body = own?.type === "file" ? own.body as { readonly path: string } : undefined;
  deepEqual((await Deno.lstat(body!.path)).isFile, true, "the packer follows no symlink");
});

Deno.test("BI-1: of several executables each processor gets its own; one that fits none is refused", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const files = { amd64: `${dir}/one`, arm64: `${dir}/other` };
  await Deno.writeFile(files.amd64, elf(62));
  await Deno.writeFile(files.arm64, elf(183));
  for (const arch of ["amd64", "arm64"] as const) {
    const all = [...ownLifecycle(arch, Object.values(files)).entries()];
    const own = all.find(({ name }) => name === "/cnb/lifecycle/lifecycle");
    equal(own?.type === "file" && "path" in own.body! && own.body.path, files[arch]);
  }
  throws(() => ownLifecycle("arm64", [files.amd64]), /one is for amd64/);
});
