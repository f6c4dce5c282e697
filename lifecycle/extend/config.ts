/** What instructions that touch no file make of an image's config. Pure. */
import { expandWord, type Lookup } from "../dockerfile/words.ts";
import type { Act, Pair } from "../dockerfile/parse.ts";
import type { ContainerConfig } from "../../registry/oci/config.ts";

/** Where a Dockerfile stands between two instructions. */
export interface DockerfileState {
  /** The config so far. */
  readonly config: ContainerConfig;
  /** Arguments declared so far that have a value. */
  readonly args: ReadonlyMap<string, string>;
}

/** What stays the same throughout a Dockerfile. */
export interface DockerfileScope {
  /** Values from outside; they win over defaults. */
  readonly given: ReadonlyMap<string, string>;
  /** Arguments in front of `FROM`. */
  readonly metaArgs: readonly Pair[];
  /** The escape character. */
  readonly escape: string;
}

/** The shell of commands in shell form. */
export function shellOf({ Shell }: ContainerConfig): readonly string[] {
  const words = Array.isArray(Shell) ? Shell.filter((word) => typeof word === "string") : [];
  return words.length > 0 ? words : ["/bin/sh", "-c"];
}

/** The directory commands run in. */
export function workDirOf({ WorkingDir }: ContainerConfig): string {
  return WorkingDir === undefined || WorkingDir === "" ? "/" : WorkingDir;
}

/** Variables win over arguments of the same name. */
export function lookupIn({ config, args }: DockerfileState): Lookup {
  const env = envOf(config);
  return (name) => env.get(name) ?? args.get(name);
}

/** The environment of commands: arguments, and over them variables. */
export function environmentOf(state: DockerfileState): Readonly<Record<string, string>> {
  return Object.fromEntries([...state.args, ...envOf(state.config)]);
}

function envOf({ Env }: ContainerConfig): ReadonlyMap<string, string> {
  return new Map((Env ?? []).map((line) => {
    const at = line.indexOf("=");
    return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + 1)];
  }));
}

/** An absolute path: `path` as seen from the working directory. */
export function absolutePath(config: ContainerConfig, path: string): string {
  const steps: string[] = [];
  for (const step of `${path.startsWith("/") ? "" : workDirOf(config)}/${path}`.split("/")) {
    if (step === "..") steps.pop();
    else if (step !== "" && step !== ".") steps.push(step);
  }
  return `/${steps.join("/")}`;
}

/**
 * Carries out what `act` means for config and arguments. RUN, COPY and ADD mean nothing there, nor does what the
 * lifecycle decides itself.
 *
 * @throws {SyntaxError} For variables that cannot be replaced.
 */
export function applyToConfig(
  act: Act,
  state: DockerfileState,
  scope: DockerfileScope,
): DockerfileState {
  const lookup = lookupIn(state);
  const expand = (text: string) => expandWord(text, lookup, scope.escape);
  const { config } = state;
  const set = (change: Partial<ContainerConfig>): DockerfileState => ({
    ...state,
    config: { ...config, ...change },
  });
  switch (act.name) {
    case "ARG":
      return { ...state, args: declare(act.args, state, scope) };
    case "ENV": {
      // All values see the variables as they were before the instruction.
      const env = [...config.Env ?? []];
      for (const { name, value = "" } of act.pairs) {
        const line = `${expand(name)}=${expand(value)}`;
        const key = line.slice(0, line.indexOf("=") + 1);
        const at = env.findIndex((one) => one.startsWith(key));
        if (at < 0) env.push(line);
        else env[at] = line;
      }
      return set({ Env: env });
    }
    case "LABEL": {
      const labels = act.pairs.map(({ name, value = "" }) => [expand(name), expand(value)]);
      return set({ Labels: { ...config.Labels, ...Object.fromEntries(labels) } });
    }
    case "USER":
      return set({ User: expand(act.value) });
    case "WORKDIR":
      return set({ WorkingDir: absolutePath(config, expand(act.value)) });
    case "STOPSIGNAL":
      return set({ StopSignal: expand(act.value) });
    case "SHELL":
      return set({ Shell: [...act.words] });
    case "CMD":
    case "ENTRYPOINT": {
      const { command } = act;
      const words = command.form === "exec"
        ? [...command.words]
        : [...shellOf(config), command.script];
      return set({ [act.name === "CMD" ? "Cmd" : "Entrypoint"]: words });
    }
    case "EXPOSE":
    case "VOLUME": {
      const key = act.name === "EXPOSE" ? "ExposedPorts" : "Volumes";
      const port = (text: string) => act.name === "EXPOSE" && !text.includes("/") ? "/tcp" : "";
      const all = act.values.map(expand).map((text) => [`${text}${port(text)}`, {}]);
      return set({ [key]: { ...(config[key] as object | undefined), ...Object.fromEntries(all) } });
    }
    default:
      return state;
  }
}

function declare(
  names: readonly Pair[],
  state: DockerfileState,
  scope: DockerfileScope,
): ReadonlyMap<string, string> {
  const args = new Map(state.args);
  for (const { name, value } of names) {
    const lookup = lookupIn({ config: state.config, args });
    const fallback = value ?? scope.metaArgs.find((one) => one.name === name)?.value;
    const found = scope.given.get(name) ??
      (fallback === undefined ? undefined : expandWord(fallback, lookup, scope.escape));
    if (found !== undefined) args.set(name, found);
  }
  return args;
}
