import { equal, match, throws } from "node:assert/strict";
import { frozenAt, parseFreeze, wallClock } from "./freeze.ts";

const holds = (text: string, moment: string, zone = "UTC") =>
  parseFreeze(text).holds(wallClock(zone)(new Date(moment)));

Deno.test("demand 30 freeze: dates, the last day to its end, and times of days", () => {
  const text = "2026-12-20 to 2027-01-03";
  equal(holds(text, "2026-12-19T23:59:59Z"), false);
  equal(holds(text, "2026-12-20T00:00:00Z"), true);
  equal(holds(text, "2027-01-03T23:59:59Z"), true);
  equal(holds(text, "2027-01-04T00:00:00Z"), false);
  const timed = "2026-12-20 18:00 to 2026-12-21T06:00";
  equal(holds(timed, "2026-12-20T17:59:00Z"), false);
  equal(holds(timed, "2026-12-21T05:59:00Z"), true);
  equal(holds(timed, "2026-12-21T06:00:00Z"), false);
});

Deno.test("demand 30 freeze: days of the week and hours of the day come round, over midnight and Sunday", () => {
  const weekend = "Fri 16:00 to Mon 06:00"; // 2026-11-27 is a Friday
  equal(holds(weekend, "2026-11-27T15:59:00Z"), false);
  equal(holds(weekend, "2026-11-27T16:00:00Z"), true);
  equal(holds(weekend, "2026-11-29T12:00:00Z"), true);
  equal(holds(weekend, "2026-11-30T05:59:00Z"), true);
  equal(holds(weekend, "2026-11-30T06:00:00Z"), false);
  equal(holds("Sat to Sun", "2026-11-29T23:59:00Z"), true);
  equal(holds("Sat to Sun", "2026-11-30T00:00:00Z"), false);
  equal(holds("Tue to Tue", "2026-12-01T12:00:00Z"), true);
  equal(holds("Tue to Tue", "2026-12-02T00:00:00Z"), false);
  equal(holds("22:00 to 06:00", "2026-11-27T23:00:00Z"), true);
  equal(holds("22:00 to 06:00", "2026-11-27T06:00:00Z"), false);
  equal(holds("09:00 to 17:00", "2026-11-27T12:00:00Z"), true);
});

Deno.test("demand 30 freeze: clocks are those of the zone, in summer and in winter", () => {
  equal(holds("09:00 to 10:00", "2026-07-01T07:30:00Z", "Europe/Berlin"), true);
  equal(holds("09:00 to 10:00", "2026-12-01T08:30:00Z", "Europe/Berlin"), true);
  equal(holds("2026-12-24 to 2026-12-24", "2026-12-23T23:30:00Z", "Europe/Berlin"), true);
  throws(() => wallClock("Europe/Nowhere"), /^RangeError: Cannot use "Europe\/Nowhere" as a time/);
  const said = frozenAt([parseFreeze("Fri to Sun")], "UTC", new Date("2026-11-27T10:00:00Z"));
  match(said!, /^freeze: it is Fri 2026-11-27 10:00 \(UTC\), .* moves nothing from Fri to Sun$/);
});

Deno.test("demand 30 freeze: what can never or always hold, or cannot be read, is refused", () => {
  for (
    const text of [
      "",
      "Fri",
      "to",
      "Fri to",
      "Fri 16:00 - Mon 06:00",
      "Fri to 06:00",
      "2026-12-20 to 2026-12-19",
      "2026-02-30 to 2026-03-01",
      "24:00 to 06:00",
      "06:00 to 06:00",
      "Fri 06:00 to Fri 06:00",
      "fri to mon",
      "Fri to Mon to Tue",
    ]
  ) throws(() => parseFreeze(text), /as a freeze: want "2026/, text);
});
