/** How the shards of a fleet run on what people already operate: documents for four engines. Pure. */

/** Engines that are known. */
export const ENGINES = ["k8s-job", "tekton", "gitlab", "github"] as const;

/** One of them. */
export type Engine = (typeof ENGINES)[number];

/** What the documents say. */
export interface FleetJob {
  /** Of the Job, the Task, the workflow. */
  readonly name: string;
  /** The image that has `wherry`; for engines whose jobs run in one. */
  readonly image: string;
  /** How many parts. */
  readonly shards: number;
  /** Parts at once; for engines that can say so. */
  readonly parallel: number;
  /** The plan: a path in the job, where its file will be, or `oci:REFERENCE`. */
  readonly plan: string;
  /** A ConfigMap that holds the plan, for Kubernetes and Tekton; none for a plan in a registry. */
  readonly configMap?: string | undefined;
  /** Journals in a registry, `oci:...{shard}...`; by default files of the job. */
  readonly journal?: string | undefined;
  /** The plan itself, to be put into the ConfigMap. */
  readonly planText?: string | undefined;
  /** A secret of type `kubernetes.io/dockerconfigjson`. */
  readonly secret?: string | undefined;
  /** Words behind `wherry rebase apply PLAN`. */
  readonly words: readonly string[];
}

/** A ConfigMap holds no more. */
export const MAX_CONFIG_MAP = 1024 * 1024 - 4096;

/** The documents of an engine, in order. */
export function fleetDocuments(engine: Engine, job: FleetJob): readonly unknown[] {
  switch (engine) {
    case "k8s-job":
      return [...configMaps(job), kubernetesJob(job)];
    case "tekton":
      return [...configMaps(job), tektonTask(job), tektonRun(job)];
    case "gitlab":
      return [gitlabPipeline(job)];
    case "github":
      return [githubWorkflow(job)];
  }
}

/** Nobody, as images on scratch have it. */
const USER = 65532;
const WORK = "/work";

/** What the "restricted" pod security standard wants. */
const RESTRICTED = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  readOnlyRootFilesystem: true,
} as const;

function commandOf(job: FleetJob, dir = ""): readonly string[] {
  const journal = job.journal ?? `${dir}journal-{shard}.jsonl`;
  return ["rebase", "apply", job.plan, "--journal", journal, "-o", "json", ...job.words];
}

/** A line of a shell that merges the journals of all parts. */
function reportOf({ journal }: FleetJob): string {
  const all = journal === undefined
    ? "journal-*.jsonl"
    : quoted(journal.replaceAll("{shard}", "*"));
  return `wherry rebase report ${all}`;
}

function configMaps(job: FleetJob): readonly unknown[] {
  if (job.planText === undefined || job.configMap === undefined) return [];
  return [{
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: job.configMap },
    data: { "plan.jsonl": job.planText },
  }];
}

function kubernetesJob(job: FleetJob): unknown {
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: job.name },
    spec: {
      completionMode: "Indexed",
      completions: job.shards,
      parallelism: job.parallel,
      backoffLimitPerIndex: 2,
      podFailurePolicy: {
        rules: [
          // A node that is drained is nobody's failure; bad words on the command line stay bad.
          { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] },
          {
            action: "FailIndex",
            onExitCodes: { containerName: "wherry", operator: "In", values: [2, 3, 72] },
          },
        ],
      },
      template: {
        spec: {
          restartPolicy: "Never",
          automountServiceAccountToken: false,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: USER,
            runAsGroup: USER,
            fsGroup: USER,
            seccompProfile: { type: "RuntimeDefault" },
          },
          containers: [{
            name: "wherry",
            image: job.image,
            command: ["wherry"],
            args: commandOf(job, `${WORK}/`),
            env: variables(job),
            resources: {
              requests: { cpu: "250m", memory: "128Mi" },
              limits: { memory: "512Mi" },
            },
            securityContext: RESTRICTED,
            volumeMounts: mounts(job),
          }],
          volumes: volumes(job),
        },
      },
    },
  };
}

function variables(job: FleetJob): readonly unknown[] {
  return [
    { name: "WHERRY_SHARDS", value: String(job.shards) },
    { name: "HOME", value: WORK },
    ...(job.secret === undefined ? [] : [{ name: "DOCKER_CONFIG", value: "/docker" }]),
  ];
}

function mounts(job: FleetJob): readonly unknown[] {
  return [
    ...(job.configMap === undefined ? [] : [{ name: "plan", mountPath: "/plan", readOnly: true }]),
    { name: "work", mountPath: WORK },
    ...(job.secret === undefined ? [] : [{ name: "docker", mountPath: "/docker", readOnly: true }]),
  ];
}

function volumes(job: FleetJob): readonly unknown[] {
  return [
    ...(job.configMap === undefined ? [] : [{ name: "plan", configMap: { name: job.configMap } }]),
    { name: "work", emptyDir: {} },
    ...(job.secret === undefined ? [] : [{
      name: "docker",
      secret: {
        secretName: job.secret,
        items: [{ key: ".dockerconfigjson", path: "config.json" }],
      },
    }]),
  ];
}

function tektonTask(job: FleetJob): unknown {
  return {
    apiVersion: "tekton.dev/v1",
    kind: "Task",
    metadata: { name: job.name },
    spec: {
      params: [{ name: "shard", type: "string", description: "K/N" }],
      steps: [{
        name: "rebase",
        image: job.image,
        command: ["wherry"],
        args: [...commandOf(job, `${WORK}/`), "--shard", "$(params.shard)"],
        env: variables(job).slice(1),
        securityContext: {
          ...RESTRICTED,
          runAsNonRoot: true,
          runAsUser: USER,
          seccompProfile: { type: "RuntimeDefault" },
        },
        volumeMounts: mounts(job),
      }],
      volumes: volumes(job),
    },
  };
}

function tektonRun(job: FleetJob): unknown {
  return {
    apiVersion: "tekton.dev/v1",
    kind: "PipelineRun",
    metadata: { generateName: `${job.name}-` },
    spec: {
      pipelineSpec: {
        tasks: [{
          name: "shard",
          taskRef: { name: job.name },
          matrix: { params: [{ name: "shard", value: shardNames(job.shards) }] },
        }],
      },
    },
  };
}

function shardNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `${at + 1}/${count}`);
}

function gitlabPipeline(job: FleetJob): unknown {
  const shell = (words: readonly string[]) => words.map(quoted).join(" ");
  return {
    stages: ["rebase", "report"],
    [job.name]: {
      stage: "rebase",
      image: { name: job.image, entrypoint: [""] },
      ...(job.shards > 1 ? { parallel: job.shards } : {}),
      script: [shell(["wherry", ...commandOf(job)])],
      retry: { max: 1, when: ["runner_system_failure", "stuck_or_timeout_failure"] },
      ...(job.journal === undefined
        ? { artifacts: { when: "always", paths: ["journal-*.jsonl"], expire_in: "30 days" } }
        : {}),
    },
    [`${job.name}-report`]: {
      stage: "report",
      image: { name: job.image, entrypoint: [""] },
      when: "always",
      script: [reportOf(job)],
    },
  };
}

function githubWorkflow(job: FleetJob): unknown {
  const shell = (words: readonly string[]) => words.map(quoted).join(" ");
  const inFiles = job.journal === undefined;
  const upload = "actions/upload-artifact@v4";
  return {
    name: job.name,
    on: { workflow_dispatch: {} },
    permissions: { contents: "read" },
    jobs: {
      rebase: {
        "runs-on": "ubuntu-latest",
        container: { image: job.image },
        strategy: {
          "fail-fast": false,
          "max-parallel": job.parallel,
          matrix: { shard: shardNames(job.shards) },
        },
        steps: [
          { uses: "actions/checkout@v4" },
          {
            run: shell([
              "wherry",
              ...commandOf(job),
              "--shard",
            ]) + ' "${{ matrix.shard }}"',
          },
          ...(inFiles
            ? [{
              if: "always()",
              uses: upload,
              with: {
                name: "journal-${{ strategy.job-index }}",
                path: "journal-*.jsonl",
              },
            }]
            : []),
        ],
      },
      report: {
        "runs-on": "ubuntu-latest",
        container: { image: job.image },
        needs: ["rebase"],
        if: "always()",
        steps: [
          ...(inFiles
            ? [{
              uses: "actions/download-artifact@v4",
              with: { pattern: "journal-*", "merge-multiple": true },
            }]
            : []),
          { run: reportOf(job) },
        ],
      },
    },
  };
}

/** A word for a shell. */
function quoted(word: string): string {
  return /^[\w@%+=:,./{}-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
