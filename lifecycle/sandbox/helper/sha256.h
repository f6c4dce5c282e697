/* SHA-256, by the processor's own instructions where it has them. */
#ifndef WHERRY_SHA256_H
#define WHERRY_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* native_sha256.ts gives it 120 bytes. */
struct sha256 {
  uint32_t state[8];
  uint64_t length;
  unsigned char partial[64];
  void (*blocks)(uint32_t *state, const unsigned char *from, size_t count);
};

/* Whether this processor has them. Where it does not the runtime has better code than ours. */
bool sha256_possible(void);
void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *bytes, size_t length);
/* Ends it: 64 lower-case hex digits and a NUL, or the bytes. */
void sha256_end(struct sha256 *hash, char hex[65]);
void sha256_bytes(struct sha256 *hash, unsigned char digest[32]);
/* All at once. */
void sha256_once(const void *bytes, size_t length, unsigned char digest[32]);

extern const uint32_t sha256_constants[64];
void sha256_plain_blocks(uint32_t *state, const unsigned char *from, size_t count);

#endif
