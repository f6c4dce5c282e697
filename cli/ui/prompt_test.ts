import assert from "node:assert/strict";
import type { Sink } from "../io.ts";
import { askLine, type Keyboard, readPiped } from "./prompt.ts";

/** Somebody who types `text`, a few bytes at a time. */
function typing(text: string, isTerminal = true): Keyboard & { readonly raw: boolean[] } {
  let rest: Uint8Array = new TextEncoder().encode(text);
  const raw: boolean[] = [];
  return {
    raw,
    isTerminal: () => isTerminal,
    setRaw: (on) => void raw.push(on),
    read(into) {
      if (rest.byteLength === 0) return Promise.resolve(null);
      const size = Math.min(into.byteLength, rest.byteLength, 3);
      into.set(rest.subarray(0, size));
      rest = rest.subarray(size);
      return Promise.resolve(size);
    },
  };
}

function screen(): Sink & { readonly text: () => string } {
  const parts: string[] = [];
  return {
    write: (text) => void parts.push(String(text)),
    isTerminal: true,
    columns: () => 80,
    text: () => parts.join(""),
  };
}

const rows: readonly (readonly [why: string, typed: string, wanted: string | undefined])[] = [
  ["a line", "secret\n", "secret"],
  ["a carriage return", "secret\r", "secret"],
  ["no newline", "secret", undefined],
  ["backspace over one character of two bytes", "sé\x7f\x7fab\x08c\r", "ac"],
  ["backspace at the start", "\x7f\x7fa\r", "a"],
  ["Ctrl-U", "wrong\x15right\r", "right"],
  ["Ctrl-D on an empty line", "\x04", undefined],
  ["Ctrl-D behind text", "abc\x04", "abc"],
];
for (const [why, typed, wanted] of rows) {
  Deno.test(`a password is read key by key and never shown: ${why}`, async () => {
    const keyboard = typing(typed);
    const shown = screen();
    assert.equal(await askLine(keyboard, shown, "Password: ", true), wanted);
    assert.equal(shown.text(), "Password: \n");
    assert.deepEqual(keyboard.raw, [true, false]);
  });
}

Deno.test("Ctrl-C at a password gives the terminal back", async () => {
  const keyboard = typing("abc\x03");
  await assert.rejects(() => askLine(keyboard, screen(), "", true), { name: "Interrupted" });
  assert.deepEqual(keyboard.raw, [true, false]);
});

Deno.test("a name is read up to its line's end, and no further", async () => {
  const keyboard = typing("user\r\nsecret\n");
  assert.equal(await askLine(keyboard, screen(), "", false), "user");
  assert.equal(await askLine(keyboard, screen(), "", true), "secret");
  assert.equal(await askLine(keyboard, screen(), "", false), undefined);
});

Deno.test("a piped password loses one newline and nothing else", async () => {
  assert.equal(await readPiped(typing(" pass word\n\n")), " pass word\n");
  assert.equal(await readPiped(typing("x\r\n")), "x");
  assert.equal(await readPiped(typing("")), "");
  await assert.rejects(() => readPiped(typing("x".repeat(70_000))), /more than 65536 bytes$/);
});
