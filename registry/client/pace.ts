/** How one registry may be pressed: how many requests at once, how often, not now, and not any more. */
import { countedBy } from "./counter.ts";
import type { ClientOptions } from "./options.ts";
import { Governor, ownPause, type Release, waitFor } from "./retry.ts";
import { TransportError } from "./transport_error.ts";

const MAX_UNANSWERED = 3;
const BROKEN_MS = 30_000;
const TELL_MS = 15_000;

/** The pace of all requests to one registry. */
export class Pace {
  /** Places for blobs on their way in. Apart from those on their way out: a copy needs one of each. */
  readonly down: Governor;
  /** Places for blobs on their way out. */
  readonly up: Governor;
  readonly #small: Governor;
  readonly #host: string;
  readonly #options: ClientOptions;
  #pausedUntil = 0;
  /** The pause that was told of last, and until when that will do. */
  #told = 0;
  #tellFrom = 0;
  #nextTurn = 0;
  /** Requests in a row that got no answer at all, for all their tries. */
  #unanswered = 0;
  #brokenUntil = 0;

  /** `host` is for messages. */
  constructor(host: string, options: ClientOptions) {
    this.#host = host;
    this.#options = options;
    this.#small = new Governor(options.maxSmall ?? 32);
    this.down = new Governor(options.maxBulk ?? 6);
    this.up = new Governor(options.maxBulk ?? 6);
  }

  /**
   * Waits until a request may leave. With `bulk` the caller holds a place already.
   *
   * @throws {TransportError} When the host is given up for now.
   */
  async enter(bulk: boolean, signal: AbortSignal | undefined): Promise<Release> {
    this.#demandHope();
    await this.#turn(signal);
    await this.#rest(signal);
    return bulk ? () => {} : await this.#small.enter(signal);
  }

  /** An answer came. */
  answered(): void {
    this.#unanswered = 0;
  }

  /** It was a good one. */
  ease(): void {
    this.#small.ease();
  }

  /** It was "not now"; `asked` is the pause that the registry wants, in milliseconds. */
  press(asked: number): void {
    this.#small.press();
    this.down.press();
    this.up.press();
    const most = this.#options.retry?.maxAskedMs ?? 300_000;
    if (asked > 0 && asked <= most) {
      this.#pausedUntil = Math.max(this.#pausedUntil, this.#now() + asked);
    }
    if (asked >= 1000) this.#tell(asked);
  }

  /** A storm is hundreds of these: people hear of it now and then, and of a longer one at once. */
  #tell(asked: number): void {
    const now = this.#now();
    const again = now >= this.#tellFrom;
    const line = `${this.#host} asks for a pause of ${Math.ceil(asked / 1000)} s`;
    if (!again && asked <= this.#told) return this.#options.log?.debug(line);
    this.#told = asked;
    this.#tellFrom = now + TELL_MS;
    this.#options.log?.info(line);
  }

  /** Of thousands of images only the first few shall find out that a host is down, for all their tries. */
  giveUp(error: TransportError): void {
    if (!["connect", "timeout"].includes(error.fault) || ++this.#unanswered < MAX_UNANSWERED) {
      return;
    }
    this.#brokenUntil = this.#now() + BROKEN_MS;
  }

  /** Pauses before try `attempt` + 1, in line with what the registry asked for. */
  async backOff(attempt: number, signal?: AbortSignal): Promise<void> {
    await this.pause(ownPause(attempt, this.#options.retry), signal);
  }

  /** Pauses for `ms` milliseconds, since the registry said so or did not answer. */
  async pause(ms: number, signal?: AbortSignal): Promise<void> {
    const tally = countedBy(signal);
    if (tally !== undefined) tally.waited += ms;
    await this.#wait(ms, signal);
  }

  async #wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    await (this.#options.retry?.wait ?? waitFor)(ms, signal);
  }

  #demandHope(): void {
    if (this.#unanswered < MAX_UNANSWERED || this.#now() >= this.#brokenUntil) return;
    throw new TransportError(
      "blocked",
      this.#host,
      `it answered none of the last ${this.#unanswered} requests, and is not asked for ${
        BROKEN_MS / 1000
      } s`,
    );
  }

  /** Waits for this request's turn, where a registry may be asked only so often: evenly, not in bursts. */
  async #turn(signal: AbortSignal | undefined): Promise<void> {
    const { perSecond } = this.#options;
    if (perSecond === undefined) return;
    const now = this.#now();
    const turn = Math.max(now, this.#nextTurn);
    this.#nextTurn = turn + 1000 / perSecond;
    if (turn > now) await this.#wait(turn - now, signal);
  }

  /** Waits while the registry wants to be left alone, whichever request it said that to. */
  async #rest(signal: AbortSignal | undefined): Promise<void> {
    const left = this.#pausedUntil - this.#now();
    if (left > 0) await this.pause(left, signal);
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }
}
