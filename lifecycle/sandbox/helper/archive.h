/* Making layers: `archive.c` says what goes into one, `archive_walk.c` reads it, and
 * `archive_blocks.c` hashes and compresses it in blocks. */
#ifndef WHERRY_ARCHIVE_H
#define WHERRY_ARCHIVE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sha256.h"
#include "tar_write.h"

#define BLOCK_SIZE (1024 * 1024) /* compressed by itself: part of the format */
#define MOST_COMPRESSORS 8
#define MOST_BLOCKS (MOST_COMPRESSORS + 2)

struct block {
  unsigned char *plain, *packed;
  size_t length, packed_length;
  bool done;
};

/* What is made of a tar that is only looked at. */
struct seen {
  struct sha256 frame, looks;
};

/* The tar on its way: filled by one thread, compressed by others, written in order by whichever of
 * those is next. */
struct blocks {
  struct seen *seen; /* takes the place of all below when it is set */
  int blob, spool; /* -1 for none */
  struct block ring[MOST_BLOCKS];
  unsigned ring_size, compressors;
  pthread_t threads[MOST_COMPRESSORS];
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint64_t filled, taken, written; /* blocks */
  bool ended, writing;
  const char *_Atomic why; /* it failed; nothing more is done then */
  struct sha256 plain_hash, packed_hash;
  uint32_t crc;
  uint64_t plain_size, packed_size;
};

bool blocks_start(struct blocks *b, int blob, int spool);
/* Where the next bytes of the tar go, and how many of them at most. NULL after a failure. */
unsigned char *blocks_room(struct blocks *b, size_t *room);
void blocks_filled(struct blocks *b, size_t length);
void blocks_put(struct blocks *b, const void *bytes, size_t length);
/* Waits until all is written. False when something failed. */
bool blocks_end(struct blocks *b);

/* NULL, or why it is for the writer in TypeScript. */
const char *archive_words(struct blocks *b); /* all that standard input says, and the end */
const char *archive_entry(struct blocks *b, const struct tar_made *entry);
/* Bytes of the tar that are of no file. */
void archive_bytes(struct blocks *b, const void *bytes, size_t length);
/* A file that is open already and was looked at; closes it. */
const char *archive_file(struct blocks *b, struct tar_made *entry, int fd);
const char *archive_tree(struct blocks *b, const char *outside, const char *inside, uint64_t uid,
                         uint64_t gid);

#endif
