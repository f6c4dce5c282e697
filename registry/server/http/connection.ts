/** One connection: request after request, in order, until somebody ends it. */
import { RequestBody } from "./body.ts";
import { BadHead, type RequestHead } from "./head.ts";
import { Gone, Input, type Wire } from "./input.ts";
import type { Answer, Ask } from "./message.ts";
import { endsConnection, Output } from "./output.ts";
import { type Limits, TooSlow } from "./pace.ts";

/** Answers one request. Never rejects. */
export type Answerer = (ask: Ask) => Promise<Answer>;

/** Of a body that no handler wanted, so much is read so that the connection can go on. */
const MAX_SKIPPED = 64 * 1024;
/** How long a client that still sends is listened to behind the last answer, so that it gets to read that. */
const LINGER_MS = 2_000;
const CONTINUE = new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n");

/** One connection. */
export class Connection {
  readonly #wire: Wire;
  readonly #input: Input;
  readonly #output: Output;
  readonly #limits: Limits;
  readonly #changed: () => void;
  #busy = false;
  #closed = false;
  #lingersUntil = Infinity;

  /** `changed` is called when a request has come or was answered. */
  constructor(wire: Wire, limits: Limits, changed: () => void) {
    this.#wire = wire;
    this.#limits = limits;
    this.#input = new Input(wire, limits);
    this.#output = new Output(wire, limits, () => this.close());
    this.#changed = changed;
  }

  /** A request has begun and is not answered. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Ends it at once. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wire.close();
  }

  /** Called now and then: gives up a client that is too slow. */
  look(): void {
    this.#input.pace.look();
    this.#output.pace.look();
    if (this.#limits.now() > this.#lingersUntil) this.close();
  }

  /** Serves until the end. Never rejects. `ends` says whether no further request is taken. */
  async serve(answer: Answerer, ends: () => boolean): Promise<void> {
    try {
      for (let first = true; await this.#exchange(answer, ends, first); first = false);
    } catch {
      /* the client is gone or too slow, or a body ended early: all there is to do is to close */
    } finally {
      this.#set(false);
      this.close();
    }
  }

  /** One request and its answer; `false` when there is no next one. */
  async #exchange(answer: Answerer, ends: () => boolean, first: boolean): Promise<boolean> {
    let head: RequestHead | undefined;
    let begun = false;
    try {
      head = await this.#input.head(first, () => begun = true);
    } catch (error) {
      const refusal = begun ? refusalOf(error) : undefined;
      if (refusal === undefined) return false;
      await this.#output.send(refusal, { head: false, last: true, old: false });
      await this.#linger();
      return false;
    }
    if (head === undefined) return false;
    this.#set(true);
    const body = head.length === 0 ? null : new RequestBody(
      this.#input,
      head.length,
      head.waits ? () => this.#output.all(CONTINUE) : undefined,
    );
    const { method, target, headers, old } = head;
    const said = await answer({ method, target, headers, body });
    let clean = body === null || body.done;
    let last = head.last || ends() || (old && endsConnection(said));
    if (body !== null && !clean && !last && body.isShort(MAX_SKIPPED)) clean = await skip(body);
    last ||= !clean;
    await this.#output.send(said, { head: method === "HEAD", last, old });
    if (last && !clean) await this.#linger();
    this.#input.rest();
    this.#set(false);
    return !last;
  }

  /**
   * Closing while bytes lie unread resets the connection, and the client may lose the answer before it has read it
   * (RFC 9112, 9.6). So the end is sent, and what still comes is read for a while.
   */
  async #linger(): Promise<void> {
    this.#lingersUntil = this.#limits.now() + LINGER_MS;
    await this.#wire.closeWrite();
    const into = new Uint8Array(16 * 1024);
    while (await this.#wire.read(into) !== null);
  }

  #set(busy: boolean): void {
    if (this.#busy === busy) return;
    this.#busy = busy;
    this.#changed();
  }
}

/** Reads what is left of a body that nobody wanted. */
async function skip(body: RequestBody): Promise<boolean> {
  try {
    while (await body.next() !== undefined);
    return true;
  } catch {
    return false;
  }
}

/** What to say to a client whose request never got to a handler. */
function refusalOf(error: unknown): Answer | undefined {
  if (error instanceof Gone) return undefined;
  if (error instanceof TooSlow) return plain(408, error.message);
  if (error instanceof BadHead) {
    return plain(error.status, `Cannot read the request: ${error.message}`);
  }
  return undefined;
}

function plain(status: number, message: string): Answer {
  const text = JSON.stringify({ errors: [{ code: "UNSUPPORTED", message, detail: null }] });
  return {
    status,
    headers: { "content-type": "application/json" },
    body: new TextEncoder().encode(text),
  };
}
