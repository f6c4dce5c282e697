/** How the Deno in the executable is started. */

/** How Deno is run in the executable, before the script. */
export const DENO_ARGS = [
  "run",
  "-A",
  "--quiet",
  "--no-config",
  "--no-remote",
  "--no-npm",
  "--no-lock",
  "--no-code-cache",
  "--no-prompt",
  "--ext=js",
] as const;

/**
 * What the stub puts into the environment Deno starts with; `entry.js` takes it out again. Deno wants a cache directory, and
 * none will do, but on a terminal it complains, as an error. It reads `.npmrc` in HOME and fails when that is broken: nobody can make a file under this one.
 */
export const DENO_SETTINGS = [
  "DENO_DIR=/dev/null/x",
  "DENO_LOG=error,deno::cache::cache_db=off",
  "DENO_NO_UPDATE_CHECK=1",
  "HOME=/proc/self/x",
] as const;
