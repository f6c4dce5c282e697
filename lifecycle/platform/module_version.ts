/** Which of two versions of a buildpack is newer. */
import compareBuild from "semver/functions/compare-build.js";
import valid from "semver/functions/valid.js";

/**
 * Negative when `a` is older than `b`. Semantic versions by their rules, so that a release comes after its candidates; others
 * before them, numbers in them as numbers.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [valid(a, { loose: true }), valid(b, { loose: true })];
  if (left !== null && right !== null) return compareBuild(left, right);
  if (left !== null || right !== null) return left === null ? -1 : 1;
  return a.localeCompare(b, "en", { numeric: true });
}
