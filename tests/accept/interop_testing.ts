/** `wherry serve` behind the doors that people put in front of it, with an image in it. */
import { connectRegistry } from "../../registry/client/client.ts";
import type { RegistryClient } from "../../registry/client/options.ts";
import { makePki, type TestPki } from "../../registry/client/pki_testing.ts";
import { encodeJson } from "../../registry/image.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { bytesSource } from "../../registry/source.ts";
import { installed, makeScene, type Scene, tool } from "./wherry_testing.ts";

/** How a registry is reached. */
export type Door = "http" | "TLS and a password" | "TLS and tokens";

/** Who may come in. */
export const USER = "ann";
/** With which password. */
export const PASSWORD = "correct horse";

/** A served store with `seed/app:1` and `:2` in it. */
export interface Served extends AsyncDisposable {
  /** Files, HOME among them. */
  readonly scene: Scene;
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** It wants TLS and a login. */
  readonly locked: boolean;
  /** Of `seed/app:1`. */
  readonly digest: string;
  /** For tools: HOME, where passwords are kept, whom to trust. Nothing of the machine's is touched. */
  readonly env: Readonly<Record<string, string>>;
  /** Our own client, let in. */
  readonly registry: RegistryClient;
  /** What tag of `repository` is there, or `undefined`. */
  digestOf(repository: string, tag?: string): Promise<string | undefined>;
  /** All tags of `repository`. */
  tagsOf(repository: string): Promise<readonly string[]>;
}

let pki: Promise<TestPki | undefined> | undefined;

/** The doors that can be made here. */
export const DOORS: readonly Door[] = installed("htpasswd") && installed("openssl")
  ? ["http", "TLS and a password", "TLS and tokens"]
  : ["http"];

/** Serves a fresh store. */
export async function serveSeed(door: Door): Promise<Served> {
  const scene = await makeScene();
  await scene.write({ "auth.json": "{}" }); // buildah wants it to be there
  const flags = ["serve", "--listen", "127.0.0.1:0"];
  const locked = door !== "http";
  const authority = locked ? await (pki ??= makePki()) : undefined;
  if (authority !== undefined) {
    await scene.write({
      "ca.pem": authority.ca,
      "cert.pem": authority.server.cert,
      "key.pem": authority.server.key,
      "users": await tool("htpasswd", ["-nbB", USER, PASSWORD]),
    });
    flags.push("--tls-cert", "cert.pem", "--tls-key", "key.pem", "--htpasswd", "users");
    if (door === "TLS and tokens") flags.push("--token");
  }
  const server = scene.start(flags);
  const said = await server.until(/https?:\/\/127\.0\.0\.1:\d+/);
  const host = said.replace(/^https?:\/\//, "");
  if (authority !== undefined) {
    await scene.write({ [`home/.config/containers/certs.d/${host}/ca.crt`]: authority.ca });
  }
  const registry = connectRegistry(host, {
    caCerts: authority === undefined ? [] : [authority.ca],
    credentials: () =>
      Promise.resolve(
        locked ? { kind: "basic", username: USER, password: PASSWORD } : undefined,
      ),
  });
  return {
    scene,
    host,
    locked,
    registry,
    digest: await seed(scene, registry),
    env: {
      HOME: scene.home,
      REGISTRY_AUTH_FILE: `${scene.dir}/auth.json`,
      ...(locked ? { SSL_CERT_FILE: `${scene.dir}/ca.pem` } : {}),
    },
    digestOf: async (repository, tag = "1") => (await registry.stat(repository, tag))?.digest,
    tagsOf: (repository) => Array.fromAsync(registry.tags(repository)),
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      server.kill("SIGTERM");
      await server.ended;
      await scene[Symbol.asyncDispose]();
    },
  };
}

/** Pushes an image that engines can unpack; its layer stays in `layer.tar`, too. */
async function seed(scene: Scene, registry: RegistryClient): Promise<string> {
  await scene.write({ "root/hello.txt": "hello\n" });
  await tool("tar", ["-C", `${scene.dir}/root`, "-cf", `${scene.dir}/layer.tar`, "."]);
  const plain = await Deno.readFile(`${scene.dir}/layer.tar`);
  await tool("gzip", ["-nk", `${scene.dir}/layer.tar`]);
  const layer = await Deno.readFile(`${scene.dir}/layer.tar.gz`);
  const config = encodeJson({
    architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
    os: "linux",
    config: { Cmd: ["/hello"] },
    rootfs: { type: "layers", diff_ids: [digestOf(plain)] },
    history: [{ created_by: "seed" }],
  });
  const push = async (mediaType: string, bytes: Uint8Array) => {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
    await registry.pushBlob("seed/app", descriptor, bytesSource(bytes));
    return descriptor;
  };
  const mediaType = MediaType.ociManifest;
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType,
    config: await push("application/vnd.oci.image.config.v1+json", config),
    layers: [await push("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
  });
  await registry.pushManifest("seed/app", { mediaType, bytes }, { tags: ["1", "2"] });
  return digestOf(bytes);
}
