/** Whether somebody speaks TLS, found out without a handshake. */
import { Connection, type Wire } from "./http1.ts";

const TLS_HANDSHAKE = 0x16;
const TLS_ALERT = 0x15;
/**
 * The shortest hello of TLS 1.2 (RFC 5246, 7.4.1.2): whoever speaks TLS answers it, be it with an alert. A real handshake
 * tells no more and costs 45 ms of processor time, most of it for authorities nobody asks.
 */
const CLIENT_HELLO = new Uint8Array([
  ...[0x16, 3, 1, 0, 47], // record: handshake, version, length
  ...[1, 0, 0, 43], // client hello, length
  ...[3, 3], // TLS 1.2
  ...new Uint8Array(32).map((_, at) => at % 2 === 0 ? 13 : 10), // random: line ends, so that HTTP sees a whole request
  ...[0], // session
  ...[0, 4, 0xc0, 0x2f, 0xc0, 0x2b], // cipher suites: ECDHE with AES-128-GCM
  ...[1, 0], // compression: none
]);

/**
 * Says hello over a wire to `host` and waits for the first byte of an answer; nothing of ours is sent.
 *
 * @throws What reading and writing throw: who speaks no TLS may close.
 */
export async function answersHello(wire: Wire, host: string): Promise<boolean> {
  const first = new Uint8Array(1);
  await new Connection(wire, host).write(CLIENT_HELLO);
  await wire.read(first);
  return first[0] === TLS_HANDSHAKE || first[0] === TLS_ALERT;
}
