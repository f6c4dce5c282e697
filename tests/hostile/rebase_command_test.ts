/** `wherry rebase` of images that somebody made to be rebased. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { madeApp, madeBase, makeScene, put } from "../../cli/rebase/rebase_testing.ts";
import { quirkServer } from "../../registry/client/quirk_testing.ts";
import { encodeJson, type Image, makeImage } from "../../registry/image.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";

const LABEL = "io.buildpacks.lifecycle.metadata";
const [old, next] = [madeBase("1"), madeBase("2")];

/** What a terminal would obey or hide. */
// deno-lint-ignore no-control-regex -- exactly these
const OBEYED = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]/;

/** The app with another metadata label. */
function labelled(label: unknown, app: Image = madeApp(old, "app")): Image {
  const text = typeof label === "string" ? label : JSON.stringify(label);
  const config = {
    ...app.config,
    config: { ...app.config.config, Labels: { ...app.config.config.Labels, [LABEL]: text } },
  };
  return makeImage(config, app.layers);
}

Deno.test("M-09 M-10 a label makes rebase visit nobody: neither run image, mirrors, nor old base", async () => {
  await using evil = quirkServer(() => new Response(null, { status: 404 }));
  await using it = await makeScene();
  await put(it.place, "run", "2", next);
  const top = old.layers.at(-1)!;
  const evilName = `${evil.host}/run`;
  const label = (mirrors: readonly string[]) => ({
    runImage: {
      topLayer: top.diffId,
      reference: `${evilName}@${old.raw.digest}`,
      image: `${evilName}:1`,
      mirrors,
    },
    stack: { runImage: { image: `${evilName}:1`, mirrors: [`${evilName}:3`] } },
  });
  // Its base's last layer twice: only the old base could tell where the app begins.
  const app = madeApp(old, "app");
  const twice = makeImage(app.config, [...app.layers, top]);
  await put(it.place, "app", "1", labelled(label([`${evilName}:2`])));
  await put(it.place, "app", "2", labelled(label([`${evilName}:2`, `${it.host}/run:2`])));
  await put(it.place, "app", "3", labelled(label([]), twice));
  await Deno.writeTextFile(
    `${it.dir}/list`,
    [1, 2, 3].map((at) => `${it.host}/app:${at}`).join("\n"),
  );
  const config = {
    auths: { [evil.host]: { auth: btoa("canary:secret") }, [it.host]: { auth: btoa("u:p") } },
  };
  await Deno.mkdir(`${it.dir}/.docker`);
  await Deno.writeTextFile(`${it.dir}/.docker/config.json`, JSON.stringify(config), {
    mode: 0o600,
  });
  for (
    const args of [
      [`${it.host}/app:1`],
      [`${it.host}/app:3`, "--force", "--run-image", `${it.host}/run:2`],
      ["plan", "--from", "list"],
      ["--from", "list"],
    ]
  ) {
    const said = await it.wherry(["rebase", "--publish", ...args]);
    ok(said.code !== 0, said.stderr);
    deepEqual(evil.calls(), [], args.join(" "));
  }
  // The one mirror that is on the image's own registry will do.
  const own = await it.wherry(["rebase", "--publish", `${it.host}/app:2`]);
  equal(own.code, 0, own.stderr);
  deepEqual(evil.calls(), []);
  const three = await it.wherry([
    "rebase",
    "--publish",
    `${it.host}/app:3`,
    "--force",
    "--run-image",
    `${it.host}/run:2`,
  ]);
  equal(three.code, 72);
  match(three.stderr, /base layer: .*is in it twice, and the old base cannot be read to tell/);
});

Deno.test("M-06 M-08 labels and histories that lie: one line, nothing written", async () => {
  await using it = await makeScene();
  await put(it.place, "run", "2", next);
  const run = `${it.host}/run:2`;
  const app = madeApp(old, "app", { run });
  const good = JSON.parse(labelOf(app.config, LABEL)!);
  const rows: readonly (readonly [string, Image, number])[] = [
    ["no JSON", labelled("{"), 72],
    ["another shape", labelled('{"runImage":[]}'), 72],
    ["nothing in it", labelled("{}"), 72],
    ["deep", labelled("[".repeat(10_000)), 72],
    [
      "a layer that is not there",
      labelled({ ...good, runImage: { ...good.runImage, topLayer: `sha256:${"0".repeat(64)}` } }),
      72,
    ],
    [
      "an empty name of a layer",
      labelled({ ...good, runImage: { ...good.runImage, topLayer: "" } }),
      72,
    ],
  ];
  for (const [at, [why, image, code]] of rows.entries()) {
    await put(it.place, "bad", `${at}`, image);
    const said = await it.wherry([
      "rebase",
      "--publish",
      `${it.host}/bad:${at}`,
      "--run-image",
      run,
      "--force",
    ]);
    equal(said.code, code, `${why}: ${said.stderr}`);
    equal(
      said.stderr.trim().split("\n").filter((line) => line.startsWith("ERROR")).length,
      1,
      said.stderr,
    );
    equal((await it.place.stat("bad", `${at}`))!.digest, image.raw.digest, why);
  }
  // Keys that are special to JavaScript are labels like others.
  const proto = labelled(
    JSON.stringify(good).replace("{", '{"__proto__":{"x":1},"constructor":"y",'),
  );
  await put(it.place, "bad", "proto", proto);
  const said = await it.wherry([
    "rebase",
    "--publish",
    `${it.host}/bad:proto`,
    "--run-image",
    run,
    "--force",
  ]);
  equal(said.code, 0, said.stderr);
  const raw = (await it.place.manifest("bad", "proto"))!;
  const config = JSON.parse(new TextDecoder().decode(raw.bytes)).config.digest;
  const blob = await it.place.blob("bad", config);
  const text = await new Response(await blob!.open()).text();
  match(text, /\\"__proto__\\":\{\\"x\\":1\}/);
});

Deno.test("M-07 indexes within indexes, and indexes without end", async () => {
  await using it = await makeScene();
  await put(it.place, "run", "2", next);
  const app = madeApp(old, "app", { run: `${it.host}/run:2` });
  await put(it.place, "app", "1", app);
  const index = async (tag: string, manifests: readonly unknown[]) => {
    const mediaType = MediaType.ociIndex;
    const bytes = encodeJson({ schemaVersion: 2, mediaType, manifests });
    await it.place.pushManifest("app", { mediaType, bytes }, { tags: [tag] });
    return { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
  };
  const { mediaType, digest, bytes } = app.raw;
  const child = { mediaType, digest, size: bytes.byteLength };
  const inner = await index("inner", [child]);
  await index("outer", [inner]);
  await index(
    "many",
    Array.from(
      { length: 201 },
      (_, at) => ({ ...child, platform: { os: "linux", architecture: `a${at}` } }),
    ),
  );
  await index("none", []);
  it.calls();
  for (
    const [tag, why] of [["outer", /holds another index/], ["many", /names 201 images/], [
      "none",
      /names no image/,
    ]] as const
  ) {
    const said = await it.wherry([
      "rebase",
      "--publish",
      `${it.host}/app:${tag}`,
      "--run-image",
      `${it.host}/run:2`,
    ]);
    equal(said.code, 72, said.stderr);
    match(said.stderr, why);
  }
  equal(it.seen.some(({ method }) => method !== "GET"), false);
  ok(it.seen.length < 20, `${it.seen.length} requests`);
});

Deno.test("N-11 names and labels bring no escape sequences to a terminal, and no formulas to a table", async () => {
  await using it = await makeScene();
  await put(it.place, "run", "2", next);
  const label = {
    runImage: { topLayer: "\x1b[31mred", reference: "x", image: `${it.host}/run:2` },
  };
  await put(it.place, "app", "1", labelled(label));
  for (const more of [[], ["-o", "json"], ["-o", "csv"]]) {
    await Deno.writeTextFile(`${it.dir}/list`, `${it.host}/app:1\n`);
    const said = await it.wherry([
      "rebase",
      "--publish",
      "--from",
      "list",
      "--run-image",
      `${it.host}/run:2`,
      ...more,
    ]);
    equal(said.code, 72);
    equal(OBEYED.test(said.stderr + said.stdout), false, said.stderr);
  }
  const evil = "\x1b]0;x\x07\x9b31m\u202e";
  const good = {
    runImage: {
      topLayer: old.layers.at(-1)!.diffId,
      reference: "x",
      image: `${it.host}/run:1`,
      mirrors: [evil],
    },
  };
  const labels = { "io.buildpacks.base.distro.name": evil };
  await put(it.place, "app", "distro", labelled(good, madeApp(old, "app", { labels })));
  const away = { runImage: { ...good.runImage, image: `evil.example/${evil}`, reference: evil } };
  await put(it.place, "app", "away", labelled(away));
  const base = ["--run-image", `${it.host}/run:2`];
  for (const tag of ["distro", "away"]) {
    const name = `${it.host}/app:${tag}`;
    for (
      const words of [
        ["rebase", name, "--publish"],
        ["rebase", name, "--publish", "--dry-run", "--force", "-v", ...base],
        ["rebase", "plan", name, "--publish"],
        ["rebase", "plan", name, "--publish", "-o", "csv", ...base],
        ["outdated", name, "--publish", ...base],
      ]
    ) {
      const { stdout, stderr } = await it.wherry(words);
      equal(OBEYED.test(stdout + stderr), false, `${words.join(" ")}: ${stdout}${stderr}`);
    }
  }
  const results = [
    { journal: 1, source: "s", total: 2, shard: `1/2${evil}`, mine: 2, publish: true, started: "" },
    { reference: `x${evil}`, decision: "failed", reason: evil, requests: 1, bytes: 1, ms: 1 },
    { intent: `y${evil}`, old: evil, new: evil },
  ];
  await Deno.writeTextFile(
    `${it.dir}/j`,
    results.map((one) => JSON.stringify(one) + "\n").join(""),
  );
  for (const words of [["report", "j"], ["report", "j", "-o", "csv"], ["rollback", "j"]]) {
    const { stdout, stderr } = await it.wherry(["rebase", ...words]);
    equal(OBEYED.test(stdout + stderr), false, `${words.join(" ")}: ${stdout}${stderr}`);
  }
});
