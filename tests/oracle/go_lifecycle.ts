/** The Go lifecycle, as a second opinion. Built once per machine where Go is present. */

const VERSION = "v0.21.17";
const MODULE = "github.com/buildpacks/lifecycle";

function cacheHome(): string {
  const home = Deno.env.get("HOME") ?? "/tmp";
  return `${Deno.env.get("XDG_CACHE_HOME") || `${home}/.cache`}/wherry-build`;
}

async function go(args: readonly string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("go", {
    args: [...args],
    cwd,
    env: { CGO_ENABLED: "0", GOFLAGS: "-mod=mod", GO111MODULE: "on", GOTOOLCHAIN: "local" },
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(new TextDecoder().decode(stderr).trim().split("\n").at(-1) ?? "go failed");
}

/**
 * The file of the Go lifecycle (detector, analyzer, restorer, builder, exporter, creator, rebaser by its argv[0]),
 * built into ${XDG_CACHE_HOME:-$HOME/.cache}/wherry-build when it is not there yet, or `why` there is none.
 * The extender is left out: it is not compared, and brings kaniko, which is not everywhere to be had.
 */
export async function goLifecycle(): Promise<{ file: string } | { why: string }> {
  const file = `${cacheHome()}/go-lifecycle-${VERSION}`;
  if (await Deno.stat(file).then(() => true, () => false)) return { file };
  const dir = await Deno.makeTempDir({ prefix: "wherry-go-" });
  try {
    await Deno.writeTextFile(`${dir}/go.mod`, "module oracle\n\ngo 1.24\n");
    const said = await go(["mod", "download", "-json", `${MODULE}@${VERSION}`], dir);
    const { Dir: source } = JSON.parse(said) as { readonly Dir: string };
    await copyTree(source, `${dir}/source`);
    await Deno.remove(`${dir}/source/cmd/lifecycle/extender.go`);
    await Deno.remove(`${dir}/source/internal/extend/kaniko`, { recursive: true });
    const main = `${dir}/source/cmd/lifecycle/main.go`;
    const text = await Deno.readTextFile(main);
    await Deno.writeTextFile(main, text.replaceAll(/\tcase "extend(er)?":\n.*\n/g, ""));
    const ldflags = `-s -w -X ${MODULE}/cmd.Version=${VERSION.slice(1)}`;
    const args = ["build", "-trimpath", `-ldflags=${ldflags}`, "-o", `${dir}/lifecycle`];
    await go([...args, "./cmd/lifecycle"], `${dir}/source`);
    await Deno.mkdir(cacheHome(), { recursive: true });
    const temporary = `${file}.${crypto.randomUUID()}`;
    await Deno.copyFile(`${dir}/lifecycle`, temporary);
    await Deno.rename(temporary, file);
    return { file };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { why: "go not found" };
    return { why: (error as Error).message };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Modules in Go's cache are read-only; the copy is not. */
async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    if (entry.isDirectory) await copyTree(`${from}/${entry.name}`, `${to}/${entry.name}`);
    else if (entry.isFile) {
      await Deno.writeFile(`${to}/${entry.name}`, await Deno.readFile(`${from}/${entry.name}`));
    }
  }
}
