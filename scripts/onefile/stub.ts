/** Compiling `stub.c` to the flat bytes the assembler places. */
import { alignUp, readElf, readSection } from "./elf.ts";
import type { Arch } from "./pins.ts";
import { runTool } from "./tool.ts";

const FLAGS = [
  "-Os",
  "-std=gnu11",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-ffreestanding",
  "-nostdlib",
  "-fPIE",
  "-fvisibility=hidden",
  "-fno-stack-protector",
  "-fno-asynchronous-unwind-tables",
  "-fno-unwind-tables",
  "-fno-tree-loop-distribute-patterns",
  "-fno-ident",
  "-static",
  "-no-pie",
];

const TARGET: Readonly<Record<Arch, readonly string[]>> = {
  amd64: ["-mno-sse", "-fcf-protection=none"],
  arm64: ["-mgeneral-regs-only", "-mno-outline-atomics"],
};

const NATIVE: Readonly<Record<Arch, string>> = { amd64: "x86_64", arm64: "aarch64" };

/**
 * The stub's code, a multiple of 16 bytes; execution starts at its first byte and the config must follow it.
 *
 * `stub.ld` makes the link fail when the code has writable data or relocations.
 */
export async function compileStub(arch: Arch): Promise<Uint8Array> {
  const compiler = NATIVE[arch] === Deno.build.arch ? "gcc" : `${NATIVE[arch]}-linux-gnu-gcc`;
  const here = import.meta.dirname;
  const out = await Deno.makeTempFile({ prefix: "stub" });
  try {
    await runTool(compiler, [
      ...FLAGS,
      ...TARGET[arch],
      "-Wl,-T,stub.ld,--build-id=none,-z,noexecstack",
      "-o",
      out,
      "stub.c",
    ], here === undefined ? {} : { cwd: here });
    const elf = readElf(await Deno.readFile(out), "the stub");
    if (elf.entry !== 0) {
      throw new Error(`Cannot use the stub: its entry is ${elf.entry}, wanted 0`);
    }
    const code = readSection(elf, ".stub");
    if (alignUp(code.length, 16) !== code.length) {
      throw new Error(`Cannot use the stub: its length ${code.length} is not a multiple of 16`);
    }
    return code;
  } finally {
    await Deno.remove(out);
  }
}
