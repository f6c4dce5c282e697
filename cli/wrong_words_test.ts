/** Wrong words: commands that look for one image say the same of one that is not there. */
import { deepEqual, equal, match } from "node:assert/strict";
import { parse as parseToml } from "smol-toml";
import { parse as parseYaml } from "yaml";
import { makeImage, pushContents } from "../registry/image.ts";
import { appImage, bench, push } from "./command_testing.ts";
import { makeShell } from "./shell_testing.ts";

Deno.test("an image that is nowhere: one line with its whole name, exit 3, whichever command looks", async () => {
  await using shop = await bench();
  const name = `${shop.host}/absent:1`;
  for (
    const words of [["inspect"], ["inspect", "--layers"], ["sbom", "list"], ["verify"], [
      "builder",
      "inspect",
    ]]
  ) {
    const { code, out, err } = await shop.wherry(...words, name);
    equal(
      err,
      `ERROR: Cannot find ${name}: the store has none, its registry has none\n`,
      words.join(" "),
    );
    equal(code, 3);
    equal(out, "");
  }
  const bp = await shop.wherry("buildpack", "inspect", name);
  equal(bp.err, `ERROR: Cannot find ${name}: the store has none, its registry has none\n`);
  equal(bp.code, 3);
  const away = await shop.wherry("builder", "inspect", "gone.test/x:1", "--offline");
  match(away.err, /^ERROR: Cannot read gone\.test\/x:1: .*offline.*; the store has none\n$/);
  for (const words of [["pull", name], ["copy", name, "oci:out"]]) {
    const { code, err } = await shop.wherry(...words);
    equal(err, `ERROR: Cannot find ${name}: it is not there\n`, words.join(" "));
    equal(code, 3);
  }
  const { code, err } = await shop.wherry("run", name);
  equal(err, `ERROR: Cannot find ${name}: it is not there; the store has none\n`);
  equal(code, 3);
});

Deno.test("what a word names and is not there exits with 3: a file, a directory, a tag, a platform", async () => {
  await using shop = await bench();
  const name = `${shop.host}/app:1`;
  await push(appImage(), shop.registry, "app", "1");
  equal((await shop.wherry("copy", name, "oci:dir:1")).code, 0);
  const both = `${shop.host}/both:1`;
  for (
    const words of [["manifest", "create", both, name], ["manifest", "push", both], [
      "copy",
      both,
      "oci:both",
    ]]
  ) equal((await shop.wherry(...words)).code, 0);
  const archive = `Cannot open archive ${shop.dir}/no: no such file`;
  const platform = "Cannot find oci:dir:1 for linux/arm64: it is one image, for linux/amd64";
  for (
    const [words, message] of [
      [["bundle", "inspect", "no"], archive],
      [["inspect", "oci-archive:no"], archive],
      [["copy", "docker-archive:no", "oci:out"], archive],
      [["verify", "oci:no"], `Cannot open oci:${shop.dir}/no: no such directory`],
      [["inspect", "oci:dir:2"], "Cannot find 2 in oci:dir: it has 1"],
      [["copy", "oci:dir:2", "oci:out"], "Cannot find 2 in oci:dir: it has 1"],
      [["inspect", "oci:dir:1", "--platform", "linux/arm64"], platform],
      [
        ["copy", "oci:both", "oci:out", "--platform", "linux/s390x"],
        "Cannot copy oci:both for linux/s390x: it has linux/amd64",
      ],
      [["buildpack", "inspect", "no.cnb"], 'Cannot find "no.cnb": no such file or directory'],
      [["ls", "no"], "Cannot list no: the store has no image of that name (see: wherry ls)"],
    ] as const
  ) {
    const { code, out, err } = await shop.wherry(...words);
    equal(err, `ERROR: ${message}\n`, words.join(" "));
    equal(code, 3);
    equal(out, "");
  }
  for (const command of ["inspect", "pull", "copy", "diff"]) {
    const words = command === "copy"
      ? [name, "oci:out"]
      : command === "diff"
      ? [name, name]
      : [name];
    const { code, err } = await shop.wherry(command, ...words, "--platform", "arm64");
    equal(err, 'ERROR: Cannot read platform "arm64": want os/arch or os/arch/variant\n');
    equal(code, 3);
  }
});

Deno.test("a registry that does not answer is said once, with exit 1", async () => {
  await using shop = await bench();
  const name = "127.0.0.1:1/nope:1";
  for (const words of [["inspect"], ["builder", "inspect"]]) {
    const { code, err } = await shop.wherry(...words, name);
    match(
      err,
      /^ERROR: Cannot read 127\.0\.0\.1:1\/nope:1: 127\.0\.0\.1:1: [^;]*(; the store has none)?\n$/,
    );
    equal(err.match(/Cannot/g)?.length, 1, err);
    equal(code, 1);
  }
  // Who looks is not kept waiting: one more try, after a quarter of a second at most.
  const { err } = await shop.wherry("verify", name, "--verbose");
  equal(err.match(/again in \d+ ms/g)?.length, 1, err);
  match(err, /; the store has none\n$/);
});

Deno.test("an image that no buildpacks made: its base is not known, rather than scratch; it is no builder, said once", async () => {
  await using shop = await bench();
  const plain = makeImage(
    {
      os: "linux",
      architecture: "amd64",
      config: {},
      rootfs: { type: "layers", diff_ids: [] },
    },
    [],
  );
  await pushContents(plain, shop.registry, "plain");
  await shop.registry.pushManifest("plain", plain.raw, { tags: ["1"] });
  const { out } = await shop.wherry("inspect", `${shop.host}/plain:1`);
  match(out, /^ {2}\(not known: no buildpacks made it\)$/m);
  await shop.wherry("pull", `${shop.host}/plain:1`);
  const { err } = await shop.wherry("builder", "inspect", `${shop.host}/plain:1`);
  equal(err.match(/it is no builder/g)?.length, 1, err);
});

Deno.test("a place's prefix where only a name will do is no repository of Docker Hub", async () => {
  await using shop = await bench();
  for (
    const [words, prefix] of [
      [["pull", "oci:dir"], "oci:"],
      [["push", "store:x"], "store:"],
      [["manifest", "inspect", "oci-archive:f.tar"], "oci-archive:"],
      [["rm", "store:x"], "store:"],
    ] as const
  ) {
    const { code, err } = await shop.wherry(...words);
    equal(err, `ERROR: Cannot use "${words.at(-1)}" here: want a name without ${prefix}\n`);
    equal(code, 3);
  }
});

Deno.test("a list without an image is refused: what fills the pipe may have failed", async () => {
  await using shop = await bench();
  await Deno.writeTextFile(`${shop.dir}/none.txt`, "# nothing\n");
  for (const words of [["sbom", "query", "log4j"], ["outdated"]]) {
    const { code, err } = await shop.wherry(...words, "--from", "none.txt");
    match(err, /^ERROR: Cannot (query|look at) nothing: no image is named\n$/);
    equal(code, 3);
  }
});

Deno.test("a copy is told with the tag of its layout; push and pull name the image once", async () => {
  await using shop = await bench();
  await push(appImage(), shop.registry, "app", "1");
  const name = `${shop.host}/app:1`;
  match(
    (await shop.wherry("pull", name)).err,
    /^Pulled 127\.0\.0\.1:\d+\/app:1: 7 blobs \(.*\) moved, 0 were there$/m,
  );
  match(
    (await shop.wherry("push", name)).err,
    /^Pushed 127\.0\.0\.1:\d+\/app:1: all of it was there$/m,
  );
  const { err } = await shop.wherry("copy", `${shop.host}/app:1`, "oci:out:v1");
  match(err, /^Copied 127\.0\.0\.1:\d+\/app:1 to oci:out:v1: /m);
});

Deno.test("a command without its words names the help that lists them", async () => {
  await using shop = await bench();
  for (
    const [words, path] of [
      [["sbom", "list"], "wherry sbom list"],
      [["bundle", "push"], "wherry bundle push"],
      [["inspect-image"], "wherry inspect"],
      [["config", "registry-mirrors", "add", "docker.io"], "wherry config registry-mirrors add"],
      [["sbom", "list", "--nonsense"], "wherry sbom list"],
    ] as const
  ) {
    const { code, err } = await shop.wherry(...words);
    match(err, new RegExp(`\\(see: ${path} --help\\)\n$`));
    equal(code, 3);
  }
});

Deno.test("a word that is no command is called that, also below another; help takes all words", async () => {
  for (const words of [["sbom", "nonsense"], ["config", "registry-mirrors", "nonsense"]]) {
    const above = words.slice(0, -1).join(" ");
    equal(
      await said(Deno.execPath(), program(...words)),
      `ERROR: Unknown command '${words.join(" ")}' (see: wherry ${above} --help)\n`,
    );
  }
  match(
    await said(Deno.execPath(), program("help", "sbom", "query")),
    /^Usage: wherry sbom query /,
  );
});

Deno.test("a command that is misspelt is told with the one that was meant, below a command, too", async () => {
  await using shop = await bench();
  const said = async (...words: readonly string[]) => (await shop.wherry(...words)).err;
  match(await said("biuld"), /Unknown command 'biuld' \(Did you mean build\?\)/);
  match(
    await said("builder", "craete"),
    /'builder craete' \(Did you mean create\?\) \(see: wherry/,
  );
  match(await said("help", "biuld"), /Unknown command 'biuld' \(Did you mean build\?\)/);
});

Deno.test("words of docker, crane and pack are answered with wherry's", async () => {
  await using shop = await bench();
  for (
    const [words, line] of [
      [["images"], "Unknown command 'images': want wherry ls (see: wherry --help)"],
      [["rmi", "x"], "Unknown command 'rmi': want wherry rm (see: wherry --help)"],
      [
        ["config", "default-builder", "x"],
        "Unknown command 'config default-builder': want wherry build --builder NAME (see: wherry config --help)",
      ],
    ] as const
  ) {
    const { code, err } = await shop.wherry(...words);
    equal(err, `ERROR: ${line}\n`);
    equal(code, 3);
  }
});

Deno.test("too few words or too many: what is missing, what is too much, and how it is called", async () => {
  await using shop = await bench();
  for (
    const [words, line] of [
      [["tag", "a"], "Missing NEW: want wherry tag NAME NEW... [FLAGS] (see: wherry tag --help)"],
      [
        ["push", "a", "b", "c"],
        'Cannot use "b", "c": want wherry push NAME [FLAGS] (see: wherry push --help)',
      ],
      [
        ["ls", "-o"],
        "Missing the value of --output: want --output FORMAT (see: wherry ls --help)",
      ],
      [
        ["fleet", "manifest"],
        "Missing --engine ENGINE (see: wherry fleet manifest --help)",
      ],
      [
        ["build", "--pth", "."],
        "Unknown flag '--pth' (Did you mean --path?) (see: wherry build --help)",
      ],
    ] as const
  ) {
    const { code, err } = await shop.wherry(...words);
    equal(err, `ERROR: ${line}\n`);
    equal(code, 3);
  }
});

Deno.test("a path where an image is meant: a file is read as an archive, else what to write is told", async () => {
  await using shop = await bench();
  const name = `${shop.host}/app:1`;
  await push(appImage(), shop.registry, "app", "1");
  equal((await shop.wherry("copy", name, "docker-archive:a.tar")).code, 0);
  for (
    const words of [["inspect", "a.tar"], ["verify", "./a.tar"], ["copy", "a.tar", "oci:out"]]
  ) {
    const { code, err } = await shop.wherry(...words);
    equal(code, 0, err);
  }
  const path = "it is a path; want oci:DIR, oci-archive:FILE or docker-archive:FILE";
  for (
    const [words, message] of [
      [
        ["inspect", "./out"],
        'Cannot use "./out": it is a directory (of an OCI layout? want oci:./out)',
      ],
      [["inspect", "none.tar"], 'Cannot find "none.tar": no such file'],
      [["copy", name, "./b.tar"], `Cannot read image name "./b.tar": ${path}`],
      [["push", "/b"], `Cannot read image name "/b": ${path}`],
      [["push", ""], 'Cannot read image name "": want a name'],
    ] as const
  ) {
    const { code, err } = await shop.wherry(...words);
    equal(err, `ERROR: ${message}\n`);
    equal(code, 3);
  }
});

Deno.test("what cannot be written is told without the words of the system call", async () => {
  await using shop = await bench();
  const name = `${shop.host}/app:1`;
  await push(appImage(), shop.registry, "app", "1");
  const { code, err } = await shop.wherry("copy", name, "oci-archive:none/x.tar");
  equal(err, `ERROR: Cannot write archive ${shop.dir}/none/x.tar: no such file or directory\n`);
  equal(code, 1);
});

Deno.test("build --publish to a registry that is not there: what was asked, in one line, with the analysis' exit code", async () => {
  await using shell = await makeShell();
  await shell.write({
    "app/x": "",
    "bp/buildpack.toml": 'api = "0.10"\n[buildpack]\nid = "a/b"\nversion = "1"\n',
    "bp/bin/detect": "#!/bin/sh\n",
    "bp/bin/build": "#!/bin/sh\n",
  });
  const from = ["--path", "app", "--buildpack", "./bp", "--run-image", "scratch"];
  const { code, err } = await shell.wherry("build", "127.0.0.1:1/x", "--publish", ...from);
  equal(
    err.split("\n").at(-2),
    "ERROR: Cannot read 127.0.0.1:1/x:latest: 127.0.0.1:1: the connection was refused",
  );
  equal(code, 32);
});

Deno.test("results that nobody can take are told, whichever file they go to", async () => {
  const full = `${program("version").map((word) => `'${word}'`).join(" ")} >/dev/full`;
  const shown = await said("sh", ["-c", `'${Deno.execPath()}' ${full}`]);
  equal(shown, "ERROR: Cannot write to stdout: no space left on device\n");
});

Deno.test("a layout whose only image has no tag, as other tools write it, is read without one", async () => {
  await using shop = await bench();
  const name = `${shop.host}/app:1`;
  await push(appImage(), shop.registry, "app", "1");
  equal((await shop.wherry("copy", name, "oci:dir:1")).code, 0);
  const path = `${shop.dir}/dir/index.json`;
  const index = JSON.parse(await Deno.readTextFile(path));
  delete index.manifests[0].annotations;
  await Deno.writeTextFile(path, JSON.stringify(index));
  for (const words of [["inspect", "oci:dir"], ["copy", "oci:dir", `${shop.host}/again:1`]]) {
    const { code, err } = await shop.wherry(...words);
    equal(code, 0, err);
  }
  const { code, err } = await shop.wherry("inspect", "oci:dir:2");
  equal(err, "ERROR: Cannot find 2 in oci:dir: it has no tags\n");
  equal(code, 3);
});

Deno.test("a list that is not there: no words of the system call", async () => {
  await using shop = await bench();
  for (
    const [words, message] of [
      [["outdated", "--from", "none"], "Cannot read fleet from none: no such file"],
      [["rebase", "apply", "none"], "Cannot read plan none: no such file"],
      [["rebase", "report", "none"], "Cannot read journal none: no such file"],
      [["outdated", "x", "--policy", "none"], `Cannot read policy ${shop.dir}/none: no such file`],
    ] as const
  ) {
    const { code, err } = await shop.wherry(...words);
    equal(err, `ERROR: ${message}\n`);
    equal(code, 3);
  }
});

Deno.test("a policy that cannot be read: the line, and what is wrong there", async () => {
  await using shop = await bench();
  for (
    const [text, why] of [
      ["frozen = 3\n", ":1: frozen is 3, want an array"],
      ['run-images = []\nfrzen = ["x"]\n', ":2: unknown key frzen, want frozen"],
      ['frozen = [\n  "x\n', ":2:\\d+: .*"],
    ] as const
  ) {
    await Deno.writeTextFile(`${shop.dir}/policy.toml`, text);
    const { code, err } = await shop.wherry("outdated", "x", "--policy", "policy.toml");
    match(err, new RegExp(`^ERROR: Cannot read policy ${shop.dir}/policy.toml${why}\n$`));
    equal(code, 3);
  }
});

Deno.test("a package whose name ends in .cnb is a file, unless it goes to a registry", async () => {
  await using shop = await bench();
  await shop.wherry("buildpack", "new", "acme/tool");
  const pack = ["buildpack", "package", "--path", "tool"];
  const file = await shop.wherry(...pack, "p.cnb");
  match(file.out, /^p\.cnb@sha256:[0-9a-f]{64}\n$/, file.err);
  equal((await Deno.stat(`${shop.dir}/p.cnb`)).isFile, true);
  equal((await shop.wherry("ls")).out, "");
  const name = `${shop.host}/acme/p.cnb`;
  equal((await shop.wherry(...pack, name, "--publish")).code, 0);
  equal((await shop.wherry(...pack, "q.cnb", "--format", "image")).code, 0);
  match((await shop.wherry("ls")).out, /^q\.cnb +latest /m);
  const index = ["-r", "index"];
  await Deno.mkdir(`${shop.dir}/index`);
  match(
    (await shop.wherry("buildpack", "register", name, ...index)).out,
    /p\.cnb@sha256:[0-9a-f]{64}\n$/,
  );
  const yank = await shop.wherry("buildpack", "yank", "acme/tool@1.0.0", ...index);
  equal(yank.out, "acme/tool@1.0.0\n", yank.err);
});

Deno.test("-o is read in one way: the forms of the command are named, pack's human-readable is taken", async () => {
  await using shop = await bench();
  await shop.wherry("buildpack", "new", "acme/tool");
  for (
    const [words, forms] of [
      [["ls"], "human or json"],
      [["build", "x"], "human or json"],
      [["bundle", "inspect", "x"], "human or json"],
      [["buildpack", "package", "x"], "human or json"],
      [["relaunch", "x"], "human or json"],
      [["sbom", "query", "x", "y"], "human, json or csv"],
      [["outdated", "x"], "human, json or csv"],
      [["rebase", "x"], "human, json or csv"],
      [["rebase", "report", "x"], "human, json or csv"],
      [["builder", "inspect", "x"], "human, json, yaml or toml"],
      [["buildpack", "inspect", "tool"], "human, json, yaml or toml"],
      [["diff", "x", "y"], "human, json, yaml or toml"],
    ] as const
  ) {
    const { code, err } = await shop.wherry(...words, "-o", "xml");
    equal(err, `ERROR: Cannot print as "xml": want ${forms}\n`, words.join(" "));
    equal(code, 3);
  }
  const inspect = ["buildpack", "inspect", "./tool", "-o"];
  const json = JSON.parse((await shop.wherry(...inspect, "json")).out);
  deepEqual(parseYaml((await shop.wherry(...inspect, "yaml")).out), json);
  deepEqual({ ...parseToml((await shop.wherry(...inspect, "toml")).out) }, json);
  match((await shop.wherry(...inspect, "human-readable")).out, /^Inspecting buildpack/);
});

Deno.test("buildpack inspect looks at what buildpack package has just put into the store", async () => {
  await using shop = await bench();
  await shop.wherry("buildpack", "new", "acme/tool");
  equal((await shop.wherry("buildpack", "package", "tool-image", "--path", "tool")).code, 0);
  const { code, out, err } = await shop.wherry("buildpack", "inspect", "tool-image");
  equal(code, 0, err);
  match(out, /^acme\/tool@/m);
});

Deno.test("the line of an error has colours as the flags say, on a terminal and on none", async () => {
  const words = (flag: string) => program("inspect", flag, "UPPER/x");
  const red = (await said(Deno.execPath(), words("--force-color"))).slice(0, 18);
  equal(red, "\x1b[31;1mERROR: \x1b[0m");
  match(await said(Deno.execPath(), words("--quiet")), /^ERROR: /);
  if (!await Deno.stat("/usr/bin/script").then(() => true, () => false)) {
    // deno-lint-ignore no-console -- tests that skip say so
    return console.log("skipped: script (util-linux) is missing");
  }
  const line = `'${Deno.execPath()}' ${words("--no-color").join(" ")}`;
  match(await said("/usr/bin/script", ["-qec", line, "/dev/null"]), /^ERROR: /);
});

/** Words for Deno that run wherry from source, as a process of its own. */
function program(...words: readonly string[]): readonly string[] {
  return ["run", "-A", "--quiet", new URL("./main.ts", import.meta.url).pathname, ...words];
}

/** What a process prints. */
async function said(command: string, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}
