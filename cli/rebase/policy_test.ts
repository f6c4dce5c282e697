/** What a policy asks of run images and images, and when nothing is moved. */
import { equal, match } from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { encodeJson, type Image } from "../../registry/image.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import type { Registry } from "../../registry/registry.ts";
import { bytesSource } from "../../registry/source.ts";
import { madeApp, madeBase, makeScene, put, type Scene, type Shape } from "./rebase_testing.ts";

interface Place extends Scene {
  readonly old: Image;
  /** Plans and rebases the one image under a policy; what is said of it. */
  under(policy: string, run?: string): Promise<{ plan: string; apply: string; code: number }>;
}

/** One image on `run:1`, and a new base. */
async function place(next: Image, app: Shape = {}, first: Shape = {}): Promise<Place> {
  const it = await makeScene();
  const run = `${it.host}/run`;
  const old = madeBase("1", { created: "2026-01-01T00:00:00Z", ...first });
  await put(it.place, "run", "1", old);
  await put(it.place, "run", "2", next);
  await put(it.place, "app", "v1", madeApp(old, "app", { run: `${run}:2`, ...app }));
  const words = ["--publish", "--run-image", `${run}:2`, "--policy", "policy.toml"];
  return Object.assign(it, {
    old,
    async under(policy: string) {
      await Deno.writeTextFile(`${it.dir}/policy.toml`, policy);
      const plan = await it.wherry(["rebase", "plan", `${it.host}/app:v1`, ...words, "-o", "csv"]);
      const apply = await it.wherry(["rebase", `${it.host}/app:v1`, ...words]);
      equal(plan.code, apply.code === 0 ? 0 : plan.code, plan.stderr);
      return { plan: plan.stdout + plan.stderr, apply: apply.stderr, code: apply.code };
    },
  });
}

Deno.test("demand 30 policy: nothing is moved in a freeze: said with both times, a plan may be made all the same", async () => {
  await using it = await place(madeBase("2"));
  const always = `freeze = ["2000-01-01 to 2999-12-31"]\ntime-zone = "Europe/Berlin"\n`;
  const { plan, apply, code } = await it.under(always);
  equal(code, 72);
  match(
    apply,
    /^ERROR: Cannot rebase now: freeze: it is \w{3} \d{4}-\d\d-\d\d \d\d:\d\d \(Europe\/Berlin\), the policy moves nothing from 2000-01-01 to 2999-12-31$/m,
  );
  match(plan, /app:v1,would rebase/);
  match(plan, /^Warning: What is said here could not be done now: freeze: it is /m);
  const words = ["--publish", "--run-image", `${it.host}/run:2`];
  const made = await it.wherry(["rebase", "plan", `${it.host}/app:v1`, ...words, "--out", "plan"]);
  equal(made.code, 0, made.stderr);
  const applied = await it.wherry(["rebase", "apply", "plan", "--policy", "policy.toml"]);
  equal(applied.code, 72, applied.stderr);
  match(applied.stderr, /^ERROR: Cannot rebase now: freeze: /m);
  equal(it.seen.some(({ method }) => method === "PUT" || method === "POST"), false);
  equal((await it.under(`freeze = ["2000-01-01 to 2000-12-31"]\n`)).code, 0);
});

Deno.test("demand 30 policy: what cannot be meant is refused before anything is done", async () => {
  await using it = await place(madeBase("2"));
  for (
    const [text, said] of [
      [`freeze = ["weekends"]`, /Cannot read policy .*"weekends" as a freeze: want /],
      [`time-zone = "Mars"`, /"Mars" as a time zone/],
      [`newer-than = "soon"`, /newer-than "soon": want a date/],
      [`require-sbom = ["both"]`, /require-sbom/],
      [`signed-by = ["missing.pub"]`, /Cannot use key .*missing\.pub of the policy: /],
      [`signed-by = []`, /signed-by/],
      [`signed-by = ["policy.toml"]`, /it is no PEM "PUBLIC KEY"/],
    ] as const
  ) {
    const { apply, code } = await it.under(text);
    equal(code, 3, apply);
    match(apply, said);
  }
  equal(it.seen.some(({ method }) => method !== "GET" && method !== "HEAD"), false);
});

Deno.test("demand 30 policy: a base that is not newer than the old one, or than a date, is refused, with both dates", async () => {
  await using later = await place(madeBase("2", { created: "2026-06-01T00:00:00Z" }));
  for (
    const [policy, said] of [
      [
        `newer-than = 2026-07-01`,
        /base date: the new base is of "2026-06-01T00:00:00Z", .* after 2026-07-01T00/,
      ],
      [`newer-than = "2026-06-01"`, /base date: .* after 2026-06-01T00/],
    ] as const
  ) {
    const { plan, apply, code } = await later.under(policy);
    equal(code, 72);
    match(apply, said);
    match(plan, /app:v1,refused,.*base date/);
  }
  equal((await later.under("newer = true\nnewer-than = 2026-05-31T00:00:00Z\n")).code, 0);

  await using earlier = await place(madeBase("2", { created: "2025-06-01T00:00:00Z" }));
  match(
    (await earlier.under("newer = true\n")).apply,
    /base date: the new base is of "2025-06-01T00:00:00Z", the policy wants it newer than that of the image: 2026-01-01T00:00:00Z$/m,
  );
  await using fixed = await place(madeBase("2", { created: "1980-01-01T00:00:01Z" }));
  match(
    (await fixed.under("newer = true\n")).apply,
    /is of "1980-01-01T00:00:01Z, a fixed date", /,
  );
  match((await fixed.under("newer = true\n")).plan, /app:v1,refused/);
});

Deno.test("demand 30 policy: never across a distribution's version, also where the base does not say, and with --force", async () => {
  await using other = await place(madeBase("2", { distro: "13" }));
  const run = `${other.host}/run:2`;
  await Deno.writeTextFile(`${other.dir}/policy.toml`, "same-distro = true\n");
  const forced = await other.wherry([
    ...["rebase", `${other.host}/app:v1`, "--publish", "--run-image", run],
    ...["--force", "--policy", "policy.toml"],
  ]);
  equal(forced.code, 72);
  match(forced.stderr, /distro: the image has "debian 12", the new base "debian 13"$/m);
  await using silent = await place(
    madeBase("2", {
      labels: { "io.buildpacks.base.distro.name": "", "io.buildpacks.base.distro.version": "" },
    }),
  );
  match(
    (await silent.under("same-distro = true\n")).apply,
    /distro: the image has "debian 12", the new base "none"$/m,
  );
  await using same = await place(madeBase("2"));
  equal((await same.under("same-distro = true\n")).code, 0);
});

Deno.test("demand 30 policy: images and run images without a bill of materials, in a layer or attached, are refused", async () => {
  await using it = await place(madeBase("2"));
  for (const which of ["image", "run-image"]) {
    const { plan, apply, code } = await it.under(`require-sbom = ["${which}"]\n`);
    equal(code, 72);
    match(apply, new RegExp(`bill of materials: .*"none".*the policy wants one of the ${which}`));
    match(plan, /app:v1,refused,.*bill of materials/);
  }
  await Deno.writeTextFile(
    `${it.dir}/bom.cdx.json`,
    `{"bomFormat":"CycloneDX","specVersion":"1.5"}`,
  );
  for (const name of ["app:v1", "run:2"]) {
    const words = ["sbom", "attach", `${it.host}/${name}`, "--file", "bom.cdx.json", "--remote"];
    const attached = await it.wherry(words.slice(0, -1));
    equal(attached.code, 0, attached.stderr);
  }
  equal((await it.under(`require-sbom = ["image", "run-image"]\n`)).code, 0);

  const layered = madeBase("2");
  const label = { "io.buildpacks.base.sbom": layered.layers[4]!.diffId };
  await using own = await place(madeBase("2", { labels: label }));
  equal((await own.under(`require-sbom = ["run-image"]\n`)).code, 0);
});

const pair = (kind: "ec" | "ed25519") =>
  kind === "ec" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync(kind);

const signatureOf = (bytes: Uint8Array, key: KeyObject) =>
  sign(key.asymmetricKeyType === "ed25519" ? null : "sha256", bytes, key).toString("base64");

/** What cosign pushes: the payload as a layer, its signature as an annotation, by a tag. */
async function signSimply(to: Registry, of: Image, key: KeyObject, digest: string = of.raw.digest) {
  const type = "cosign container image signature";
  const identity = { "docker-reference": "anything" };
  const bytes = encodeJson({
    critical: { identity, image: { "docker-manifest-digest": digest }, type },
    optional: null,
  });
  await pushLayer(to, {
    mediaType: "application/vnd.dev.cosign.simplesigning.v1+json",
    bytes,
    annotations: { "dev.cosignproject.cosign/signature": signatureOf(bytes, key) },
  }, { tags: [`${of.raw.digest.replace(":", "-")}.sig`] });
}

/** What newer ones push: a Sigstore bundle that refers to the image. */
async function signBundle(to: Registry, of: Image, key: KeyObject, predicateType: string) {
  const { digest } = of.raw;
  const statement = encodeJson({
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ digest: { sha256: digest.slice("sha256:".length) } }],
    predicateType,
    predicate: {},
  });
  const payloadType = "application/vnd.in-toto+json";
  const head = new TextEncoder().encode(`DSSEv1 28 ${payloadType} ${statement.length} `);
  const signed = new Uint8Array([...head, ...statement]);
  const mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json";
  const bytes = encodeJson({
    mediaType,
    verificationMaterial: { publicKey: { hint: "x" } },
    dsseEnvelope: {
      payload: statement.toBase64(),
      payloadType,
      signatures: [{ sig: signatureOf(signed, key) }],
    },
  });
  const subject = { mediaType: of.raw.mediaType, digest, size: of.raw.bytes.length };
  await pushLayer(to, { mediaType, bytes }, { artifactType: mediaType, subject });
}

async function pushLayer(
  to: Registry,
  { bytes, ...rest }: { mediaType: string; bytes: Uint8Array<ArrayBuffer>; annotations?: object },
  { tags, ...more }: { tags?: readonly string[]; artifactType?: string; subject?: object },
) {
  const config = encodeJson({});
  const of = (mediaType: string, one: Uint8Array) => ({
    mediaType,
    digest: digestOf(one),
    size: one.length,
  });
  for (const one of [bytes, config]) {
    await to.pushBlob("run", of(rest.mediaType, one), bytesSource(one));
  }
  await to.pushManifest("run", {
    mediaType: MediaType.ociManifest,
    bytes: encodeJson({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: of(MediaType.ociEmpty, config),
      layers: [{ ...of(rest.mediaType, bytes), annotations: rest.annotations }],
      ...more,
    }),
  }, { tags: tags ?? [] });
}

async function keyFile(it: Scene, name: string, key: KeyObject) {
  await Deno.writeTextFile(
    `${it.dir}/${name}`,
    String(key.export({ type: "spki", format: "pem" })),
  );
}

Deno.test("demand 30 policy: a run image must be signed by one of the keys: by tag or by bundle, of its digest, as an image", async () => {
  for (const kind of ["ec", "ed25519"] as const) {
    const [ours, theirs] = [pair(kind), pair(kind)];
    const next = madeBase("2");
    await using it = await place(next);
    await keyFile(it, "ours.pub", ours.publicKey);
    await keyFile(it, "spare.pub", pair("ec").publicKey);
    const policy = `signed-by = ["spare.pub", "ours.pub"]\n`;
    const refused = async (said: RegExp) => {
      const { apply, plan, code } = await it.under(policy);
      equal(code, 72, apply);
      match(apply, said);
      match(plan, said);
    };
    await refused(
      /^ERROR: Cannot use run image \S+run:2 \(sha256:\w+\): the policy wants it signed by \S+spare\.pub or \S+ours\.pub, it has no signature$/m,
    );
    await signSimply(it.place, next, theirs.privateKey);
    await refused(/it has 1 signature, none by that$/m);
    // Ours, but of another image: whoever has it may not hang it here.
    await signSimply(it.place, next, ours.privateKey, it.old.raw.digest);
    await refused(/it has no signature$/m);
    // Ours, and says something else of the image.
    await signBundle(it.place, next, ours.privateKey, "https://cyclonedx.org/bom");
    await refused(/it has no signature$/m);
    await signBundle(it.place, next, theirs.privateKey, "https://sigstore.dev/cosign/sign/v1");
    await refused(/it has 1 signature, none by that$/m);
    if (kind === "ec") await signSimply(it.place, next, ours.privateKey);
    else await signBundle(it.place, next, ours.privateKey, "https://sigstore.dev/cosign/sign/v1");
    const { code, apply } = await it.under(policy);
    equal(code, 0, apply);
  }
});
