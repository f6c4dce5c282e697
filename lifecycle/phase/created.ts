/** The time of everything a build makes, unless SOURCE_DATE_EPOCH says otherwise (CF-4). */
export const DEFAULT_CREATED: Date = new Date(315_532_801_000);

/** RFC 3339 in whole seconds, as Go writes such a time. */
export function formatTime(time: Date): string {
  return time.toISOString().replace(/\.\d{3}Z$/, "Z");
}
