/* Deflate, by libdeflate (see decision 0009): what is made does not depend on the processor. */
#ifndef WHERRY_DEFLATE_H
#define WHERRY_DEFLATE_H

#include <stddef.h>

struct libdeflate_compressor;

struct libdeflate_compressor *deflate_new(void);
/* Room that so many bytes need at most. */
size_t deflate_room(size_t length);
/* Compresses `from` by itself, as deflate blocks that end on a byte and of which none is the last one.
 * Noise (jars, pictures, all that is packed already) is stored as it is. Returns their length. */
size_t deflate_block(struct libdeflate_compressor *c, const unsigned char *from, size_t length,
                     unsigned char *to);

#endif
