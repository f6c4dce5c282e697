/* Hashes standard input in pieces of the length given: with the processor's instructions, and
 * without. Prints SHA-256 and CRC-32 of both, a line each. */
#include <stdio.h>
#include <stdlib.h>

#include "crc32.c"
#include "sha256.h"

int main(int argc, char **argv) {
  static unsigned char bytes[1 << 20];
  const size_t length = fread(bytes, 1, sizeof bytes, stdin);
  const size_t piece = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
  struct sha256 quick, plain;
  uint32_t quick_crc = 0, plain_crc = ~0u;
  sha256_start(&quick);
  sha256_start(&plain);
  plain.blocks = sha256_plain_blocks;
  for (size_t at = 0, part; at < length; at += part) {
    part = length - at < piece ? length - at : piece;
    sha256_add(&quick, bytes + at, part);
    sha256_add(&plain, bytes + at, part);
    quick_crc = crc32_add(quick_crc, bytes + at, part);
    plain_crc = by_table(plain_crc, bytes + at, part);
  }
  char hex[65];
  sha256_end(&quick, hex);
  printf("%s\n%08x\n", hex, quick_crc);
  sha256_end(&plain, hex);
  printf("%s\n%08x\n", hex, ~plain_crc);
}
