/** Which of two versions of a buildpack is newer. */
import semver from "semver";

/**
 * Negative when `a` is older than `b`. Semantic versions by their rules, so that a release comes after its candidates; others
 * before them, numbers in them as numbers.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [semver.valid(a, { loose: true }), semver.valid(b, { loose: true })];
  if (left !== null && right !== null) return semver.compareBuild(left, right);
  if (left !== null || right !== null) return left === null ? -1 : 1;
  return a.localeCompare(b, "en", { numeric: true });
}
