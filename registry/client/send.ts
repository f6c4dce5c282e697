/** Sends a request over a connection and reads the head of its answer. */
import { orAborted } from "../abort.ts";
import { OciError } from "../oci/error.ts";
import type { RowPlace } from "../row.ts";
import { joined } from "../source.ts";
import type { RequestBody, TransportRequest } from "./exchange.ts";
import { type AnswerHead, type Connection, requestHead } from "./http1.ts";
import { TransportError } from "./transport_error.ts";
import { formatTarget } from "./url.ts";
import type { Watch } from "./watch.ts";

/** What is sent, and what it goes over. */
export interface Sending {
  /** The request. */
  readonly request: TransportRequest;
  /** All its headers. */
  readonly headers: Readonly<Record<string, string>>;
  /** A proxy passes it on: it has to be told whereto. */
  readonly overProxy: boolean;
  /** Waits for what is due next. */
  readonly watch: Watch;
  /** How long a body may make no progress, in milliseconds. */
  readonly idleMs: number;
  /** How long the answer may take, in milliseconds. */
  readonly answerMs: number;
  /** Called as bytes of the body leave; without a body once, with 0. */
  readonly onSent: (bytes: number) => void;
}

/** The head of the answer, and whether all of the request had left by then. */
export interface Sent {
  readonly head: AnswerHead;
  readonly whole: boolean;
}

/** The body failed, not the connection: `cause` is what it threw. */
export class BodyFault extends Error {
  override readonly name = "BodyFault";
}

/** Up to here a copy costs less than a second packet. */
const SMALL_WRITE = 16 * 1024;

/** What a row's request carries at most. */
const MAX_ROW = 256 * 1024;

/** It is written at once, and the server need not answer before it has read all. */
export function isShort(body: RequestBody | undefined): boolean {
  return body === undefined || body.bytes !== undefined && body.size <= MAX_ROW;
}

/** Sends the request behind another, and reads the head of its answer behind the other's; `over` ends it. */
export async function ride(
  connection: Connection,
  before: RowPlace<Connection>,
  { request: { method, target, body }, headers, onSent }: Sending,
  over: AbortSignal,
): Promise<Sent> {
  const first = requestHead(method, target.path, headers);
  const bytes = body?.bytes ?? new Uint8Array();
  try {
    await connection.write(together(first, bytes));
    onSent(bytes.byteLength);
    // Whoever has that answer may be long about it.
    if (!await orAborted(before.answered, over)) throw new Error("connection closed");
    return { head: await connection.head(), whole: true };
  } catch (cause) {
    // Whatever it was, alone it may go well.
    throw new TransportError("reset", target.host, "the connection was cut", {
      cause,
      stale: true,
    });
  }
}

/**
 * Sends the request and reads the head of its answer, at the same time: a 401 may come early.
 *
 * @throws {BodyFault} When the body fails.
 */
export async function talk(connection: Connection, sending: Sending): Promise<Sent> {
  const { request: { method, target, body }, headers, overProxy, onSent } = sending;
  const first = requestHead(method, overProxy ? formatTarget(target) : target.path, headers);
  const reply = new Reply(connection);
  if (body === undefined) {
    await connection.write(first);
    onSent(0);
    return { head: await reply.head, whole: true };
  }
  return body.bytes === undefined
    ? await sendStream(connection, first, body, reply, sending)
    : await sendBytes(connection, first, body.bytes, reply, sending);
}

/** The head of an answer that may come any time. */
class Reply {
  readonly head: Promise<AnswerHead>;
  /** It has come, or will not. */
  here = false;

  constructor(connection: Connection) {
    this.head = connection.head().finally(() => this.here = true);
    this.head.catch(() => {});
  }

  /** A server may say no, and close, before it has read all: then that it failed to be written is no fault. */
  async excuse(writing: Promise<void>): Promise<void> {
    try {
      await writing;
    } catch (error) {
      await this.head;
      if (!this.here) throw error;
    }
  }
}

async function sendBytes(
  connection: Connection,
  first: Uint8Array<ArrayBuffer>,
  bytes: Uint8Array<ArrayBuffer>,
  reply: Reply,
  { watch, idleMs, answerMs, onSent }: Sending,
): Promise<Sent> {
  watch.start(idleMs, "progress");
  const write = async () => {
    if (bytes.byteLength <= SMALL_WRITE) return await connection.write(together(first, bytes));
    await connection.write(first);
    await connection.write(bytes);
  };
  await reply.excuse(write());
  onSent(bytes.byteLength);
  watch.start(answerMs, "answer");
  return { head: await reply.head, whole: true };
}

async function sendStream(
  connection: Connection,
  first: Uint8Array<ArrayBuffer>,
  body: RequestBody,
  reply: Reply,
  { watch, idleMs, answerMs, onSent }: Sending,
): Promise<Sent> {
  const reader = (await body.open().catch(blame)).getReader();
  // Ends a read that waits for a slow source. (A race of the two would keep every chunk until the answer comes.)
  const over = () => void reader.cancel().catch(() => {});
  reply.head.then(over, over);
  let size = 0;
  let held: Uint8Array<ArrayBuffer> | undefined = first;
  const write = async (bytes: Uint8Array) => {
    watch.start(idleMs, "progress");
    await reply.excuse(connection.write(bytes));
    watch.pause();
  };
  try {
    while (!reply.here) {
      const part = await reader.read().catch(blame);
      if (part.done || reply.here) break;
      size += part.value.byteLength;
      if (size > body.size) blame(lengthFault(body.size, `at least ${size}`));
      // Head and body leave together where that is one small write.
      if (held !== undefined && part.value.byteLength <= SMALL_WRITE) {
        await write(together(held, part.value));
      } else {
        if (held !== undefined) await write(held);
        await write(part.value);
      }
      held = undefined;
      onSent(part.value.byteLength);
    }
    if (!reply.here && size < body.size) blame(lengthFault(body.size, String(size)));
    if (!reply.here && held !== undefined) await write(held);
    watch.start(answerMs, "answer");
    return { head: await reply.head, whole: size === body.size };
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function blame(cause: unknown): never {
  throw new BodyFault("Cannot send body", { cause });
}

function lengthFault(wanted: number, seen: string): OciError {
  return new OciError(
    "SIZE_INVALID",
    `Cannot send body: it was to have ${wanted} bytes and has ${seen}`,
  );
}

function together(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  return joined([a, b], a.byteLength + b.byteLength);
}
