/* SHA-256 by the processor's own instructions; there is no other here. */
#ifndef WHERRY_SHA256_H
#define WHERRY_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sha256 {
  uint32_t state[8];
  uint64_t length;
  unsigned char partial[64];
};

/* Whether this processor has them. Nothing below may be called where it does not. */
bool sha256_possible(void);
void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *bytes, size_t length);
/* Ends it: 64 lower-case hex digits and a NUL. */
void sha256_end(struct sha256 *hash, char hex[65]);

#endif
