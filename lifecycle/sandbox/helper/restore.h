/* Restoring layers: `restore.c` reads and hashes, `restore_files.c` writes files beside it. */
#ifndef WHERRY_RESTORE_H
#define WHERRY_RESTORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "look.h"
#include "plain_tar.h"

#define BLOCK_SIZE (256 * 1024) /* stays in the processor's cache between hash and write */
#define BLOCKS 8
#define MOST_WRITERS 4

/* A directory files are made in; open as long as somebody needs it. */
struct place {
  int fd;
  unsigned number; /* each has its own, so that writers share them evenly */
  atomic_int users;
};

/* To whom what is made is given; nobody but who makes it unless `given`. */
struct owner {
  bool given;
  uid_t uid;
  gid_t gid;
};

/* A file on its way. Its own writer sees all of it, in order. */
struct file {
  struct place *place;
  const struct owner *owner;
  unsigned char *look; /* where the kernel's words about it go */
  uint64_t left;
  mode_t mode;
  unsigned writer;
  int fd;
  char name[];
};

/* Bytes of a file that lie in a block. */
struct piece {
  struct file *file;
  uint32_t from, length;
};

struct block {
  unsigned char bytes[BLOCK_SIZE];
  struct piece *pieces[MOST_WRITERS];
  size_t count[MOST_WRITERS], room[MOST_WRITERS];
};

/* Blocks on their way to the writers: a ring. */
struct writers {
  pthread_t threads[MOST_WRITERS];
  unsigned count;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint64_t filled, done[MOST_WRITERS]; /* blocks */
  bool ended;
  atomic_bool failed; /* from then on nothing is written */
  const char *_Atomic why;
  struct block *blocks; /* BLOCKS of them */
};

bool writers_start(struct writers *w, unsigned count);
/* A block that nobody reads any more. */
struct block *writers_next(struct writers *w);
bool writers_hand_over(struct writers *w);
/* Waits until all is written. False when something failed. */
bool writers_end(struct writers *w);
bool piece_add(struct block *block, struct file *file, uint32_t from, uint32_t length);

struct place *place_of(int fd, unsigned number);
struct place *place_use(struct place *place);
void place_drop(struct place *place);

#endif
