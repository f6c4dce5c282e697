/** Signals by number; the same on amd64 and arm64 (`signal(7)`). */
const NAMES =
  ("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT " +
    "STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS").split(" ");

/** The name of signal `number`, e.g. `SIGTERM`; `SIG40` for a real-time one. */
export function signalName(number: number): string {
  return `SIG${NAMES[number - 1] ?? number}`;
}
