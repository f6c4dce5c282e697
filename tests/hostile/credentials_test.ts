/** Files where credentials are looked for, as an attacker or an accident would leave them. */
import { equal, match, ok, rejects } from "node:assert/strict";
import { credentialSource } from "../../cli/credential_source.ts";
import type { Io } from "../../cli/io.ts";
import { credentialsFrom } from "../../registry/client/credentials.ts";
import { tempDir } from "../../registry/temp_testing.ts";

const SECRET = "the-secret-in-it";

async function inHome(act: (home: string, file: string) => Promise<void>): Promise<void> {
  await using temp = await tempDir();
  const home = temp.path;
  await Deno.mkdir(`${home}/.docker`);
  await act(home, `${home}/.docker/config.json`);
}

function look(home: string, said: string[] = []): Promise<unknown> {
  const log = { debug() {}, info() {}, error() {}, warn: (line: string) => void said.push(line) };
  const world = { env: { HOME: home, XDG_RUNTIME_DIR: home }, uid: 4_000_000, log };
  return credentialsFrom(world)("r.example", "app");
}

Deno.test("N-08 a pipe, a directory and a broken link are no credential files, and are not waited for", async () => {
  await inHome(async (home, file) => {
    await new Deno.Command("mkfifo", { args: [file] }).output();
    equal(await look(home), undefined);
    await Deno.remove(file);
    await Deno.mkdir(file);
    equal(await look(home), undefined);
    await Deno.remove(file);
    await Deno.symlink("nowhere", file);
    equal(await look(home), undefined);
    await Deno.remove(file);
    await Deno.symlink("config.json", file);
    await look(home).catch((error) => ok(error instanceof Error));
  });
});

Deno.test("N-08 a file of gigabytes is refused unread", () =>
  inHome(async (home, file) => {
    await Deno.writeTextFile(file, "{}");
    await Deno.truncate(file, 2 ** 30);
    const said: string[] = [];
    equal(await look(home, said), undefined);
    match(said.join("\n"), /^Cannot read .* larger than [^\n]*$/);
  }));

Deno.test("N-08 what is broken or of another shape is named, and nothing of it is repeated", async () => {
  await inHome(async (home, file) => {
    for (
      const text of [
        `{"auths":{"r.example":{"auth":"${SECRET}`,
        `{"auths":{"r.example":{"auth":["${SECRET}"]}}}`,
        `{"auths":["${SECRET}"]}`,
        `["${SECRET}"]`,
        `{"credHelpers":{"r.example":{"${SECRET}":1}}}`,
        `{"credsStore":7,"x":"${SECRET}"}`,
        `${"[".repeat(200_000)}"${SECRET}"`,
        `{"auths":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
        `{"auths":{"r.example":${'{"auth":'.repeat(50_000)}1${"}".repeat(50_000)}}}`,
      ]
    ) {
      await Deno.writeTextFile(file, text);
      const said: string[] = [];
      equal(await look(home, said), undefined, text.slice(0, 60));
      const [line = "", ...more] = said;
      equal(more.length, 0);
      ok(line.startsWith(`Cannot read ${file}: `) && line.length < 1000, line);
      ok(!line.includes(SECRET));
    }
  });
});

Deno.test("N-08, M-08 keys of prototypes are hosts like any other", async () => {
  await inHome(async (home, file) => {
    await Deno.writeTextFile(
      file,
      `{"auths":{"__proto__":{"auth":"${btoa("a:b")}"},"constructor":{"auth":"${btoa("a:b")}"}},` +
        `"__proto__":{"auths":{"r.example":{"auth":"${btoa("a:b")}"}},"credsStore":"evil"}}`,
    );
    equal(await look(home), undefined);
  });
});

Deno.test("N-07 a helper where foreign code lies, or that everybody can replace, is never run", () =>
  inHome(async (home, file) => {
    await Deno.writeTextFile(file, `{"credHelpers":{"r.example":"thief"}}`);
    await Deno.mkdir(`${home}/layers/bp/bin`, { recursive: true });
    await Deno.mkdir(`${home}/open`);
    const helper = `#!/bin/sh\ntouch ${home}/ran\n`;
    for (const dir of ["layers/bp/bin", "open"]) {
      await Deno.writeTextFile(`${home}/${dir}/docker-credential-thief`, helper);
      await Deno.chmod(`${home}/${dir}/docker-credential-thief`, 0o755);
    }
    await Deno.chmod(`${home}/open`, 0o777);
    await Deno.symlink(`${home}/layers/bp/bin`, `${home}/innocent`);
    await Deno.symlink(`${home}/layers`, `${home}/alias`);
    const sink = { write: () => {}, isTerminal: false, columns: () => 80 };
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const ask = async (path: string, layers: string) => {
      const env = { HOME: home, PATH: path, CNB_LAYERS_DIR: layers, XDG_RUNTIME_DIR: home };
      const io: Io = {
        args: [],
        env,
        cwd: home,
        user: { uid: 4_000_000, gid: 4_000_000 },
        stdout: sink,
        stderr: sink,
        signal: new AbortController().signal,
      };
      return await credentialSource(io, { allowHost: () => false }, log)("r.example", "app");
    };
    const dirs = [`${home}/layers/bp/bin`, `${home}/innocent`, "layers/bp/bin", ".", ""];
    for (const path of [...dirs, dirs.join(":")]) {
      for (const layers of [`${home}/layers`, `${home}/alias`]) {
        await rejects(ask(path, layers), /credential helper/, path);
      }
    }
    await rejects(ask(`${home}/open`, "/layers"), /credential helper/);
    equal(await Deno.lstat(`${home}/ran`).catch(() => undefined), undefined);
    // The very same file does run where nobody else can write.
    await Deno.chmod(`${home}/open`, 0o755);
    await rejects(ask(`${home}/open:/usr/bin:/bin`, "/layers"), /credential helper/);
    equal((await Deno.lstat(`${home}/ran`)).isFile, true);
  }));
