/** What comes in on one connection: heads, and the bytes of bodies. */
import { BadHead, findEnd, MAX_HEAD, parseHead, type RequestHead, type Scan } from "./head.ts";
import { type Limits, Pace, type TooSlow } from "./pace.ts";

/** A connection under HTTP; what Deno's connections are. */
export interface Wire {
  /** Fills some of `into`; `null` at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Sends some of `bytes`, which may be used again when it settles; returns how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Sends the end; reading goes on. */
  closeWrite(): Promise<void>;
  /** Ends it: what waits for it fails. */
  close(): void;
}

/** The client went away in the middle. */
export class Gone extends Error {
  override readonly name = "Gone";
  /** Says so. */
  constructor(options?: ErrorOptions) {
    super("Cannot read on: the client went away", options);
  }
}

/** Enough for the head of most; grows up to {@linkcode MAX_HEAD}. */
const FIRST_BUFFER = 4 * 1024;
/** Reads of bodies grow up to here while they are filled. */
const MAX_READ = 256 * 1024;
const MIN_READ = 16 * 1024;
const NEWLINE = 10;

/** Reads one connection, in order. */
export class Input {
  readonly #wire: Wire;
  readonly #limits: Limits;
  /** Whoever looks after slow clients looks at this. */
  readonly pace: Pace;
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(FIRST_BUFFER);
  #from = 0;
  #to = 0;
  /** Two that take turns: one is written away while the other is filled. */
  #pair: Uint8Array<ArrayBuffer>[] = [];
  #turn = 0;
  #readSize = MIN_READ;

  /** Reads nothing yet. */
  constructor(wire: Wire, limits: Limits) {
    this.#wire = wire;
    this.#limits = limits;
    this.pace = new Pace(limits, "came");
  }

  /** Whether bytes of the next request are here. */
  get ahead(): boolean {
    return this.#from < this.#to;
  }

  /**
   * The head of the next request; `undefined` when the client has no more to say.
   *
   * @param first Nothing came on this connection yet.
   * @param began Called when its first byte is here.
   * @throws {BadHead}, {TooSlow}, {Gone}
   */
  async head(first: boolean, began: () => void): Promise<RequestHead | undefined> {
    const { headMs, keepMs, now } = this.#limits;
    this.pace.reset();
    let by = now() + headMs;
    let begun = this.ahead;
    if (begun) began();
    const scan: Scan = { at: this.#from, line: this.#from - 1 };
    for (;;) {
      this.#skipEmptyLines(scan);
      const end = findEnd(this.#buffer, this.#to, scan);
      if (end > 0) {
        const head = parseHead(this.#buffer.subarray(this.#from, end));
        this.#from = end;
        return head;
      }
      if (this.#to - this.#from >= MAX_HEAD) throw new BadHead(431, "want a shorter head");
      const moved = this.#makeRoom();
      scan.at -= moved;
      scan.line -= moved;
      const wait = begun || first ? by - now() : keepMs;
      const got = await this.#read(this.#buffer.subarray(this.#to), wait, false);
      if (got === null) {
        if (this.ahead) throw new Gone();
        return undefined;
      }
      this.#to += got;
      if (!begun) {
        begun = true;
        by = now() + headMs;
        began();
      }
    }
  }

  /** Old clients send an empty line behind a body (RFC 9112, 2.2). */
  #skipEmptyLines(scan: Scan): void {
    while (
      this.#to - this.#from >= 2 && this.#buffer[this.#from] === 13 &&
      this.#buffer[this.#from + 1] === NEWLINE
    ) {
      this.#from += 2;
      scan.at = this.#from;
      scan.line = this.#from - 1;
    }
  }

  /**
   * Some bytes, at most `max`; `undefined` when the client sends no more. Good until the call after the next.
   *
   * @throws {TooSlow}
   */
  async some(max: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.#turn ^= 1;
    if (this.#from < this.#to) {
      const part = this.#buffer.slice(this.#from, Math.min(this.#to, this.#from + max));
      this.#from += part.byteLength;
      return part;
    }
    let own = this.#pair[this.#turn];
    if (own === undefined || own.byteLength < this.#readSize) {
      own = this.#pair[this.#turn] = new Uint8Array(this.#readSize);
    }
    const into = own.subarray(0, Math.min(max, this.#readSize));
    const got = await this.#read(into, this.#limits.idleMs, true);
    if (got === null) return undefined;
    if (got === this.#readSize) this.#readSize = Math.min(MAX_READ, this.#readSize * 2);
    return into.subarray(0, got);
  }

  /**
   * One line without its end.
   *
   * @throws {BadHead} When it is longer than `max` or does not end in CR LF.
   */
  async line(max: number): Promise<string> {
    for (;;) {
      const at = this.#buffer.subarray(0, this.#to).indexOf(NEWLINE, this.#from);
      const length = (at >= 0 ? at : this.#to) - this.#from;
      if (length > max + 1) { // with the carriage return
        throw new BadHead(400, "want a shorter line");
      }
      if (at >= 0) {
        if (this.#buffer[at - 1] !== 13 || at === this.#from) {
          throw new BadHead(400, "want lines that end in CR LF");
        }
        const text = String.fromCharCode(...this.#buffer.subarray(this.#from, at - 1));
        this.#from = at + 1;
        return text;
      }
      this.#makeRoom();
      const got = await this.#read(this.#buffer.subarray(this.#to), this.#limits.idleMs, true);
      if (got === null) throw new Gone();
      this.#to += got;
    }
  }

  /** The buffers for bodies are given back: the connection may lie idle for long. */
  rest(): void {
    this.#pair = [];
    this.#readSize = MIN_READ;
    if (this.#from === this.#to && this.#buffer.byteLength > FIRST_BUFFER) {
      this.#buffer = new Uint8Array(FIRST_BUFFER);
      this.#from = this.#to = 0;
    }
  }

  /** Makes room for more; returns by how much what is here has moved to the front. */
  #makeRoom(): number {
    const moved = this.#from;
    if (moved > 0) {
      this.#buffer.copyWithin(0, this.#from, this.#to);
      this.#to -= moved;
      this.#from = 0;
    }
    if (this.#to === this.#buffer.byteLength) {
      const larger = new Uint8Array(2 * this.#to);
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    return moved;
  }

  async #read(into: Uint8Array, most: number, rated: boolean): Promise<number | null> {
    // A client that is too slow is answered: the wire stays open while this fails.
    const { promise, resolve, reject } = Promise.withResolvers<number | null>();
    this.pace.begin(most, rated, (why: TooSlow) => reject(why));
    this.#wire.read(into).then(resolve, (cause) => reject(new Gone({ cause })));
    const got = await promise;
    this.pace.end(got ?? 0);
    return got;
  }
}
