/* SHA-256 with the instructions that x86-64 (SHA extensions) and arm64 (crypto extension) have for
 * it; `sha256_plain.c` is for processors without them. Part of the helper, and with that a library of its
 * own for registry/oci/native_sha256.ts. */
#define _GNU_SOURCE
#include "sha256.h"

#include <string.h>

#if defined(__x86_64__)
#pragma GCC target("sha,sse4.1")
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#pragma GCC target("+crypto")
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

#define BLOCK 64

#define K sha256_constants

const uint32_t K[64] __attribute__((aligned(16))) = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

#if defined(__x86_64__)

static bool has_instructions(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1)) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

__attribute__((optimize("O3"))) static void quick_blocks(uint32_t *state, const unsigned char *from,
                                                         size_t count) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
  /* The instructions want the words as ABEF and CDGH. */
  __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
  __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
  __m128i abef = _mm_alignr_epi8(low, high, 8);
  __m128i cdgh = _mm_blend_epi16(high, low, 0xf0);
  for (; count > 0; count--, from += BLOCK) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      if (i < 4) {
        w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(from + 16 * i)), swap);
      } else {
        __m128i newest = w[(i + 3) & 3];
        __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]),
                                    _mm_alignr_epi8(newest, w[(i + 2) & 3], 4));
        w[i & 3] = _mm_sha256msg2_epu32(sum, newest);
      }
      __m128i step = _mm_add_epi32(w[i & 3], _mm_load_si128((const __m128i *)(K + 4 * i)));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, step);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(step, 0x0e));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  low = _mm_shuffle_epi32(abef, 0x1b);
  high = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xf0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}

#elif defined(__aarch64__)

#define HAS_SHA2 (1ul << 6) /* asm/hwcap.h */

static bool has_instructions(void) {
  return (getauxval(AT_HWCAP) & HAS_SHA2) != 0;
}

__attribute__((optimize("O3"))) static void quick_blocks(uint32_t *state, const unsigned char *from,
                                                         size_t count) {
  uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
  for (; count > 0; count--, from += BLOCK) {
    const uint32x4_t abcd_before = abcd, efgh_before = efgh;
    uint32x4_t w[4];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      if (i < 4) {
        w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(from + 16 * i)));
      } else {
        w[i & 3] = vsha256su1q_u32(vsha256su0q_u32(w[i & 3], w[(i + 1) & 3]), w[(i + 2) & 3],
                                   w[(i + 3) & 3]);
      }
      const uint32x4_t step = vaddq_u32(w[i & 3], vld1q_u32(K + 4 * i)), before = abcd;
      abcd = vsha256hq_u32(abcd, efgh, step);
      efgh = vsha256h2q_u32(efgh, before, step);
    }
    abcd = vaddq_u32(abcd, abcd_before);
    efgh = vaddq_u32(efgh, efgh_before);
  }
  vst1q_u32(state, abcd);
  vst1q_u32(state + 4, efgh);
}

#endif

bool sha256_possible(void) {
  static int known = -1; /* to ask costs as much as some hashes where a hypervisor answers */
  if (known < 0) known = has_instructions();
  return known;
}

void sha256_start(struct sha256 *hash) {
  static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(hash->state, start, sizeof start);
  hash->length = 0;
  hash->blocks = sha256_possible() ? quick_blocks : sha256_plain_blocks;
}

void sha256_add(struct sha256 *hash, const void *bytes, size_t length) {
  const unsigned char *from = bytes;
  size_t filled = hash->length % BLOCK;
  hash->length += length;
  if (filled > 0) {
    size_t part = length < BLOCK - filled ? length : BLOCK - filled;
    memcpy(hash->partial + filled, from, part);
    from += part;
    length -= part;
    if (filled + part < BLOCK) return;
    hash->blocks(hash->state, hash->partial, 1);
  }
  hash->blocks(hash->state, from, length / BLOCK);
  memcpy(hash->partial, from + length / BLOCK * BLOCK, length % BLOCK);
}

void sha256_bytes(struct sha256 *hash, unsigned char digest[32]) {
  const uint64_t bits = hash->length * 8;
  unsigned char tail[2 * BLOCK] = {0x80};
  size_t padding = 1 + (2 * BLOCK - 9 - hash->length % BLOCK) % BLOCK;
  for (int i = 0; i < 8; i++) tail[padding + i] = (unsigned char)(bits >> (56 - 8 * i));
  sha256_add(hash, tail, padding + 8);
  for (int i = 0; i < 32; i++) digest[i] = (unsigned char)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_end(struct sha256 *hash, char hex[65]) {
  static const char digits[] = "0123456789abcdef";
  unsigned char digest[32];
  sha256_bytes(hash, digest);
  for (int i = 0; i < 32; i++) {
    hex[2 * i] = digits[digest[i] >> 4];
    hex[2 * i + 1] = digits[digest[i] & 15];
  }
  hex[64] = 0;
}

void sha256_once(const void *bytes, size_t length, unsigned char digest[32]) {
  struct sha256 hash;
  sha256_start(&hash);
  sha256_add(&hash, bytes, length);
  sha256_bytes(&hash, digest);
}
