/** `wherry completion` in the shells it is for. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { installed, makeScene, type Scene, tool, WHERRY } from "./wherry_testing.ts";

/** In bash a tab sets these four; the function leaves its answer in another. */
const TAB = `
source <(wherry completion bash)
tab() {
  COMP_LINE=$1 COMP_POINT=\${#1} COMP_CWORD=1 COMP_WORDS=($1)
  _wherry 2>/dev/null
  printf '%s|' "\${COMPREPLY[@]}"; echo
}
complete -p wherry
`;

async function inShell(scene: Scene, shell: string, script: string): Promise<string> {
  return await tool(shell, ["-c", script], {
    env: { HOME: scene.home, PATH: `${dirname(WHERRY)}:/usr/bin:/bin`, WHERRY_STORE: scene.store },
  });
}

Deno.test({
  name: "completion: bash completes commands, flags, their values and names with colons",
  ignore: !installed("bash"),
  async fn() {
    await using scene = await makeScene();
    const hello = ["--buildpack", "bp", "--run-image", "scratch"];
    assert.equal((await scene.run(["buildpack", "new", "a/b", "--path", "bp"])).code, 0);
    const built = await scene.run(["build", "localhost:5000/hello:1", "--path", "bp", ...hello]);
    assert.equal(built.code, 0, built.stderr);
    const out = await inShell(
      scene,
      "bash",
      `${TAB}
tab 'wherry bui'
tab 'wherry builder '
tab 'wherry build app --pull-policy '
tab 'wherry build app --pull-policy=n'
tab 'wherry build app --run-im'
tab 'wherry run localhost:50'
`,
    );
    assert.deepEqual(out.trim().split("\n"), [
      "complete -F _wherry wherry",
      "build|builder|buildpack|",
      "create|inspect|suggest|",
      "always|if-not-present|never|",
      "never|",
      "--run-image|",
      "5000/hello:1|",
    ]);
  },
});

Deno.test({
  name: "completion: fish completes commands with what they do, flags and values",
  ignore: !installed("fish"),
  async fn() {
    await using scene = await makeScene();
    const out = await inShell(
      scene,
      "fish",
      "wherry completion fish | source; complete -C 'wherry builder cr'; " +
        "complete -C 'wherry build --pull-policy if'; complete -C 'wherry build --run-im'",
    );
    assert.match(out, /^create\tMake a builder image\nif-not-present\n--run-image\t/);
  },
});

Deno.test({
  name: "completion: zsh completes commands, flags and values",
  ignore: !installed("zsh"),
  async fn() {
    await using scene = await makeScene();
    // The real line editor, in a terminal of zsh's own. It listens from its prompt on: what came before would only be echoed.
    const out = await inShell(
      scene,
      "zsh",
      `zmodload zsh/zpty
zpty shell 'zsh -f'
zpty -w shell "autoload -Uz compinit && compinit -u -D; source <(wherry completion zsh); PS1='g''o> '"
zpty -r -m shell line '*go> *'
zpty -w -n shell $'wherry build app --pull-policy if\\t; true --don''e\\n'
zpty -r -m shell line '*--done*'
print -r -- "$line"`,
    );
    assert.match(out.replaceAll("\x07", ""), /--pull-policy if-not-present ?; true/);
  },
});
