/* CRC-32 by the instructions that x86-64 (carry-less multiplication) and arm64 have for it, and by a
 * table on processors that have none. */
#define _GNU_SOURCE
#include "crc32.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#pragma GCC target("pclmul,sse4.1")
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#pragma GCC target("+crc")
#include <arm_acle.h>
#include <sys/auxv.h>
#endif

static uint32_t by_table(uint32_t crc, const unsigned char *from, size_t length) {
  static uint32_t table[16]; /* of half bytes; whoever is first writes what all others would */
  for (uint32_t i = 0; i < 16; i++) {
    uint32_t value = i;
    for (int bit = 0; bit < 4; bit++) value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
    __atomic_store_n(&table[i], value, __ATOMIC_RELAXED);
  }
  for (size_t i = 0; i < length; i++) {
    crc ^= from[i];
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return crc;
}

#if defined(__x86_64__)

static bool possible(void) {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_PCLMUL) && (c & bit_SSE4_1);
}

/* Multiplies what is there forward by as many bits as lie between it and `next`, and adds that. */
static inline __m128i fold(__m128i sum, __m128i by, __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(sum, by, 0x00);
  const __m128i high = _mm_clmulepi64_si128(sum, by, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

static inline __m128i at(const unsigned char *from) {
  return _mm_loadu_si128((const __m128i *)from);
}

/* At least 64 bytes, and whole sixteens. The constants are powers of x modulo the polynomial:
 * V. Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ", 2009. */
static uint32_t by_sixteens(uint32_t crc, const unsigned char *from, size_t length) {
  const __m128i by_512 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
  const __m128i by_128 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
  const __m128i by_64 = _mm_set_epi64x(0, 0x0163cd6124);
  const __m128i polynomial = _mm_set_epi64x(0x01f7011641, 0x01db710641);
  const __m128i low_32 = _mm_set_epi32(0, ~0, 0, ~0);
  __m128i a = _mm_xor_si128(at(from), _mm_cvtsi32_si128((int)crc));
  __m128i b = at(from + 16), c = at(from + 32), d = at(from + 48);
  for (from += 64, length -= 64; length >= 64; from += 64, length -= 64) {
    a = fold(a, by_512, at(from));
    b = fold(b, by_512, at(from + 16));
    c = fold(c, by_512, at(from + 32));
    d = fold(d, by_512, at(from + 48));
  }
  a = fold(fold(fold(a, by_128, b), by_128, c), by_128, d);
  for (; length >= 16; from += 16, length -= 16) a = fold(a, by_128, at(from));
  /* From 128 bits to 64, and to 32. */
  a = _mm_xor_si128(_mm_clmulepi64_si128(a, by_128, 0x10), _mm_srli_si128(a, 8));
  a = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(a, low_32), by_64, 0x00),
                    _mm_srli_si128(a, 4));
  __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(a, low_32), polynomial, 0x10);
  quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_32), polynomial, 0x00);
  return (uint32_t)_mm_extract_epi32(_mm_xor_si128(a, quotient), 1);
}

static size_t quick_part(size_t length) {
  return length < 64 ? 0 : length / 16 * 16;
}

#elif defined(__aarch64__)

#define HAS_CRC32 (1ul << 7) /* asm/hwcap.h */

static bool possible(void) {
  return (getauxval(AT_HWCAP) & HAS_CRC32) != 0;
}

static uint32_t by_sixteens(uint32_t crc, const unsigned char *from, size_t length) {
  for (; length > 0; from += 16, length -= 16) {
    uint64_t words[2];
    memcpy(words, from, sizeof words);
    crc = __crc32d(__crc32d(crc, words[0]), words[1]);
  }
  return crc;
}

static size_t quick_part(size_t length) {
  return length / 16 * 16;
}

#endif

uint32_t crc32_add(uint32_t crc, const unsigned char *from, size_t length) {
  const size_t quick = possible() ? quick_part(length) : 0;
  crc = ~crc;
  if (quick > 0) crc = by_sixteens(crc, from, quick);
  return ~by_table(crc, from + quick, length - quick);
}
