/* CRC-32 as gzip has it. */
#ifndef WHERRY_CRC32_H
#define WHERRY_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, which is 0 at the start. */
uint32_t crc32_add(uint32_t crc, const unsigned char *from, size_t length);

#endif
