/** Whether another user of this machine can get to a directory: only matters where builds drop to one. */
import { dirname } from "node:path";

/** Whether everybody may pass through `dir` and all above it; one that does not exist yet is asked for its parent. */
export function isPassable(dir: string): boolean {
  for (let path = dir;; path = dirname(path)) {
    try {
      const { mode, isDirectory } = Deno.statSync(path);
      if (isDirectory && ((mode ?? 0) & 0o001) === 0) return false;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) return false;
    }
    if (path === "/") return true;
  }
}
