/** Layers of an image as a root file system in a directory of this machine. */
import { z } from "zod";
import { algorithmOf, Digester } from "../../registry/oci/digest.ts";
import type { Layer } from "../../registry/image.ts";
import { decompress } from "../../registry/layer/decompress.ts";
import type { ReadLimits } from "../../registry/layer/read_limits.ts";
import { TarParser } from "../../registry/layer/tar_reader.ts";
import type { TarHeader } from "../../registry/layer/tar_format.ts";
import { complaintOf, startHelper } from "./child.ts";
import { FrameWriter } from "./unpack_frames.ts";

/** Options of {@linkcode unpackLayers}. */
export interface UnpackOptions {
  /** The helper's executable. */
  readonly helper: string;
  /** An existing, empty directory that nobody else can enter. It becomes the root. */
  readonly into: string;
  /**
   * `self`: every file belongs to the caller, devices, setuid bits and capabilities are left out: for user namespaces.
   * `real`: as the archive says, which takes root.
   */
  readonly owner: "self" | "real";
  /** Into a root that is in use: what is mounted there, and `hosts` and `resolv.conf`, stay. Default false. */
  readonly over?: boolean | undefined;
  /** Also makes the places that a sandbox mounts on: `/dev`, `/etc/resolv.conf`. They are not of the image. */
  readonly furnish?: boolean | undefined;
  /** Against bombs, for each layer. */
  readonly limits?: ReadLimits | undefined;
  /** Stops between two chunks. */
  readonly signal?: AbortSignal | undefined;
  /** Told of each chunk of a layer as it travels, compressed. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
  /** Resolve names as on a kernel without `openat2`. For tests. */
  readonly walk?: boolean | undefined;
}

const unpackedLine = z.object({
  entries: z.number().int(),
  bytes: z.number().int(),
  skipped: z.number().int(),
});

/** What `unpack` made: entries, bytes of files, and devices and rights that could not be had here. */
export type Unpacked = z.infer<typeof unpackedLine>;

/** Where a sandbox mounts, beside what the top of a view can hold by itself. */
const PLACES = ["/dev", "/proc", "/sys", "/tmp", "/var/tmp", "/run"];
const FILE_PLACES = ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];

/** What a plain chroot needs in `/dev`; a view has its own. */
const NODES = [["null", 3], ["zero", 5], ["full", 7], ["random", 8], ["urandom", 9]] as const;

function deviceOf([name, minor]: readonly [string, number]): TarHeader {
  return {
    name: `dev/${name}`,
    type: "char",
    mode: 0o666,
    uid: 0,
    gid: 0,
    size: 0,
    mtime: 0,
    linkName: "",
    userName: "",
    groupName: "",
    major: 1,
    minor,
    dialect: "ustar",
    pax: new Map(),
  };
}

/** Sent to the helper at a time. */
const BATCH = 256 * 1024;

/**
 * Applies `layers`, the lowest first: whiteouts, opaque directories, hard links, modes, times; with `real` also
 * owners, devices and `security.capability`. No name and no link leads outside of `into`. Each layer is
 * checked against its diffID. After a failure `into` holds a part; remove it.
 *
 * @throws {TypeError} For an entry that wants out, or a layer that is not what its diffID says.
 * @throws {SyntaxError} When a layer is malformed.
 * @throws {RangeError} When a limit is passed.
 * @throws {Error} With the helper's reason: no space, name too long.
 */
export async function unpackLayers(
  layers: readonly Layer[],
  options: UnpackOptions,
): Promise<Unpacked> {
  const args = ["--into", options.into];
  if (options.owner === "real") args.push("--real");
  if (options.over) args.push("--over");
  if (options.walk) args.push("--walk");
  return await unpackFrames(options.helper, args, async (write) => {
    const frames = new FrameWriter();
    for (const layer of layers) {
      frames.layer();
      await sendLayer(layer, frames, options, write);
    }
    if (options.furnish) {
      for (const path of PLACES) frames.place(path);
      for (const path of FILE_PLACES) frames.filePlace(path);
      if (options.owner === "real") { for (const node of NODES) frames.entry(deviceOf(node)); }
    }
    frames.finish();
    await write(frames.take());
  });
}

async function sendLayer(
  layer: Layer,
  frames: FrameWriter,
  options: UnpackOptions,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const { signal, limits } = options;
  const parser = new TarParser({
    header: (header) => frames.entry(header),
    body: (bytes) => frames.body(bytes),
  }, limits);
  const hash = new Digester(algorithmOf(layer.diffId));
  const source = await layer.blob();
  const packed = await source.open({ signal });
  const { onProgress } = options;
  const watched = onProgress === undefined ? packed : packed.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        onProgress(chunk.byteLength);
        controller.enqueue(chunk);
      },
    }),
  );
  const act = `Cannot unpack layer ${layer.descriptor.digest}: `;
  try {
    for await (const chunk of decompress(watched, { signal, limits })) {
      signal?.throwIfAborted();
      hash.update(chunk);
      parser.push(chunk);
      if (frames.waiting >= BATCH) await write(frames.take());
    }
    parser.finish();
  } catch (error) {
    // What a reader says of bytes is of no use to people who do not know whose they are.
    if ([SyntaxError, TypeError, RangeError].some((kind) => error instanceof kind)) {
      const { message } = error as Error;
      (error as Error).message = act + message.replace(/^Cannot (read|unpack|decompress) /, "");
    }
    throw error;
  }
  const found = hash.digest();
  if (found !== layer.diffId) {
    throw new TypeError(`${act}it is ${found}, its image says ${layer.diffId}`);
  }
  await write(frames.take());
}

/**
 * Runs the verb `unpack` and lets `send` tell it what to make (see `unpack_frames.ts`). Bytes given to `write` may be
 * reused when its promise resolves.
 *
 * @throws {Error} With the helper's reason, or what `send` threw; the helper has ended by then.
 */
async function unpackFrames(
  helper: string,
  args: readonly string[],
  send: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<Unpacked> {
  const child = startHelper(helper, ["unpack", ...args], {}, "piped", "piped");
  const said = Promise.all([child.stdout.text(), child.stderr.text(), child.status]);
  const writer = child.stdin.getWriter();
  let failure: { readonly reason: unknown } | undefined;
  try {
    await send((bytes) => writer.write(bytes));
  } catch (reason) {
    failure = { reason };
  }
  // Without its last frame the helper fails by itself.
  await writer.close().catch(() => {});
  const [out, complaint, { code, signal }] = await said;
  if (failure && !(failure.reason instanceof Deno.errors.BrokenPipe)) throw failure.reason;
  if (code === 0 && !failure) return unpackedLine.parse(JSON.parse(out));
  throw new Error(
    complaintOf(complaint) || `Cannot unpack: the helper ended with ${signal ?? code}`,
  );
}
