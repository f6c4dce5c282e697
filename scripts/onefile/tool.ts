/** Running the programs a build needs, with an error that says which package has a missing one. */

/** Where a tool comes from when it is missing: Debian package names. */
const PACKAGES: Readonly<Record<string, string>> = {
  "apt-get": "apt",
  "dpkg-deb": "dpkg",
  "gcc": "gcc",
  "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
  "x86_64-linux-gnu-gcc": "gcc-x86-64-linux-gnu",
  "npm": "npm",
  "tar": "tar",
  "zstd": "zstd",
};

/** How a tool is run. */
export interface ToolOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The program gets `env` and nothing of ours. */
  readonly clearEnv?: boolean;
}

/**
 * Runs a program to its end and returns its standard output.
 *
 * Throws Error with the program's last lines of standard error when it fails, or with the package to
 * install when it is not there.
 */
export async function runTool(
  program: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, {
      args: [...args],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: { ...options.env } }),
      clearEnv: options.clearEnv ?? false,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
  } catch (cause) {
    const wanted = PACKAGES[program];
    throw new Error(
      `Cannot run ${program}: ${
        wanted === undefined ? "it did not start" : `wanted Debian's package ${wanted}`
      }`,
      { cause },
    );
  }
  if (!output.success) {
    const lines = new TextDecoder().decode(output.stderr).trim().split("\n").slice(-8).join("\n");
    throw new Error(`Cannot run ${program} ${args[0] ?? ""}: exit code ${output.code}\n${lines}`);
  }
  return new TextDecoder().decode(output.stdout);
}

/** Lower-case hex SHA-256. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
