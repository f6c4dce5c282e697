/* SHA-256 for processors without instructions for it. */
#include "sha256.h"

static inline uint32_t turned(uint32_t x, int by) {
  return x >> by | x << (32 - by);
}

__attribute__((optimize("O3"))) void sha256_plain_blocks(uint32_t *state, const unsigned char *from,
                                                         size_t count) {
  for (; count > 0; count--, from += 64) {
    uint32_t w[16], s[8];
    for (int i = 0; i < 8; i++) s[i] = state[i];
#pragma GCC unroll 64
    for (int i = 0; i < 64; i++) {
      uint32_t *word = &w[i & 15];
      if (i < 16) {
        *word = (uint32_t)from[4 * i] << 24 | (uint32_t)from[4 * i + 1] << 16 |
                (uint32_t)from[4 * i + 2] << 8 | from[4 * i + 3];
      } else {
        const uint32_t a = w[(i + 1) & 15], b = w[(i + 14) & 15];
        *word += (turned(a, 7) ^ turned(a, 18) ^ a >> 3) + w[(i + 9) & 15] +
                 (turned(b, 17) ^ turned(b, 19) ^ b >> 10);
      }
      /* The eight words stay where they are and change their names. */
      const uint32_t a = s[-i & 7], b = s[(1 - i) & 7], c = s[(2 - i) & 7], e = s[(4 - i) & 7];
      const uint32_t f = s[(5 - i) & 7], g = s[(6 - i) & 7];
      const uint32_t step = s[(7 - i) & 7] + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) +
                            (g ^ (e & (f ^ g))) + sha256_constants[i] + *word;
      s[(3 - i) & 7] += step;
      s[(7 - i) & 7] = step + (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) +
                       ((a & b) | (c & (a | b)));
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
  }
}
