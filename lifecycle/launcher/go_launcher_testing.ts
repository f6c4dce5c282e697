/** The Go lifecycle's launcher, as a second opinion. Built once per machine where Go is present. */

const VERSION = "v0.21.17";
const MODULE = "github.com/buildpacks/lifecycle";

function cacheHome(): string {
  return `${
    Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/tmp"}/.cache`
  }/wherry-build`;
}

async function run(args: readonly string[], cwd: string): Promise<string | undefined> {
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
 * The file of the Go launcher, built into ${XDG_CACHE_HOME:-$HOME/.cache}/wherry-build when it is
 * not there yet, or `why` there is none: Go is missing, or its modules are out of reach.
 */
export async function goLauncher(): Promise<{ file: string } | { why: string }> {
  const file = `${cacheHome()}/go-launcher-${VERSION}`;
  if (await Deno.stat(file).then(() => true, () => false)) return { file };
  const dir = await Deno.makeTempDir({ prefix: "wherry-go-" });
  try {
    const module = `module oracle\n\ngo 1.24\n\nrequire ${MODULE} ${VERSION}\n`;
    await Deno.writeTextFile(`${dir}/go.mod`, module);
    const importing = `//go:build tools\n\npackage oracle\n\nimport _ "${MODULE}/cmd/launcher"\n`;
    await Deno.writeTextFile(`${dir}/tools.go`, importing);
    const flags = ["-trimpath", "-ldflags=-s -w", "-p=1", "-o", `${dir}/launcher`];
    const why = await run(["build", ...flags, `${MODULE}/cmd/launcher`], dir);
    if (why !== undefined) return { why: why.split("\n").at(-1) ?? why };
    await Deno.mkdir(cacheHome(), { recursive: true });
    const temporary = `${file}.${crypto.randomUUID()}`;
    await Deno.copyFile(`${dir}/launcher`, temporary);
    await Deno.rename(temporary, file);
    return { file };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
