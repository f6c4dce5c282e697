#define _GNU_SOURCE
#pragma GCC optimize("O2")
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "libdeflate/lib/deflate_compress.c"
#include "libdeflate/lib/utils.c"

#include "deflate.h"

#include <stdlib.h>

#define SEGMENT (64 * 1024) /* judged by itself */
#define STRIDE 5 /* looks at one byte in five: meets every place of words of two, four and eight */
#define SEEN ((SEGMENT + STRIDE - 1) / STRIDE)
#define MOST_STORED 65535
#define STORED_HEADER 5

struct libdeflate_compressor *deflate_new(void) {
  const size_t size = (sizeof(struct libdeflate_compressor) + 63) / 64 * 64;
  struct libdeflate_compressor *c = aligned_alloc(64, size);
  if (!c) return NULL;
  memset(c, 0, size);
  c->compression_level = 1;
  c->impl = deflate_compress_fastest;
  c->nice_match_length = 32;
  deflate_init_static_codes(c);
  return c;
}

size_t deflate_room(size_t length) {
  /* Each run ends with an empty block, and each block of libdeflate's has 5000 bytes at least. */
  return length + (length / SEGMENT + 1) * 4 * STORED_HEADER + (length / MIN_BLOCK_LENGTH + 1) * 5;
}

/* log2(n) * 65536, in whole numbers: a rounding of some processor's own may decide nothing here. */
static unsigned log2_of(unsigned n) {
  unsigned whole = 31 - (unsigned)__builtin_clz(n), fraction = 0;
  uint64_t x = (uint64_t)n << (31 - whole); /* 1.31 */
  for (int i = 0; i < 16; i++) {
    x = x * x >> 31;
    fraction = fraction << 1 | (x >> 32 & 1);
    if (x >> 32) x >>= 1;
  }
  return whole << 16 | fraction;
}

/* Spread as evenly as noise: of 7.9 bits a byte, nothing that deflate could take out. Text has 4 to
 * 6, machine code 6 to 6.5; what some packer wrote has more than 7.98. */
static bool is_noise(const unsigned char *from, size_t length) {
  if (length < SEGMENT) return false; /* too few to tell */
  unsigned counts[256] = {0};
  for (size_t at = 0; at < SEGMENT; at += STRIDE) counts[from[at]]++;
  const unsigned all = log2_of(SEEN);
  uint64_t bits = 0;
  for (int i = 0; i < 256; i++) {
    if (counts[i]) bits += (uint64_t)counts[i] * (all - log2_of(counts[i]));
  }
  return bits * 10 > 79ull * 65536 * SEEN;
}

static size_t put_stored(const unsigned char *from, size_t length, unsigned char *to) {
  unsigned char *const start = to;
  do {
    const size_t part = length < MOST_STORED ? length : MOST_STORED;
    *to++ = 0;
    put_unaligned_le16((u16)part, to);
    put_unaligned_le16((u16)~part, to + 2);
    memcpy(to + 4, from, part);
    to += 4 + part;
    from += part;
    length -= part;
  } while (length > 0);
  return (size_t)(to - start);
}

static size_t put_deflated(struct libdeflate_compressor *c, const unsigned char *from,
                           size_t length, unsigned char *to) {
  if (length < MIN_BLOCK_LENGTH / 50) return put_stored(from, length, to);
  struct deflate_output_bitstream os = {.next = to, .end = to + deflate_room(length)};
  c->impl(c, from, length, &os);
  if (os.overflow) return put_stored(from, length, to); /* cannot be: there is room for the worst */
  /* The three bits of an empty stored block, and zeros up to the next byte. */
  *os.next++ = (u8)os.bitbuf;
  if (os.bitcount > 5) *os.next++ = 0;
  put_unaligned_le16(0, os.next);
  put_unaligned_le16(0xffff, os.next + 2);
  return (size_t)(os.next + 4 - to);
}

size_t deflate_block(struct libdeflate_compressor *c, const unsigned char *from, size_t length,
                     unsigned char *to) {
  unsigned char *const start = to;
  for (size_t at = 0; at < length;) {
    const bool noise = is_noise(from + at, length - at);
    size_t end = at;
    do end = length - end < SEGMENT ? length : end + SEGMENT;
    while (end < length && is_noise(from + end, length - end) == noise);
    to += noise ? put_stored(from + at, end - at, to) : put_deflated(c, from + at, end - at, to);
    at = end;
  }
  return (size_t)(to - start);
}
