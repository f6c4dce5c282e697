/** SQLite checks no page it reads: what a flipped bit must never turn into a wrong answer proves itself. */
import { crc32 } from "../layer/crc32.ts";
import { OciError } from "../oci/error.ts";

/** Of one tag: stored beside it, made again when it is read. */
export function tagProof(repository: string, tag: string, digest: string, size: number): number {
  return crc32(`${repository}\n${tag}\n${digest}\n${size}`);
}

/**
 * Makes sure that a row says what was written.
 *
 * @param proof As it was read; `null` in rows of an older wherry.
 * @throws {OciError} `UNAVAILABLE`.
 */
export function checkTag(
  row: {
    readonly repository: string;
    readonly tag: string;
    readonly digest: string;
    readonly size: number;
    readonly proof: unknown;
  },
): void {
  const { repository, tag, digest, size, proof } = row;
  if (proof === null || proof === tagProof(repository, tag, digest, size)) return;
  throw new OciError(
    "UNAVAILABLE",
    `Cannot read tag ${
      JSON.stringify(`${repository}:${tag}`)
    }: its record is damaged; wherry store fsck tells more`,
  );
}
