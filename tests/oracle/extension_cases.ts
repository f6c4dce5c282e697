/** Cases of image extensions: detection with them, generation, and the switch of the run image. */
import type { CaseBuildpack, CaseExtension, OracleCase } from "./case.ts";

const BASE = "ARG base_image\nFROM ${base_image}";

const file = (name: string, text: string) => `cat >"$1/${name}" <<'END'\n${text}\nEND\n`;
const plan = (text: string) => `cat >"$2" <<'END'\n${text}\nEND\n`;
const provides = (name: string) => plan(`[[provides]]\nname = "${name}"`);
const requires = (name: string) =>
  plan(`[[requires]]\nname = "${name}"\n[requires.metadata]\nby = "${name}"`);

const user: CaseBuildpack = {
  detect: requires("tool"),
  build: 'cp "$3" "$1/given"; mkdir "$1/l"; cp "$3" "$1/l/plan"; ' +
    'printf "[types]\\nlaunch = true\\n" >"$1/l.toml"',
};
const plain: CaseBuildpack = {};

/** A case whose phases end with the detector or go on, as the Dockerfiles are. */
function one(
  name: string,
  extensions: Readonly<Record<string, CaseExtension>>,
  more: Partial<OracleCase> = {},
): OracleCase {
  return { name: `extensions: ${name}`, buildpacks: { "bp@1": plain }, extensions, ...more };
}

const generates = (text: string): CaseExtension => ({ generate: text });

/** All of them. */
export const EXTENSION_CASES: readonly OracleCase[] = [
  ...["0.12", "0.13", "0.15"].map((platformApi) =>
    one(`both Dockerfiles, arguments and what is provided, platform API ${platformApi}`, {
      "some/ext@1": {
        detect: provides("tool"),
        generate: `cp "$3" "$1/plan-given"\n${file("build.Dockerfile", `${BASE}\nRUN true`)}` +
          file("run.Dockerfile", BASE) +
          file("extend-config.toml", '[[build.args]]\nname = "a"\nvalue = "b"'),
      },
      "unused@1": { detect: provides("nothing") },
      "fails@1": { detect: "exit 100" },
    }, { platformApi, vars: { CNB_EXPERIMENTAL_MODE: "warn" }, buildpacks: { "bp@1": user } })
  ),
  one("what bin/detect and bin/generate see", {
    "sees@1": {
      keys: 'homepage = "https://x.example"',
      detect: 'env | grep -e ^CNB_ -e ^USER_ | grep -v PLAN_PATH | sort >&2; echo "$#"; exit 0',
      generate:
        'env | grep -e ^CNB_ -e ^USER_ | grep -v PLAN_PATH | sort >"$1/env"; echo "$# $PWD" >"$1/args"',
    },
    "clear@1": { keys: "clear-env = true", generate: 'env | grep ^USER_ >"$1/env" || true' },
  }, { env: { USER_GIVEN: "u" } }),
  one("the base is switched", {
    "switch@1": generates(file("run.Dockerfile", "FROM HOST/run:next")),
  }),
  one("the base is switched to what run.toml knows", {
    "switch@1": generates(file("run.Dockerfile", "FROM HOST/run:next")),
  }, { run: '[[images]]\nimage = "HOST/run:base"\nmirrors = ["HOST/run:next"]\n' }),
  one("the last switch decides, what was before is ignored", {
    "a@1": generates(file("run.Dockerfile", `${BASE}\nRUN a`)),
    "b@1": generates(file("run.Dockerfile", "FROM other.example/b")),
    "c@1": generates(file("run.Dockerfile", "FROM HOST/run:next")),
  }),
  one("the base is switched to itself", {
    "a@1": generates(file("run.Dockerfile", "FROM HOST/run:base")),
  }),
  one("contexts", {
    "a@1": generates(
      `mkdir "$1/context"; echo c >"$1/context/c"; ${
        file("build.Dockerfile", `${BASE}\nCOPY c /`)
      }`,
    ),
    "b@1": generates('mkdir "$1/context.run" "$1/context.build"'),
  }),
  one("both kinds of contexts", { "a@1": generates('mkdir "$1/context" "$1/context.run"') }),
  one("no output at all", { "a@1": generates("true"), "bare@1": {} }),
  one("groups of extensions are alternatives", {
    "a@1": { detect: "exit 100" },
    "b@1": { detect: "exit 0", generate: "true" },
  }, {
    order: '[[order]]\n[[order.group]]\nid = "bp"\nversion = "1"\n' +
      '[[order-extensions]]\n[[order-extensions.group]]\nid = "a"\nversion = "1"\n' +
      '[[order-extensions]]\n[[order-extensions.group]]\nid = "b"\nversion = "1"\n',
  }),
  one("no bin/detect, but a plan", {
    "a@1": { files: { "detect/plan.toml": '[[provides]]\nname = "tool"\n' }, generate: "true" },
  }, {
    buildpacks: { "bp@1": user },
  }),
  one("an extension that requires", { "a@1": { detect: requires("tool") } }),
  one("an extension that fails is not heard of", { "a@1": { detect: "echo no; exit 3" } }),
  one("an extension that is not there", {}, {
    order: '[[order]]\n[[order.group]]\nid = "bp"\nversion = "1"\n' +
      '[[order-extensions]]\n[[order-extensions.group]]\nid = "gone"\nversion = "1"\n',
  }),
  one("an API nobody speaks", { "a@1": { api: "0.3", generate: "true" } }),
  one("an experiment that nobody asked for", { "a@1": generates("true") }, { platformApi: "0.12" }),
  one("bin/generate fails", { "a@1": generates("echo no >&2; exit 3") }),
  ...[
    ["no ARG", "build", "FROM ${base_image}"],
    ["no base", "build", "ARG base_image\nFROM other"],
    ["two stages", "build", `${BASE}\nFROM other`],
    ["two stages", "run", "FROM a\nFROM b"],
    ["no stage", "run", "ARG a"],
    ["no instruction", "run", "FROM a\nNOPE b"],
    ["odd instructions", "build", `${BASE}\nEXPOSE 80\nCMD x`],
    ["no arguments", "run", "FROM a\nCOPY a"],
    ["an end in the middle", "build", `${BASE}\nRUN a \\`],
    ["JSON that is none", "build", `${BASE}\nSHELL /bin/sh`],
  ].map(([why, kind, text]) =>
    one(`${kind}.Dockerfile: ${why}`, { "a@1": generates(file(`${kind}.Dockerfile`, text!)) })
  ),
  one("arguments of the lifecycle", {
    "a@1": generates(file("extend-config.toml", '[[run.args]]\nname = "user_id"\nvalue = "0"')),
  }),
  one("the creator", { "a@1": generates("true") }, { creator: true }),
];
