/** What is printed for engines is held against what they publish of themselves. */
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { validateWorkflow } from "@action-validator/core";
import { Job } from "kubernetes-models/batch/v1/Job";
import { ConfigMap } from "kubernetes-models/v1/ConfigMap";
import { PodSpec } from "kubernetes-models/v1/PodSpec";
import { parse, parseAllDocuments, stringify } from "yaml";
import { z } from "zod";
import { commandLine } from "../../cli/rebase/rebase_testing.ts";
import { tempDir } from "../../registry/temp_testing.ts";
import { type Engine, fleetDocuments, type FleetJob } from "./manifest.ts";

const job: FleetJob = {
  name: "rebase",
  image: "registry.example/wherry:1",
  shards: 16,
  parallel: 4,
  plan: "/plan/plan.jsonl",
  configMap: "plan",
  planText: "{}\n",
  secret: "pull",
  words: ["--max-failures", "3"],
};

Deno.test("fleet manifest k8s-job: an Indexed Job, valid by the Kubernetes API's schema, restricted", () => {
  const [map, made] = fleetDocuments("k8s-job", job) as [
    Record<string, unknown>,
    Record<string, never>,
  ];
  new ConfigMap(map as ConstructorParameters<typeof ConfigMap>[0]).validate();
  const one = new Job(made as ConstructorParameters<typeof Job>[0]);
  one.validate();
  const spec = one.spec!;
  deepEqual([spec.completionMode, spec.completions, spec.parallelism], ["Indexed", 16, 4]);
  equal(spec.backoffLimitPerIndex, 2);
  const pod = spec.template.spec!;
  equal(pod.restartPolicy, "Never", "backoffLimitPerIndex and podFailurePolicy want it");
  // The "restricted" pod security standard, point by point.
  equal(pod.securityContext!.runAsNonRoot, true);
  equal(pod.securityContext!.seccompProfile!.type, "RuntimeDefault");
  ok(!pod.hostNetwork && !pod.hostPID && !pod.hostIPC);
  for (const container of pod.containers) {
    equal(container.securityContext!.allowPrivilegeEscalation, false);
    deepEqual(container.securityContext!.capabilities!.drop, ["ALL"]);
    equal(container.securityContext!.privileged, undefined);
  }
  for (const volume of pod.volumes!) {
    const [, kind] = Object.keys(volume);
    ok(["configMap", "emptyDir", "secret"].includes(kind!), kind);
  }
  const { env = [], args = [] } = pod.containers[0]!;
  ok(env.some(({ name, value }) => name === "WHERRY_SHARDS" && value === "16"));
  deepEqual(args.slice(0, 3), ["rebase", "apply", "/plan/plan.jsonl"]);
  deepEqual(args.slice(-2), ["--max-failures", "3"]);
  throws(() => {
    new Job({ ...one, spec: { ...spec, completions: "many" as unknown as number } }).validate();
  }, "the schema can say no");
});

Deno.test("fleet manifest github: a workflow, valid by the published schema of workflows", () => {
  const [made] = fleetDocuments("github", job);
  const content = stringify(made, { lineWidth: 0 });
  deepEqual(validateWorkflow(content).errors, []);
  ok(validateWorkflow(content.replace("runs-on:", "runs-at:")).errors.length > 0, "it can say no");
  match(content, /max-parallel: 4/);
  match(content, /1\/16/);
});

Deno.test("fleet manifest tekton: a Task and a run over its shards", () => {
  const documents = fleetDocuments("tekton", job) as readonly Readonly<Record<string, unknown>>[];
  deepEqual(documents.map(({ kind }) => kind), ["ConfigMap", "Task", "PipelineRun"]);
  // tekton.dev/v1 as its documentation has it; a step has the fields of a container.
  const task = z.strictObject({
    apiVersion: z.literal("tekton.dev/v1"),
    kind: z.literal("Task"),
    metadata: z.strictObject({ name: z.string() }),
    spec: z.strictObject({
      params: z.array(z.strictObject({
        name: z.string(),
        type: z.enum(["string", "array", "object"]),
        description: z.string(),
      })),
      steps: z.array(z.looseObject({ name: z.string(), image: z.string() })),
      volumes: z.array(z.looseObject({ name: z.string() })),
    }),
  }).parse(documents[1]);
  new PodSpec({ containers: task.spec.steps, volumes: task.spec.volumes } as never).validate();
  const run = z.strictObject({
    apiVersion: z.literal("tekton.dev/v1"),
    kind: z.literal("PipelineRun"),
    metadata: z.strictObject({ generateName: z.string() }),
    spec: z.strictObject({
      pipelineSpec: z.strictObject({
        tasks: z.array(z.strictObject({
          name: z.string(),
          taskRef: z.strictObject({ name: z.literal("rebase") }),
          matrix: z.strictObject({
            params: z.array(
              z.strictObject({ name: z.literal("shard"), value: z.array(z.string()) }),
            ),
          }),
        })),
      }),
    }),
  }).parse(documents[2]);
  equal(run.spec.pipelineSpec.tasks[0]!.matrix.params[0]!.value.length, 16);
});

Deno.test("fleet manifest gitlab: parallel jobs and their report", () => {
  const [made] = fleetDocuments("gitlab", job);
  const keywords = z.strictObject({
    stage: z.enum(["rebase", "report"]),
    image: z.strictObject({ name: z.string(), entrypoint: z.array(z.string()) }),
    parallel: z.number().int().min(2).max(200).optional(),
    script: z.array(z.string()).min(1),
    when: z.enum(["always"]).optional(),
    retry: z.strictObject({
      max: z.number().int().min(0).max(2),
      when: z.array(z.enum(["runner_system_failure", "stuck_or_timeout_failure"])),
    }).optional(),
    artifacts: z.strictObject({
      when: z.enum(["always", "on_success", "on_failure"]),
      paths: z.array(z.string()),
      expire_in: z.string(),
    }).optional(),
  });
  const { stages, ...jobs } = made as Record<string, unknown>;
  deepEqual(stages, ["rebase", "report"]);
  const read = z.record(z.string(), keywords).parse(jobs);
  equal(read["rebase"]!.parallel, 16);
  equal(
    read["rebase"]!.script[0],
    "wherry rebase apply /plan/plan.jsonl --journal journal-{shard}.jsonl -o json --max-failures 3",
  );
});

Deno.test("fleet manifest prints YAML, with the plan in it, and refuses what an engine would", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const plan = { plan: 1, source: "s", total: 0, created: "", run_images: {}, flags: {} };
  await Deno.writeTextFile(`${dir}/plan`, JSON.stringify(plan) + "\n");
  const run = (engine: Engine, ...more: readonly string[]) =>
    commandLine(["fleet", "manifest", "--engine", engine, "--image", "wherry:1", ...more], dir);
  const made = await run("k8s-job", "--plan", "plan", "--shards", "3", "--parallel", "2");
  equal(made.code, 0, made.stderr);
  const documents = parseAllDocuments(made.stdout).map((one) => one.toJS());
  deepEqual(documents.map(({ kind }) => kind), ["ConfigMap", "Job"]);
  equal(documents[0].data["plan.jsonl"], JSON.stringify(plan) + "\n");
  equal(documents[1].spec.completions, 3);
  ok(parse((await run("gitlab", "--plan", "plan.jsonl")).stdout)["wherry-rebase"]);
  equal((await run("k8s-job", "--config-map", "there")).code, 0);
  for (const engine of ["k8s-job", "github"] as const) {
    const none = await run(engine);
    equal(none.code, 3);
    match(none.stderr, /^ERROR: Cannot write a manifest without a plan: want --plan FILE/);
  }
  const imageless = await commandLine(["fleet", "manifest", "--engine", "github"], dir);
  equal(imageless.code, 3);
  equal((await run("gitlab", "--plan", "plan", "--shards", "201")).code, 3);
  equal((await run("k8s-job", "--plan", "plan", "--name", "Bad_Name")).code, 3);
  equal((await run("k8s-job", "--plan", "absent")).code, 3);
  equal((await run("k8s-job", "--plan", "plan", "--shards", "2", "--parallel", "3")).code, 3);
});

Deno.test("demand 30: fleet manifest with plan and journals in a registry: no ConfigMap and no files of jobs", () => {
  const { configMap: _, planText: __, ...rest } = job;
  const far: FleetJob = {
    ...rest,
    plan: "oci:registry.example/plans@sha256:abc",
    journal: "oci:registry.example/runs:7-{shard}",
  };
  const [made, ...more] = fleetDocuments("k8s-job", far) as [Record<string, never>];
  equal(more.length, 0);
  const one = new Job(made as ConstructorParameters<typeof Job>[0]);
  one.validate();
  const pod = one.spec!.template.spec!;
  const { args = [], volumeMounts = [] } = pod.containers[0]!;
  deepEqual(args.slice(0, 5), ["rebase", "apply", far.plan, "--journal", far.journal]);
  deepEqual(volumeMounts.map(({ name }) => name), pod.volumes!.map(({ name }) => name));
  ok(!volumeMounts.some(({ name }) => name === "plan"));
  const content = stringify(fleetDocuments("github", far)[0], { lineWidth: 0 });
  deepEqual(validateWorkflow(content).errors, []);
  match(content, /wherry rebase report 'oci:registry\.example\/runs:7-\*'/);
  ok(!content.includes("artifact"));
  ok(!stringify(fleetDocuments("gitlab", far)[0]).includes("artifacts"));
});

Deno.test("fleet manifest says what is wrong with a journal or a plan in a registry", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const words = ["fleet", "manifest", "--engine", "k8s-job", "--image", "r.example/w:1"];
  const far = ["--plan", "oci:r.example/plans:1"];
  for (
    const [more, why] of [
      [[...far, "--journal", "j.jsonl"], /Cannot use --journal j\.jsonl: want oci:REGISTRY/],
      [[...far, "--journal", "oci:r.example/runs:7"], /want \{shard\} in its tag/],
      [[...far, "--config-map", "m"], /want one of them/],
      [["--plan", "oci:plans:1"], /want oci:REGISTRY\/REPOSITORY:TAG, or the name of a file/],
    ] as const
  ) {
    const { code, stdout, stderr } = await commandLine([...words, ...more], dir);
    equal(code, 3, stderr);
    equal(stdout, "");
    match(stderr, why);
  }
});
