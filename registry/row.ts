/** What requests go over. */
export interface Line {
  /** It is of use no more. */
  readonly closed: boolean;
  /** Ends it. */
  close(): void;
}

/** One request's place in a {@linkcode Row}. */
export class RowPlace<L extends Line = Line> {
  /** The one right before, as long as it is not answered. */
  readonly before: RowPlace<L> | undefined;
  /** Where its bytes went, once they all have; `undefined` when they did not. */
  readonly left: Promise<L | undefined>;
  /** Whether its answer was read to its end, and the next one may follow there. */
  readonly answered: Promise<boolean>;
  readonly #left: (line: L | undefined) => void;
  readonly #answered: (on: boolean) => void;
  /** Somebody stands behind. */
  followed = false;
  /** It is over. */
  over = false;

  /** Behind `before`. */
  constructor(before: RowPlace<L> | undefined) {
    this.before = before;
    if (before !== undefined) before.followed = true;
    ({ promise: this.left, resolve: this.#left } = Promise.withResolvers<L | undefined>());
    ({ promise: this.answered, resolve: this.#answered } = Promise.withResolvers<boolean>());
  }

  /** All its bytes are on `line`. */
  leave(line: L): void {
    this.#left(line);
  }

  /**
   * It is over. `on`: the line is free for the next answer. `rode`: it was on its line at all.
   *
   * @returns Whether somebody stands behind who goes on with the line.
   */
  end(on: boolean, rode: boolean): boolean {
    this.over = true;
    this.#left(undefined);
    if (!rode) void this.before?.left.then((line) => line?.close());
    this.#answered(on);
    return on && this.followed;
  }
}

/**
 * Requests of one act that leave one behind the other over one connection without waiting for the answers in between, as
 * HTTP/1.1 allows (RFC 9112, 9.3.2); a server deals with them in this order. Behind one that is not idempotent only for
 * who finds out what became of it: here all is named by its digest, and the last is refused when the others failed. What
 * could not go this way is sent again by itself.
 */
export class Row<L extends Line = Line> {
  readonly #tails = new Map<string, RowPlace<L>>();
  /** Somebody has taken the first place. */
  readonly begun: Promise<void>;
  readonly #begin: () => void;

  /** Empty. */
  constructor() {
    ({ promise: this.begun, resolve: this.#begin } = Promise.withResolvers<void>());
  }

  /** The next place on the way that `key` names: other ways are other rows. */
  join(key: string): RowPlace<L> {
    const tail = this.#tails.get(key);
    const place = new RowPlace(tail?.over === false ? tail : undefined);
    this.#tails.set(key, place);
    this.#begin();
    return place;
  }
}
