/** Documents of images and files of buildpacks, damaged: read, or refused in one line; what is read is stable. */
import assert from "node:assert/strict";
import { buildpackCapabilities } from "../../lifecycle/api.ts";
import { FileError } from "../../lifecycle/error.ts";
import { parseAnalyzedToml } from "../../lifecycle/file/analyzed_toml.ts";
import { parseBuildLabel } from "../../lifecycle/file/build_metadata_label.ts";
import { parseBuildPlan } from "../../lifecycle/file/build_plan.ts";
import { parseBuildpackToml } from "../../lifecycle/file/buildpack_toml.ts";
import { parseLaunchToml } from "../../lifecycle/file/launch_toml.ts";
import { parseLayerToml } from "../../lifecycle/file/layer_toml.ts";
import {
  formatLifecycleLabel,
  parseCacheMetadata,
  parseLifecycleLabel,
} from "../../lifecycle/file/lifecycle_metadata.ts";
import { parseOrderToml } from "../../lifecycle/file/order_toml.ts";
import { parseProjectToml } from "../../lifecycle/file/project_toml.ts";
import { parseRunToml } from "../../lifecycle/file/run_toml.ts";
import { parseSystemToml } from "../../lifecycle/file/system_toml.ts";
import { parseConfig } from "../../registry/oci/config.ts";
import { isDigest } from "../../registry/oci/digest.ts";
import { OciError } from "../../registry/oci/error.ts";
import { childrenOf, parseDocument } from "../../registry/oci/manifest.ts";
import { damaged, rounds } from "./seeded.ts";
import type { Span } from "../../registry/span_testing.ts";

const HEX = "a".repeat(64);
const CONFIG =
  `{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:${HEX}","size":2}`;
const LAYER =
  `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:${HEX}","size":3,` +
  `"annotations":{"a":"b"},"urls":["http://x"]}`;
const IMAGE =
  `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":${CONFIG},` +
  `"layers":[${LAYER}],"subject":${CONFIG},"annotations":{"x":"y"}}`;
const INDEX =
  `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":` +
  `"application/vnd.oci.image.manifest.v1+json","digest":"sha256:${HEX}","size":7,` +
  `"platform":{"os":"linux","architecture":"arm64","variant":"v8"}}]}`;
const IMAGE_CONFIG =
  `{"os":"linux","architecture":"amd64","config":{"User":"1","Env":["A=b"],"Labels":{"a":"b"},` +
  `"Entrypoint":null},"rootfs":{"type":"layers","diff_ids":["sha256:${HEX}"]},` +
  `"history":[{"created":"2020-01-01T00:00:00Z","empty_layer":true}]}`;
const LABEL =
  `{"app":[{"sha":"a"}],"buildpacks":[{"key":"a","version":"1","layers":{"l":{"sha":"x","data":{"a":1.0,` +
  `"b":9007199254740993},"dates":["/a"],"launch":true}},"store":{"metadata":{"k":[1,{"d":"2020-01-01"}]}}}],` +
  `"config":{"sha":""},"launcher":{"sha":""},"runImage":{"topLayer":"t","reference":"r","mirrors":["m"]}}`;

const JSON_PIECES =
  '{|}|[|]|:|,|"|\\|\\u0000|\\ud800|null|true|-1|1.5|1e999|9007199254740993|__proto__|{}|[]'
    .split("|")
    .concat(["constructor", '"layers":', '"manifests":[]', '"config":', '"mediaType":', '"size":'])
    .concat(["sha512:", "sha256:", "\ufeff", "[".repeat(300), '{"a":'.repeat(200), HEX, CONFIG]);
const TOML_PIECES =
  '\n|[|]|[[|]]|=|"|\'|"""|{|}|.|,|#|-1|nan|1e999|2024-02-30|99:99:99|true|\\u0000|0x1|\0|\r'
    .split("|")
    .concat(["__proto__", "constructor", "[".repeat(2000), "a.".repeat(500), "9".repeat(400)]);

/** Manifests, indexes and configs: an {@linkcode OciError}, or a value that says the same when read again. */
export async function fuzzDocuments(span: Span, seed: number): Promise<number> {
  let text = "";
  const encode = (value: string) => new TextEncoder().encode(value);
  return await rounds(span, seed, (next) => {
    const which = next(3);
    text = damaged(next, [IMAGE, INDEX, IMAGE_CONFIG][which]!, JSON_PIECES);
    try {
      if (which === 2) {
        const config = parseConfig(encode(text));
        for (const id of config.rootfs.diff_ids) assert.ok(isDigest(id));
        assert.deepEqual(parseConfig(encode(JSON.stringify(config))), config);
        return;
      }
      const document = parseDocument(encode(text));
      for (const child of childrenOf(document)) {
        assert.ok(isDigest(child.digest));
        assert.ok(Number.isSafeInteger(child.size) && child.size >= 0);
        assert.equal(Object.getPrototypeOf(child), Object.prototype);
      }
      const value = document.kind === "index" ? document.index : document.manifest;
      assert.deepEqual(parseDocument(encode(JSON.stringify(value)), document.mediaType), document);
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      oneLine(error.message);
    }
  }, () => text);
}

/** Labels and cache metadata: a {@linkcode FileError}, or a value that is written and read back the same. */
export async function fuzzLabels(span: Span, seed: number): Promise<number> {
  let text = "";
  return await rounds(span, seed, (next) => {
    text = damaged(next, LABEL, JSON_PIECES);
    for (const read of [parseBuildLabel, parseCacheMetadata]) refusedOrRead<unknown>(read, text);
    const metadata = refusedOrRead(parseLifecycleLabel, text);
    if (metadata === undefined) return;
    const written = formatLifecycleLabel(metadata);
    assert.equal(formatLifecycleLabel(parseLifecycleLabel(written)), written);
  }, () => text);
}

const can = buildpackCapabilities("0.10", "x");
const FILES: readonly (readonly [string, (source: string) => unknown])[] = [
  [
    `api = "0.10"\n[buildpack]\nid = "a/b"\nversion = "1"\nkeywords = ["a"]\n[[targets]]\nos = "linux"\n` +
    `[[targets.distros]]\nname = "x"\n[metadata]\nd = 2024-01-02T03:04:05.123+02:00\ne = 2024-01-02\n` +
    `f = 03:04:05\nx = { a = 1, b = [1, 2, { c = 3 }] }\ns = """\nx\n"""\n`,
    (source) => parseBuildpackToml(source, "f"),
  ],
  [
    `[[order]]\n[[order.group]]\nid = "a"\noptional = true\n[[order-extensions]]\n`,
    (source) => parseOrderToml(source, "f"),
  ],
  [`[[system.pre.buildpacks]]\nid = "a"\n`, (source) => parseSystemToml(source, "f")],
  [
    `[[processes]]\ntype = "web"\ncommand = ["a"]\nargs = ["b"]\n[[labels]]\nkey = "k"\n` +
    `[[slices]]\npaths = ["a"]\n`,
    (source) => parseLaunchToml(source, "f", "x", can),
  ],
  [
    `[[requires]]\nname = "a"\n[requires.metadata]\nv = 1\n[[or]]\n[[or.provides]]\nname = "b"\n`,
    (source) => parseBuildPlan(source, "f"),
  ],
  [`[types]\nlaunch = true\n[metadata]\na = 1.0\n`, (source) => parseLayerToml(source, "f")],
  [
    `[run-image.target]\nos = "l"\n[metadata]\napp = [{ sha = "a" }]\n[[metadata.buildpacks]]\nkey = "a"\n` +
    `[metadata.buildpacks.layers.l]\nsha = "x"\n`,
    (source) => parseAnalyzedToml(source, "f"),
  ],
  [
    `[_]\nschema-version = "0.2"\n[io.buildpacks]\nbuilder = "b"\n[[io.buildpacks.group]]\nid = "a"\n` +
    `[[io.buildpacks.build.env]]\nname = "A"\nvalue = "b"\n`,
    (source) => parseProjectToml(source, "f"),
  ],
  [`[[images]]\nimage = "a"\nmirrors = ["b", "c"]\n`, (source) => parseRunToml(source, "f")],
];

/** TOML of buildpacks and platforms: read, or a {@linkcode FileError} of one line. */
export async function fuzzToml(span: Span, seed: number): Promise<number> {
  let text = "";
  return await rounds(span, seed, (next) => {
    const [source, read] = FILES[next(FILES.length)]!;
    text = damaged(next, source, TOML_PIECES);
    refusedOrRead<unknown>(read, text);
  }, () => text);
}

function refusedOrRead<T>(read: (source: string) => T, text: string): T | undefined {
  try {
    return read(text);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    assert.ok(error.message.startsWith("Cannot "), error.message);
    oneLine(error.message, text.length);
    return undefined;
  }
}

function oneLine(message: string, quoted = 0): void {
  assert.ok(!/[\r\n]/.test(message), `more than a line: ${JSON.stringify(message)}`);
  assert.ok(message.length < 4000 + 6 * quoted, `a message of ${message.length} characters`);
}
