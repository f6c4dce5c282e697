/**
 * Layers byte for byte as the Go lifecycle makes them: the vectors of checklist section 23.1. A wrong byte here
 * silently ends the reuse of layers between the two.
 */
import { equal } from "node:assert/strict";
import type { TreeEntry } from "../../registry/layer/entry.ts";
import { launcherLayer, processTypesLayer } from "../../registry/layer/fixed_layers.ts";
import { hashLayer } from "../../registry/layer/write_layer.ts";

const encoder = new TextEncoder();
const times = (letter: string, count: number) => letter.repeat(count);

function file(name: string, text: string, more: Partial<TreeEntry> = {}): TreeEntry {
  const body = encoder.encode(text);
  const size = body.byteLength;
  return { name, type: "file", mode: 0o644, uid: 1000, gid: 1000, size, body, ...more };
}

function other(
  type: TreeEntry["type"],
  name: string,
  mode: number,
  id: number,
  more: Partial<TreeEntry> = {},
): TreeEntry {
  return { name, type, mode, uid: id, gid: id, size: 0, ...more };
}

const CNB = { uid: 1234, gid: 1000 };

interface Vector {
  readonly why: string;
  readonly entries: readonly TreeEntry[];
  readonly sha256: string;
  readonly bytes: number;
}

const VECTORS: readonly Vector[] = [
  {
    why: "launch layer of a directory with one file (TA-1..TA-4)",
    entries: [
      ...["/layers", "/layers/corrupted_buildpack", "/layers/corrupted_buildpack/corrupted-layer"]
        .map((name) => other("directory", name, 0o755, 0, CNB)),
      file(
        "/layers/corrupted_buildpack/corrupted-layer/data",
        "digest-not-match-data\n",
        CNB,
      ),
    ],
    sha256: "258dfa0cc987efebc17559694866ebc91139e7c0e574f60d1d4092f53d7dff59",
    bytes: 4 * 512 + 512 + 1024,
  },
  {
    why: "empty tar (CA-7)",
    entries: [],
    sha256: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
    bytes: 1024,
  },
  {
    why: "root-owned parents, then the layer (TA-2, TA-3)",
    entries: [
      other("directory", "/layers", 0o755, 0),
      other("directory", "/layers/bp", 0o755, 0),
      other("directory", "/layers/bp/l", 0o755, 1000),
      file("/layers/bp/l/a", "hi\n"),
    ],
    sha256: "92ad12d7ff70602d03e32ae4cdc465ac930e2c723462ccd7bfd92beb3b27f5ec",
    bytes: 3584,
  },
  {
    why: "name of exactly 100 bytes (TA-7)",
    entries: [file("/" + times("a", 99), "x")],
    sha256: "f4cdacb4526393116b0120bdca532796c9050445b7be15dae6416d4fe478aa56",
    bytes: 2048,
  },
  {
    why: "name of 101 bytes without a slash to split at: PAX (TA-7)",
    entries: [file("/" + times("a", 100), "x")],
    sha256: "c26a78384a5d0ce03983699d8d51ffee977a67abdb733c5b722183c4955a5d53",
    bytes: 3072,
  },
  {
    why: "long name split into prefix and name (TA-7)",
    entries: [file(`/layers/bp/l/${times("d", 60)}/${times("f", 60)}`, "x")],
    sha256: "e2f338b70af2a7b5bc5e105cc5b2e3ca72af0dba70c64da008e36a566befb4e5",
    bytes: 2048,
  },
  {
    why: "directory part too long for the prefix: PAX (TA-7)",
    entries: [file(`/${times("d", 160)}/${times("f", 60)}`, "x")],
    sha256: "b7fe6cb972db49177f95ae81bafb2d99f7bb55f975a6b771415ede0110218da2",
    bytes: 3072,
  },
  {
    why: "name that is not ASCII: PAX (TA-7)",
    entries: [file("/layers/bp/l/\u00e9", "x")],
    sha256: "87881cdffc4f29c71835c66fba7f918ec92cc9a34a5c54e96cb851c55cbd6ca0",
    bytes: 3072,
  },
  {
    why: "link target of 101 bytes: PAX (TA-7)",
    entries: [other("symlink", "/layers/bp/l/s", 0o777, 1000, { linkName: times("t", 101) })],
    sha256: "2a9048a31e7c62d3db40367bbea1be19c3a43421bf175a24a36f430d7e9d3bdd",
    bytes: 2560,
  },
  {
    why: "link target that is not ASCII: PAX (TA-7)",
    entries: [other("symlink", "/layers/bp/l/s", 0o777, 1000, { linkName: "\u00e9" })],
    sha256: "30b927c03e4f9674f9af44d6732930522e791dc648dcd99d7cec08304d000436",
    bytes: 2560,
  },
  {
    why: "uid beyond seven octal digits: PAX (TA-7)",
    entries: [file("/layers/bp/l/a", "x", { uid: 2097152 })],
    sha256: "7504a7418713e527fde98c465bf29966886aa9552a68048b3e0c91f85a8a2683",
    bytes: 3072,
  },
  {
    why: "setuid file (TA-5)",
    entries: [file("/layers/bp/l/a", "x", { mode: 0o4755 })],
    sha256: "fb26d511b0b4f3f3c0a52cd3e8eabbb0151087e8db73565bbe5eac3794833a62",
    bytes: 2048,
  },
  {
    why: "fifo (TA-6)",
    entries: [other("fifo", "/layers/bp/l/p", 0o644, 1000)],
    sha256: "5fbb2c94d00678c59695c910055da7c2c4fab7178a2c7f4638d55936bd6a5963",
    bytes: 1536,
  },
  {
    why: "character device (TA-6)",
    entries: [
      other("char", "/layers/bp/l/c", 0o644, 1000, { device: { major: 1, minor: 3 } }),
    ],
    sha256: "122b4c3b86eccc160916273a28632fcfc0a87fc798d97a6b2412b23d98a1f974",
    bytes: 1536,
  },
  {
    why: "process types with one process (TA-9)",
    entries: processTypesLayer(["web"]),
    sha256: "83d85471d9f8a3834b4e27cf701e3f0aef220cc816d9c173c7d32cd73909a590",
    bytes: 2560,
  },
  {
    why: "launcher layer (TA-9)",
    entries: launcherLayer(encoder.encode("launcher")),
    sha256: "3ef01a62276c42d9781edd25fceee5c2620c83803a3b03191f2524841936c920",
    bytes: 3072,
  },
];

for (const { why, entries, sha256, bytes } of VECTORS) {
  Deno.test(`23.1 ${why}`, async () => {
    const layer = await hashLayer(entries);
    equal(layer.diffId, `sha256:${sha256}`);
    equal(layer.tarSize, bytes);
  });
}
