/**
 * Layers of image extensions keep the dialect they were written in (TA-8): the last two vectors of checklist section
 * 23.1. The archives are made here, as GNU tar on a Mac would have made them.
 */
import { equal } from "node:assert/strict";
import { digestOf } from "../../registry/oci/digest.ts";
import { rewriteLayer } from "../../registry/layer/rewrite.ts";
import { collect } from "../../registry/source.ts";

const BLOCK = 512;

/** One entry in the GNU dialect of 1989: magic `ustar` and two blanks, numbers ended by NUL, owners by name. */
function gnuEntry(name: string, text?: string): Uint8Array {
  const encoder = new TextEncoder();
  const header = new Uint8Array(BLOCK);
  const put = (offset: number, value: string) => header.set(encoder.encode(value), offset);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  put(0, name);
  put(100, octal(text === undefined ? 0o755 : 0o644, 7));
  put(108, octal(501, 7));
  put(116, octal(20, 7));
  put(124, octal(text?.length ?? 0, 11));
  put(136, octal(Date.UTC(2024, 1, 8, 19, 11, 16) / 1000, 11));
  put(148, " ".repeat(8));
  put(156, text === undefined ? "5" : "0");
  put(257, "ustar  ");
  put(265, "somebody");
  put(297, "staff");
  put(148, `${octal(header.reduce((sum, byte) => sum + byte, 0), 6)}\0 `);
  const body = new Uint8Array(text === undefined ? 0 : BLOCK);
  body.set(encoder.encode(text ?? ""));
  return new Uint8Array([...header, ...body]);
}

/** GNU tar pads to 10 KiB; the rewritten layer ends after its two zero blocks. */
function archive(name: string): ReadableStream<Uint8Array> {
  const bytes = new Uint8Array(10_240);
  let at = 0;
  for (
    const entry of [
      gnuEntry(`/${name}-dir/`),
      gnuEntry(`/${name}-dir/some-file`, "some-data\n"),
      gnuEntry(`/${name}-file`, "some-data\n"),
    ]
  ) {
    bytes.set(entry, at);
    at += entry.byteLength;
  }
  return ReadableStream.from([bytes]);
}

Deno.test.each([
  { name: "some", sha256: "fb54d2566824d6630d94db0b008d9a544a94d3547a424f52e2fd282b648c0601" },
  {
    name: "some-other",
    sha256: "1018c7d3584c4f7fa3ef4486d1a6a11b93956b9d8bfe0898a3e0fbd248c984d8",
  },
])("TA-8 the layer of /$name-dir keeps its dialect, owners and slash", async ({ name, sha256 }) => {
  const rewritten = await collect(rewriteLayer(archive(name)), 1024 * 1024);
  equal(digestOf(rewritten), `sha256:${sha256}`);
});
