/** Asking the person at the keyboard. */
import { Interrupted, type Sink } from "../io.ts";

/** Where answers come from; stdin but for tests. */
export interface Keyboard {
  /** Whether a person is there. */
  isTerminal(): boolean;
  /** Keys one by one, and none of them shown. */
  setRaw(raw: boolean): void;
  /** As `Deno.stdin.read`. */
  read(into: Uint8Array): Promise<number | null>;
}

const MAX_LINE = 64 * 1024;
const decoder = new TextDecoder();

/** Everything that is piped in, up to 64 KiB, without the newline at its end. */
export async function readPiped(keyboard: Keyboard): Promise<string> {
  const bytes = new Uint8Array(MAX_LINE + 1);
  let size = 0;
  for (;;) {
    const read = await keyboard.read(bytes.subarray(size));
    if (read === null) break;
    size += read;
    if (size > MAX_LINE) throw new RangeError(`Cannot read stdin: more than ${MAX_LINE} bytes`);
  }
  return decoder.decode(bytes.subarray(0, size)).replace(/\r?\n$/, "");
}

/**
 * Asks `question` and reads one line.
 *
 * @param hidden Nothing of the answer is shown. The terminal is as before when this returns or throws.
 * @returns `undefined` when the input ended.
 * @throws {Interrupted} On Ctrl-C.
 */
export async function askLine(
  keyboard: Keyboard,
  screen: Sink,
  question: string,
  hidden: boolean,
): Promise<string | undefined> {
  screen.write(question);
  if (!hidden) return await readLine(keyboard);
  keyboard.setRaw(true);
  try {
    return await readHidden(keyboard);
  } finally {
    keyboard.setRaw(false);
    screen.write("\n");
  }
}

/** Byte by byte: what comes behind the line is for whoever asks next. */
async function readLine(keyboard: Keyboard): Promise<string | undefined> {
  const byte = new Uint8Array(1);
  const line: number[] = [];
  for (;;) {
    const read = await keyboard.read(byte);
    if (read === null && line.length === 0) return undefined;
    if (read === null || byte[0] === 10 || line.length >= MAX_LINE) break;
    line.push(byte[0]!);
  }
  return decoder.decode(new Uint8Array(line)).replace(/\r$/, "");
}

const CTRL_C = 3;
const CTRL_D = 4;
const BACKSPACES: readonly number[] = [8, 127];
const CTRL_U = 21;
const ENDS: readonly number[] = [10, 13];

async function readHidden(keyboard: Keyboard): Promise<string | undefined> {
  const byte = new Uint8Array(1);
  let line: number[] = [];
  for (;;) {
    const read = await keyboard.read(byte);
    const key = byte[0]!;
    if (read === null || (key === CTRL_D && line.length === 0)) return undefined;
    if (key === CTRL_C) throw new Interrupted("SIGINT");
    if (ENDS.includes(key) || key === CTRL_D || line.length >= MAX_LINE) break;
    if (key === CTRL_U) line = [];
    else if (BACKSPACES.includes(key)) line = withoutLast(line);
    else line.push(key);
  }
  return decoder.decode(new Uint8Array(line));
}

/** Without its last character, which may be of several bytes. */
function withoutLast(line: readonly number[]): number[] {
  const at = line.findLastIndex((byte) => (byte & 0xc0) !== 0x80);
  return line.slice(0, Math.max(at, 0));
}
