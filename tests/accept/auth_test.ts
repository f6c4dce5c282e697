/** A registry that wants a name and a password: where they come from, and that nobody else learns them. */
import assert from "node:assert/strict";
import { makePki } from "../../registry/client/pki_testing.ts";
import { hasRegistry, startRegistry } from "./registry_testing.ts";
import {
  assertOneError,
  EXAMPLES,
  installed,
  makeScene,
  type Scene,
  tool,
} from "./wherry_testing.ts";

const ready = hasRegistry && installed("htpasswd");
const PASSWORD = "correct horse";
const SEEK = "#!/usr/bin/env bash\nset -u\n";

/** Docker's config with a password for `host`. */
function dockerConfig(host: string, password: string): string {
  return JSON.stringify({ auths: { [host]: { auth: btoa(`ann:${password}`) } } });
}

async function publish(scene: Scene, host: string, env: Record<string, string> = {}) {
  return await scene.run([
    ...["build", `${host}/kinds`, "--publish", "--path", `${EXAMPLES}/kinds`],
    ...["-b", `${EXAMPLES}/buildpacks/kinds`, "--run-image", "scratch"],
  ], { env });
}

Deno.test({
  name:
    "basic credentials from docker's config, DOCKER_CONFIG, REGISTRY_AUTH_FILE and CNB_REGISTRY_AUTH",
  ignore: !ready,
  async fn() {
    await using registry = await startRegistry({ ann: PASSWORD });
    const { host } = registry;
    await using scene = await makeScene();
    const config = dockerConfig(host, PASSWORD);

    await scene.write({ "elsewhere/config.json": config, "auth.json": config });
    const header = JSON.stringify({ [host]: `Basic ${btoa(`ann:${PASSWORD}`)}` });
    for (
      const env of [
        { DOCKER_CONFIG: `${scene.dir}/elsewhere` },
        { REGISTRY_AUTH_FILE: `${scene.dir}/auth.json` },
        { CNB_REGISTRY_AUTH: header },
      ] as Record<string, string>[]
    ) {
      const outcome = await publish(scene, host, env);
      assert.equal(outcome.code, 0, `${Object.keys(env)}: ${outcome.stderr}`);
      assert(!outcome.stderr.includes(PASSWORD));
    }
    await scene.write({ "home/.docker/config.json": config });
    assert.equal((await publish(scene, host)).code, 0);
    await tool("skopeo", [
      ...["inspect", "--tls-verify=false", "--creds", `ann:${PASSWORD}`],
      `docker://${host}/kinds`,
    ]);
    await scene.ok(["pull", `${host}/kinds`], { store: `${scene.dir}/other` });
  },
});

Deno.test({
  name:
    "wrong credentials and none: one line that says whose they were and where they came from, no secret",
  ignore: !ready,
  async fn() {
    await using registry = await startRegistry({ ann: PASSWORD });
    const { host } = registry;
    await using scene = await makeScene();
    const none = await publish(scene, host);
    assertOneError(none, 32, new RegExp(`${host}/kinds.*(no credentials|credentials)`));
    await scene.write({ "home/.docker/config.json": dockerConfig(host, "wrong-secret") });
    const wrong = await publish(scene, host);
    assertOneError(wrong, 32, new RegExp(`${host}/kinds.*refused the credentials of user "ann"`));
    assert(!wrong.stderr.includes("wrong-secret"));
    const pull = await scene.run(["pull", `${host}/kinds`]);
    assertOneError(pull, 1, new RegExp(`${host}/kinds`));
  },
});

const pki = ready ? await makePki() : undefined;

Deno.test({
  name:
    "a registry with a certificate of a private authority: --ca-cert, --insecure-registry, or one line",
  ignore: pki === undefined,
  async fn() {
    await using registry = await startRegistry({ ann: PASSWORD }, pki!.server);
    const { host } = registry;
    await using scene = await makeScene();
    const name = `localhost:${host.split(":")[1]}/kinds`;
    await scene.write({
      "ca.pem": pki!.ca,
      "home/.docker/config.json": dockerConfig(name.split("/")[0]!, PASSWORD),
    });
    const build = (...flags: readonly string[]) =>
      scene.run([
        ...["build", name, "--publish", "--path", `${EXAMPLES}/kinds`, "-b"],
        ...[`${EXAMPLES}/buildpacks/kinds`, "--run-image", "scratch", ...flags],
      ]);
    assertOneError(await build(), 32, /certificate/i);
    const trusted = await build("--ca-cert", "ca.pem");
    assert.equal(trusted.code, 0, trusted.stderr);
    const insecure = await build("--insecure-registry", name.split("/")[0]!);
    assert.equal(insecure.code, 0, insecure.stderr);
    await tool("skopeo", [
      ...["inspect", "--tls-verify=false", "--creds", `ann:${PASSWORD}`, `docker://${name}`],
    ]);
  },
});

Deno.test({
  name: "a buildpack that looks for credentials everywhere finds none",
  ignore: !ready,
  async fn() {
    await using registry = await startRegistry({ ann: PASSWORD });
    const { host } = registry;
    await using scene = await makeScene();
    const config = dockerConfig(host, PASSWORD);
    const token = btoa(`ann:${PASSWORD}`);
    await scene.write({
      "home/.docker/config.json": config,
      "home/.netrc": `machine ${host} password ${token}`,
      "elsewhere/auth.json": config,
      "app/source.txt": "source",
      "thief/buildpack.toml":
        `api = "0.10"\n[buildpack]\nid = "a/thief"\nversion = "1"\n[[targets]]\nos = "linux"\n`,
      "thief/bin/detect": SEEK + "exit 0\n",
      // Everything a process can reach: environments, arguments and descriptors of others, files by every path.
      "thief/bin/build": SEEK + `exec 2>/dev/null
needle=${token.slice(0, 6)}; needle=\${needle}${token.slice(6)}
found() { echo "STOLEN $1"; }
env | grep -q -e "$needle" -e CNB_REGISTRY_AUTH -e DOCKER_CONFIG -e REGISTRY_AUTH_FILE && found env
for one in /proc/[0-9]*; do
  tr '\\0' '\\n' <$one/environ | grep -v needle= | grep -q -- "$needle" && found $one/environ
  case $(tr '\\0' ' ' <$one/cmdline) in *--publish*) found "$one/cmdline"; ls $one/fd >/dev/null && found $one/fd; cat $one/root/etc/passwd >/dev/null && found $one/root; esac
done
for one in /proc/self/fd/*; do case $one in */0|*/1|*/2|*/255) ;; *) readlink $one | grep -q . && case $(readlink $one) in /proc/*|pipe:*|*/bin/build) ;; *) found "$one $(readlink $one)" ;; esac ;; esac; done
for one in ${scene.dir} "$HOME" /root /home /run /etc /var /tmp /layers /platform /workspace; do
  grep -rlF --exclude-dir=proc --exclude=build -- "$needle" "$one" | head -3 | while read -r f; do found "$f"; done
done
ls ${scene.home} ${scene.store} && found "the caller's directories"
echo "LOOKED everywhere as $(id -u)"
`,
    });
    const outcome = await scene.run([
      ...["build", `${host}/kinds`, "--publish", "--path", "app", "-b", "thief"],
      ...["--run-image", "scratch", "--verbose"],
    ], {
      env: {
        CNB_REGISTRY_AUTH: JSON.stringify({ [host]: `Basic ${token}` }),
        REGISTRY_AUTH_FILE: `${scene.dir}/elsewhere/auth.json`,
        DOCKER_CONFIG: `${scene.home}/.docker`,
      },
    });
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.match(outcome.stderr, /LOOKED everywhere as 1000/);
    assert.doesNotMatch(outcome.stderr, /STOLEN/);
  },
});
