import { hashSync } from "bcryptjs";
import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import { join } from "node:path";
import { tempDir } from "../../temp_testing.ts";
import { checkPassword, parseHtpasswd } from "./htpasswd.ts";
import { Logins, readBasic } from "./login.ts";
import { Throttle } from "./throttle.ts";
import { watchFile } from "./watched_file.ts";

/** The cheapest cost there is: tests are about rules, not about bcrypt. */
const hash = (password: string) => hashSync(password, 4);
const fixed = <T>(value: T) => ({ current: () => Promise.resolve(value) });

interface World {
  readonly logins: Logins;
  readonly pauses: number[];
  now: number;
}

function world(text: string): World {
  const pauses: number[] = [];
  const made: World = {
    pauses,
    now: 1_000_000,
    logins: new Logins(fixed(parseHtpasswd(text, "htpasswd")), {
      now: () => made.now,
      wait: (ms) => {
        pauses.push(ms);
        return Promise.resolve();
      },
    }),
  };
  return made;
}

Deno.test("S-AUTH htpasswd takes bcrypt in its three spellings and nothing else", async () => {
  const made = hash("secret");
  for (const spelling of ["$2a$", "$2b$", "$2y$"]) {
    const users = parseHtpasswd(
      `# people\n\nalice:${made.replace("$2b$", spelling)}\r\n`,
      "htpasswd",
    );
    equal(await checkPassword(users, "alice", "secret"), true, spelling);
    equal(await checkPassword(users, "alice", "Secret"), false);
    equal(await checkPassword(users, "bob", "secret"), false);
  }
  const rows: readonly (readonly [string, RegExp])[] = [
    ["alice:$apr1$abcdefgh$0123456789012345678901", /line 1 has no bcrypt hash/],
    ["alice:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=", /line 1 has no bcrypt hash/],
    ["alice:secret", /line 1 has no bcrypt hash/],
    [`\nalice`, /line 2 is not user:hash/],
    [`:${made}`, /line 1 is not user:hash/],
    [`a:${made}\na:${made}`, /line 2 names "a" a second time/],
    [`a:${made.replace("$04$", "$31$")}`, /cost 31/],
  ];
  for (const [text, message] of rows) {
    throws(() => parseHtpasswd(text, "people"), (error: Error) => {
      match(error.message, message);
      ok(!error.message.includes("$2") || error.message.includes("want $2b$"), "shows no hash");
      ok(!error.message.includes("secret"));
      return true;
    });
  }
});

Deno.test("R-10 an empty password never fits, nor one with a NUL", async () => {
  const users = parseHtpasswd(`a:${hash("")}\nb:${hash("x")}`, "htpasswd");
  equal(await checkPassword(users, "a", ""), false);
  equal(await checkPassword(users, "b", "x\0y"), false);
  equal(await checkPassword(users, "b", "x".repeat(5000)), false);
  equal(await checkPassword(users, "unknown", "x"), false);
});

Deno.test("R-10 unknown users cost a comparison as dear as those of known ones", () => {
  const users = parseHtpasswd(`a:${hashSync("x", 4)}\nb:${hashSync("x", 6)}`, "htpasswd");
  deepEqual(users.dummies.map((one) => one.slice(0, 7)), ["$2b$04$", "$2b$06$"]);
  for (const one of users.dummies) match(one, /^\$2b\$0[46]\$[./A-Za-z0-9]{53}$/);
  match(parseHtpasswd("", "empty").dummies.join(), /^\$2b\$10\$.{53}$/);
});

Deno.test("R-10 each failure pauses longer, then the pair of user and address is locked", async () => {
  const made = world(`alice:${hash("right")}\n`);
  for (let at = 0; at < 10; at++) {
    deepEqual(await made.logins.check("alice", `wrong${at}`, "10.0.0.1"), { kind: "wrong" });
  }
  deepEqual(made.pauses, [200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, 5000]);
  deepEqual(await made.logins.check("alice", "right", "10.0.0.1"), { kind: "later", seconds: 60 });
  equal((await made.logins.check("alice", "right", "10.0.0.2")).kind, "right", "elsewhere");
  made.now += 59_000;
  deepEqual(await made.logins.check("alice", "wrong", "10.0.0.1"), { kind: "later", seconds: 1 });
  made.now += 1_000;
  equal((await made.logins.check("alice", "wrong", "10.0.0.1")).kind, "wrong", "a new count");
});

Deno.test("R-10 tries that come at once are locked too", async () => {
  const made = world(`alice:${hash("right")}\n`);
  const all = await Promise.all(
    Array.from({ length: 40 }, (_, at) => made.logins.check("alice", `guess${at}`, "10.0.0.1")),
  );
  // The count is taken after each comparison, before the next one starts or shortly after.
  ok(all.filter(({ kind }) => kind === "wrong").length <= 12);
  ok(all.filter(({ kind }) => kind === "later").length >= 28);
});

Deno.test("R-10 one address that tries many users is slowed down", async () => {
  const made = world(`alice:${hash("right")}\n`);
  for (let at = 0; at < 12; at++) await made.logins.check(`user${at}`, "password1", "10.0.0.1");
  deepEqual(made.pauses, [...Array(7).fill(200), 400, 400, 400, 400, 800]);
});

Deno.test("R-10 what waits and what is kept is bounded", async () => {
  const holds: (() => void)[] = [];
  const throttle = new Throttle({
    now: () => 0,
    wait: () => new Promise((resolve) => holds.push(resolve)),
  });
  const waiting = Array.from({ length: 300 }, (_, at) => throttle.failed(`u${at}`, "a"));
  equal(holds.length, 256);
  holds.forEach((release) => release());
  await Promise.all(waiting);
  const many = new Throttle({ now: () => 0, wait: () => Promise.resolve() });
  for (let at = 0; at < 20_000; at++) await many.failed("u", `address${at}`);
  equal(many.lockedFor("u", "address19999"), 0);
});

Deno.test("S-AUTH a right password is compared once and then remembered for a while", async () => {
  let compared = 0;
  const text = `alice:${hash("right")}\n`;
  const users = parseHtpasswd(text, "htpasswd");
  let now = 0;
  const counting = {
    dummies: users.dummies,
    hashes: new Map(users.hashes),
  };
  const file = {
    current: () => Promise.resolve(counting),
  };
  const logins = new Logins(file, {
    now: () => now,
    wait: () => {
      compared++;
      return Promise.resolve();
    },
  });
  const together = await Promise.all(
    Array.from({ length: 20 }, () => logins.check("alice", "right", "a")),
  );
  ok(together.every(({ kind }) => kind === "right"));
  // The hash is another now: what was remembered was of the old one.
  counting.hashes.set("alice", hash("new"));
  equal((await logins.check("alice", "right", "a")).kind, "wrong");
  equal((await logins.check("alice", "new", "a")).kind, "right");
  counting.hashes.delete("alice");
  equal((await logins.check("alice", "new", "a")).kind, "wrong");
  equal(await logins.knows("alice"), false);
  now += 1;
  equal(compared, 2, "each wrong one paused");
});

Deno.test("S-AUTH a changed file is read again, a broken one is told once and not taken", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const path = join(dir, "file");
  let now = 0;
  const errors: string[] = [];
  await Deno.writeTextFile(path, "1");
  const parse = (text: string) => {
    if (text.includes("x")) throw new SyntaxError(`Cannot read ${text}`);
    return Number(text);
  };
  const file = await watchFile(path, parse, {
    now: () => now,
    onError: (error) => errors.push(error.message),
  });
  equal(await file.current(), 1);
  await Deno.writeTextFile(path, "22");
  equal(await file.current(), 1, "not looked at within a second");
  now += 1000;
  equal(await file.current(), 22);
  await Deno.writeTextFile(path, "33x");
  now += 1000;
  equal(await file.current(), 22);
  now += 1000;
  equal(await file.current(), 22);
  deepEqual(errors, ["Cannot read 33x"]);
  await Deno.remove(path);
  now += 1000;
  equal(await file.current(), 22);
  now += 1000;
  equal(await file.current(), 22);
  equal(errors.length, 2);
  await Deno.writeTextFile(path, "4444");
  now += 1000;
  equal(await file.current(), 4444);
  await rejects(watchFile(join(dir, "absent"), parse), Deno.errors.NotFound);
});

Deno.test("S-AUTH Basic values are read strictly", () => {
  const value = (text: string) => `Basic ${btoa(text)}`;
  deepEqual(readBasic(value("alice:a:b")), { user: "alice", password: "a:b" });
  deepEqual(readBasic(value(":")), { user: "", password: "" });
  deepEqual(readBasic("basic   " + btoa("a:b")), { user: "a", password: "b" });
  for (const bad of ["Basic", "Basic !", value("nocolon"), "Basic " + btoa("\xff:a"), "Bearer x"]) {
    equal(readBasic(bad), undefined, bad);
  }
});
