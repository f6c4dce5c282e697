/**
 * What Deno's `node:vm` loads before it compiles anything: all of the Node layer, for words about wrong arguments. Nobody but
 * `loader.js` asks it for anything in the executable, so its script goes without. Docs: decision 0001.
 */

import { Buffer } from "node:buffer";

/** Bytes to be put over Deno's own, never longer than what they replace. */
export interface Patch {
  /** Where, in Deno's file. */
  readonly offset: number;
  /** What. */
  readonly bytes: Uint8Array;
}

const SCRIPT = 'ext:deno_node/vm.js"use strict"; return ';

/** What the script begins with, and what it begins with then: classes of errors are plain ones, checks of arguments check nothing. */
const CHANGES: readonly (readonly [string, string])[] = [
  [
    "e.createLazyLoader(`node:process`)();const{Buffer:n}=e.loadExtScript(`ext:deno_node/internal/buffer.mjs`);" +
    "const{notImplemented:r}=e.loadExtScript(`ext:deno_node/_utils.ts`);",
    "const n={from:e=>new Uint8Array(e)},r=()=>{};",
  ],
  [
    "const{validateArray:b,validateBoolean:x,validateBuffer:S,validateInt32:C,validateObject:w,validateOneOf:T," +
    "validateString:E,validateStringArray:ie,validateUint32:ae}=e.loadExtScript(`ext:deno_node/internal/validators.mjs`);" +
    "const{ERR_INVALID_ARG_TYPE:D,ERR_INVALID_ARG_VALUE:oe,ERR_MODULE_LINK_MISMATCH:O,ERR_VM_MODULE_ALREADY_LINKED:se," +
    "ERR_VM_MODULE_DIFFERENT_CONTEXT:k,ERR_VM_MODULE_NOT_MODULE:A,ERR_VM_MODULE_STATUS:j}=" +
    "e.loadExtScript(`ext:deno_node/internal/errors.ts`);",
    "const b=r,x=r,S=r,C=r,w=r,T=r,E=r,ie=r,ae=r,D=Error,oe=D,O=D,se=D,k=D,A=D,j=D;",
  ],
];

/** How far behind the script's name they are looked for, in bytes. */
const NEAR = 4096;

/**
 * Finds what is to be changed.
 *
 * @throws {SyntaxError} When the script is another one than it was: another Deno needs another look.
 */
export function lightVm(deno: Uint8Array): readonly Patch[] {
  const start = onlyPlace(deno, SCRIPT, 0);
  const near = deno.subarray(start, start + NEAR);
  return CHANGES.map(([before, after]) => ({
    offset: start + onlyPlace(near, before, start),
    bytes: new TextEncoder().encode(after.padEnd(before.length)),
  }));
}

function onlyPlace(bytes: Uint8Array, text: string, from: number): number {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = view.indexOf(text);
  if (at >= 0 && view.indexOf(text, at + 1) < 0) return at;
  throw new SyntaxError(
    `Cannot change deno's node:vm: ${JSON.stringify(text.slice(0, 40))} is ${
      at < 0 ? "not" : "more than once"
    } in it${from > 0 ? ` behind ${from}` : ""}`,
  );
}
