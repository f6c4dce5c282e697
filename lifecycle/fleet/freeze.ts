/** Times at which nothing is moved, on the clock of one time zone. */

/** A time of the wall clock, in text that sorts as time does, from (included) and to (excluded). */
export interface FreezeWindow {
  /** As it was written. */
  readonly text: string;
  /** Whether the moment is in it. */
  readonly holds: (at: WallClock) => boolean;
}

/** A moment on the wall clock of a place. */
export interface WallClock {
  /** `2026-12-24`. */
  readonly date: string;
  /** `10:00`. */
  readonly time: string;
  /** `Mon` is 0. */
  readonly day: number;
}

const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const TIME = "([01]\\d|2[0-3]):([0-5]\\d)";
const DATED = new RegExp(`^(\\d{4}-\\d\\d-\\d\\d)(?:[T ](${TIME}))?$`);
const WEEKLY = new RegExp(`^(${DAYS.join("|")})(?: (${TIME}))?$`);
const DAILY = new RegExp(`^${TIME}$`);

/**
 * Reads `2026-12-20 to 2027-01-03`, `2026-12-20 18:00 to 2027-01-04 06:00`, `Fri 16:00 to Mon 06:00`, `Sat to Sun` or
 * `22:00 to 06:00`. A last day without a time is in it to its end.
 *
 * @throws {RangeError} When it is something else.
 */
export function parseFreeze(text: string): FreezeWindow {
  const [from = "", to = "", ...more] = text.split(" to ").map((part) => part.trim());
  const between = more.length > 0 ? undefined : dated(from, to) ?? weekly(from, to) ??
    daily(from, to);
  if (between === undefined) {
    throw new RangeError(
      `Cannot use ${
        JSON.stringify(text)
      } as a freeze: want "2026-12-20 to 2027-01-03", "Fri 16:00 to Mon 06:00" or "22:00 to 06:00"`,
    );
  }
  return { text, holds: between };
}

function dated(from: string, to: string): FreezeWindow["holds"] | undefined {
  const [, first, early = "00:00"] = DATED.exec(from) ?? [];
  const [, last, late = "24:00"] = DATED.exec(to) ?? [];
  if (first === undefined || last === undefined || !isDate(first) || !isDate(last)) {
    return undefined;
  }
  const [begin, end] = [`${first} ${early}`, `${last} ${late}`];
  if (end <= begin) return undefined;
  return ({ date, time }) => begin <= `${date} ${time}` && `${date} ${time}` < end;
}

function isDate(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

function weekly(from: string, to: string): FreezeWindow["holds"] | undefined {
  const [, first, early = "00:00"] = WEEKLY.exec(from) ?? [];
  const [, last, late = "24:00"] = WEEKLY.exec(to) ?? [];
  if (first === undefined || last === undefined) return undefined;
  return around(
    `${DAYS.indexOf(first)} ${early}`,
    `${DAYS.indexOf(last)} ${late}`,
    ({ day, time }) => `${day} ${time}`,
  );
}

function daily(from: string, to: string): FreezeWindow["holds"] | undefined {
  if (!DAILY.test(from) || !DAILY.test(to)) return undefined;
  return around(from, to, ({ time }) => time);
}

/** From one to the other of what comes round again; nobody means one that never or always holds. */
function around(
  from: string,
  to: string,
  now: (at: WallClock) => string,
): FreezeWindow["holds"] | undefined {
  if (from === to) return undefined;
  return from < to
    ? (at) => from <= now(at) && now(at) < to
    : (at) => from <= now(at) || now(at) < to;
}

/** Each takes a while to be made, and a fleet asks for each image. */
const formats = new Map<string, Intl.DateTimeFormat>();

/**
 * Reads the clocks of `zone`.
 *
 * @throws {RangeError} When there is no such zone.
 */
export function wallClock(zone: string): (moment: Date) => WallClock {
  let format = formats.get(zone);
  try {
    format ??= new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      weekday: "short",
    });
  } catch (cause) {
    throw new RangeError(
      `Cannot use ${JSON.stringify(zone)} as a time zone: want one as in "Europe/Berlin"`,
      { cause },
    );
  }
  const known = format;
  formats.set(zone, known);
  return (moment) => {
    const parts = Object.fromEntries(
      known.formatToParts(moment).map(({ type, value }) => [type, value]),
    );
    return {
      date: `${parts["year"]}-${parts["month"]}-${parts["day"]}`,
      time: `${parts["hour"]}:${parts["minute"]}`,
      day: DAYS.indexOf(parts["weekday"] ?? ""),
    };
  };
}

/** Why nothing may be moved now: the time that it is, and the window it is in. */
export function frozenAt(
  windows: readonly FreezeWindow[],
  zone: string,
  moment: Date,
): string | undefined {
  if (windows.length === 0) return undefined;
  const at = wallClock(zone)(moment);
  const window = windows.find(({ holds }) => holds(at));
  if (window === undefined) return undefined;
  return `freeze: it is ${
    DAYS[at.day]
  } ${at.date} ${at.time} (${zone}), the policy moves nothing from ${window.text}`;
}
