/* Headers as the writer in TypeScript makes them, byte for byte. */
#ifndef WHERRY_TAR_WRITE_H
#define WHERRY_TAR_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "plain_tar.h"

#define MOST_HEADER (3 * TAR_BLOCK + 2 * PATH_MAX + 64)

/* An entry to be written. */
struct tar_made {
  char kind; /* its type flag: '0' a file, '2' a symlink, '5' a directory */
  unsigned mode;
  uint64_t uid, gid, size;
  const char *name; /* absolute and clean */
  const char *link; /* empty but for symlinks */
};

/* Writes the header into `to`, MOST_HEADER bytes. Returns its length; 0 for what the writer in
 * TypeScript has to see: numbers that need records, and names that are no text. */
size_t tar_make(const struct tar_made *entry, unsigned char *to);

#endif
