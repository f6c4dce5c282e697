/**
 * Programs of the other processor on this machine. Where the kernel starts them already (binfmt_misc, by Debian's
 * qemu-user-static), nothing is done. Else, as root on Linux 6.7 or later, in a user namespace with a table of its own:
 * nothing of this machine is changed, and nothing is left however we end.
 *
 *     deno run -A scripts/foreign.ts PROGRAM [ARGUMENT...]     runs it where arm64 programs start
 */

/** A place where programs of both processors start. */
export interface Foreign extends AsyncDisposable {
  /** Why there is none; then commands run as everywhere. */
  readonly why?: string;
  /** They start on this machine anyway. */
  readonly already?: true;
  /** The command line that runs `program` there. */
  readonly command: (program: string, args: readonly string[]) => readonly [string, string[]];
}

/** No place of its own. */
const PLAIN: Foreign = {
  command: (program, args) => [program, [...args]],
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/** Debian's interpreter. */
const QEMU = "/usr/bin/qemu-aarch64-static";

/** The first 20 bytes of a little-endian 64-bit ELF program for AArch64, and those of their bits that count. */
const MAGIC = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`;
const MASK = String
  .raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;

/** F: the interpreter is opened now, so that roots without it will do. */
const RULE = `:wherry-aarch64:M::${MAGIC}:${MASK}:${QEMU}:F`;
const MOUNTED = "/proc/sys/fs/binfmt_misc";

const SETUP = `echo made; read -r mapped
mount -t binfmt_misc none ${MOUNTED} && printf %s "$1" >${MOUNTED}/register && echo ready
exec cat >/dev/null`;

/** Opens it. */
export async function openForeign(): Promise<Foreign> {
  if (await startsAlready()) return { ...PLAIN, already: true };
  if (!await Deno.stat(QEMU).then(() => true, () => false)) {
    return { ...PLAIN, why: `${QEMU} is missing (Debian: qemu-user-static)` };
  }
  if (Deno.uid() !== 0) return { ...PLAIN, why: "they do not start, and only root can help it" };
  const holder = new Deno.Command("unshare", {
    args: ["--user", "--mount", "sh", "-c", SETUP, "sh", RULE],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = holder.stdin.getWriter();
  const close = async () => {
    await writer.close().catch(() => {});
    await Promise.allSettled([holder.status, lines.return?.(), complaint]);
  };
  const complaint = holder.stderr.text();
  const lines = holder.stdout.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
  if ((await lines.next()).value?.trim() === "made") {
    for (const map of ["uid_map", "gid_map"]) {
      await Deno.writeTextFile(`/proc/${holder.pid}/${map}`, "0 0 4294967295\n");
    }
    await writer.write(new TextEncoder().encode("mapped\n"));
    if ((await lines.next()).value?.trim() === "ready") {
      const enter = ["--target", `${holder.pid}`, "--user", "--mount", "--wd=.", "--"];
      return {
        command: (program, args) => ["nsenter", [...enter, program, ...args]],
        [Symbol.asyncDispose]: close,
      };
    }
  }
  await close();
  return { ...PLAIN, why: `no table of interpreters can be had: ${(await complaint).trim()}` };
}

/** Whether the kernel has a rule for them that needs no file in the root. */
async function startsAlready(): Promise<boolean> {
  try {
    for await (const { name } of Deno.readDir(MOUNTED)) {
      const text = await Deno.readTextFile(`${MOUNTED}/${name}`).catch(() => "");
      if (/^enabled/.test(text) && /^flags: .*F/m.test(text) && text.includes("0200b7")) {
        return true;
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return false;
}

if (import.meta.main) {
  const [program = "true", ...args] = Deno.args;
  await using foreign = await openForeign();
  if (foreign.why !== undefined) throw new Error(`Cannot run programs of arm64: ${foreign.why}`);
  const [file, words] = foreign.command(program, args);
  const { code } = await new Deno.Command(file, { args: words, stdin: "inherit" }).spawn().status;
  Deno.exitCode = code;
}
