/** Programs written in Go that judge ours or race against it. Built once per machine where Go is present. */

/** A program of a Go module, pinned. */
export interface GoTool {
  /** What messages and the cache call it. */
  readonly name: string;
  /** The module, e.g. `github.com/buildpacks/lifecycle`. */
  readonly module: string;
  /** Its version, e.g. `v0.21.17`. */
  readonly version: string;
  /** The package below the module, e.g. `cmd/launcher`; empty for the module itself. */
  readonly package: string;
}

/** The Go lifecycle's own launcher. */
export const GO_LAUNCHER: GoTool = {
  name: "launcher",
  module: "github.com/buildpacks/lifecycle",
  version: "v0.21.17",
  package: "cmd/launcher",
};

/** The Go lifecycle: analyzer, detector, ... by argv[0]. */
export const GO_LIFECYCLE: GoTool = { ...GO_LAUNCHER, name: "lifecycle", package: "cmd/lifecycle" };

/** crane. */
export const CRANE: GoTool = {
  name: "crane",
  module: "github.com/google/go-containerregistry",
  version: "v0.20.6",
  package: "cmd/crane",
};

/** The OCI distribution specification's own program, at the commit whose checks we count. */
export const CONFORMANCE: GoTool = {
  name: "conformance",
  module: "github.com/opencontainers/distribution-spec/conformance",
  version: "v0.0.0-20260831232431-97274622c111",
  package: "",
};

function cacheHome(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  return `${cache}/wherry-build`;
}

async function go(args: readonly string[], cwd: string): Promise<string | undefined> {
  try {
    const output = await new Deno.Command("go", {
      args: [...args],
      cwd,
      env: { CGO_ENABLED: "0", GOFLAGS: "-mod=mod", GO111MODULE: "on", GOTOOLCHAIN: "local" },
    }).output();
    return output.success ? undefined : new TextDecoder().decode(output.stderr).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "go not found";
    throw error;
  }
}

/**
 * The file of `tool`, built into ${XDG_CACHE_HOME:-$HOME/.cache}/wherry-build when it is not there yet, or
 * `why` there is none: Go is missing, or its modules are out of reach.
 */
export async function goTool(
  tool: GoTool,
): Promise<{ readonly file: string } | { readonly why: string }> {
  const file = `${cacheHome()}/go-${tool.name}-${tool.version}`;
  if (await Deno.stat(file).then(() => true, () => false)) return { file };
  const dir = await Deno.makeTempDir({ prefix: "wherry-go-" });
  try {
    const path = tool.package === "" ? tool.module : `${tool.module}/${tool.package}`;
    // Through a module of our own: `go install path@version` also asks for a list of versions.
    await Deno.writeTextFile(
      `${dir}/go.mod`,
      `module tool\n\ngo 1.24\n\nrequire ${tool.module} ${tool.version}\n`,
    );
    await Deno.writeTextFile(
      `${dir}/tools.go`,
      `//go:build tools\n\npackage tool\n\nimport _ "${path}"\n`,
    );
    const why = await go([
      "build",
      "-trimpath",
      "-ldflags=-s -w",
      "-p=1",
      "-o",
      `${dir}/program`,
      path,
    ], dir);
    if (why !== undefined) return { why: why.split("\n").at(-1) ?? why };
    await Deno.mkdir(cacheHome(), { recursive: true });
    const temporary = `${file}.${crypto.randomUUID()}`;
    await Deno.copyFile(`${dir}/program`, temporary);
    await Deno.rename(temporary, file);
    return { file };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** A program built from a checkout's folder `source`, which is not written to; `why` when it cannot be. */
export async function buildGo(
  source: string,
): Promise<{ readonly file: string } | { readonly why: string }> {
  await Deno.mkdir(cacheHome(), { recursive: true });
  const file = `${cacheHome()}/go-from-source-${crypto.randomUUID()}`;
  const why = await go(["build", "-mod=readonly", "-trimpath", "-p=1", "-o", file, "."], source);
  return why === undefined ? { file } : { why };
}
