import assert from "node:assert/strict";
import { join } from "node:path";
import { parseProjectToml } from "../file/project_toml.ts";
import { prepareApp } from "./app_source.ts";
import { gatherBuildpacks } from "./buildpack_source.ts";
import { filterOf, findProject, metadataOf, wantedOf } from "./project.ts";
import { inTemp } from "../../registry/temp_testing.ts";

const never = new AbortController().signal;

/** Files below `dir`, sorted. */
function filesIn(dir: string, below = ""): readonly string[] {
  return [...Deno.readDirSync(join(dir, below))].flatMap((entry) => {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    return entry.isDirectory ? [`${path}/`, ...filesIn(dir, path)] : [path];
  }).sort();
}

Deno.test.each([
  {
    why: "nothing said",
    toml: "",
    left: ["a.txt", "b.bak", "logs/", "logs/x.log", "src/", "src/deep/", "src/deep/m.go"],
  },
  {
    why: "exclude",
    toml: 'exclude = ["*.bak", "logs/"]',
    left: ["a.txt", "src/", "src/deep/", "src/deep/m.go"],
  },
  {
    why: "exclude and take back",
    toml: 'exclude = ["/*", "!/a.txt"]',
    left: ["a.txt"],
  },
  { why: "include", toml: 'include = ["*.go"]', left: ["src/", "src/deep/", "src/deep/m.go"] },
  { why: "include a directory", toml: 'include = ["logs/"]', left: ["logs/", "logs/x.log"] },
])("PRJ-2 PRJ-4 what is left of the app: $why", async ({ toml, left }) => {
  await inTemp(async (dir) => {
    for (const file of ["a.txt", "b.bak", "logs/x.log", "src/deep/m.go"]) {
      await Deno.mkdir(join(dir, "app", file, ".."), { recursive: true });
      await Deno.writeTextFile(join(dir, "app", file), file);
    }
    const text = `[_]\nschema-version = "0.2"\n[io.buildpacks]\n${toml}\n`;
    await Deno.mkdir(join(dir, "into"));
    const filter = filterOf(parseProjectToml(text, "project.toml"));
    await prepareApp(join(dir, "app"), join(dir, "into"), never, filter);
    assert.deepEqual(filesIn(join(dir, "into")), [...left].sort());
  });
});

Deno.test("PRJ-5 a script becomes a buildpack that detects and builds with its shell", async () => {
  await inTemp(async (dir) => {
    const text = '[_]\nschema-version = "0.2"\n[[io.buildpacks.group]]\nid = "me/x"\n' +
      '[io.buildpacks.group.script]\napi = "0.10"\ninline = "echo hi"\nshell = "/bin/bash"\n';
    const project = parseProjectToml(text, "project.toml");
    const { all, order } = await gatherBuildpacks({
      buildpacks: wantedOf(project.group, dir),
      cwd: dir,
      scratch: dir,
    });
    assert.deepEqual(order[0]?.group.map(({ id }) => id), ["me/x"]);
    const bin = join(all[0]!.dir.outside, "bin");
    assert.equal(await Deno.readTextFile(join(bin, "build")), "#!/bin/bash\necho hi\n");
    assert.equal((Deno.statSync(join(bin, "detect")).mode ?? 0) & 0o111, 0o111);
  });
});

Deno.test("PRJ-2 pre and post stand around every group; addresses are relative to the file", async () => {
  await inTemp(async (dir) => {
    for (const id of ["first", "middle", "last"]) {
      await Deno.mkdir(join(dir, id));
      await Deno.writeTextFile(
        join(dir, id, "buildpack.toml"),
        `api = "0.10"\n[buildpack]\nid = "${id}"\nversion = "1"\n`,
      );
    }
    const text = '[_]\nschema-version = "0.2"\n[[io.buildpacks.pre.group]]\nuri = "first"\n' +
      '[[io.buildpacks.post.group]]\nuri = "./last"\n';
    const project = parseProjectToml(text, "project.toml");
    const { order } = await gatherBuildpacks({
      buildpacks: [join(dir, "middle")],
      pre: wantedOf(project.pre, dir),
      post: wantedOf(project.post, dir),
      cwd: "/",
      scratch: dir,
    });
    assert.deepEqual(order.map(({ group }) => group.map(({ id }) => id)), [
      ["first", "middle", "last"],
    ]);
  });
});

Deno.test("PRJ-1 a descriptor that was named must be there, one of the app need not", async () => {
  await inTemp(async (dir) => {
    assert.equal(await findProject(undefined, dir, "production"), undefined);
    await assert.rejects(
      () => findProject(join(dir, "no.toml"), dir, "production"),
      (error: { exitCode?: number; message?: string }) =>
        error.exitCode === 3 && error.message?.includes("no such file") === true,
    );
  });
});

Deno.test("LB-4 the project's version and home go into the label", () => {
  const text = '[_]\nschema-version = "0.2"\nversion = "1.2"\nsource-url = "https://x.example"\n';
  assert.deepEqual(metadataOf(parseProjectToml(text, "p")), {
    source: {
      type: "project",
      version: { declared: "1.2" },
      metadata: { url: "https://x.example" },
    },
  });
});
