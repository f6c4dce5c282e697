/* The writers of one layer: each takes the pieces of its own files from block after block. */
#define _GNU_SOURCE
#include "restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place *place_of(int fd, unsigned number) {
  struct place *place = malloc(sizeof *place);
  if (!place) return NULL;
  place->fd = fd;
  place->number = number;
  atomic_init(&place->users, 1);
  return place;
}

struct place *place_use(struct place *place) {
  atomic_fetch_add(&place->users, 1);
  return place;
}

void place_drop(struct place *place) {
  if (atomic_fetch_sub(&place->users, 1) > 1) return;
  close(place->fd);
  free(place);
}

bool piece_add(struct block *block, struct file *file, uint32_t from, uint32_t length) {
  const unsigned w = file->writer;
  if (block->count[w] == block->room[w]) {
    const size_t room = block->room[w] ? 2 * block->room[w] : 64;
    struct piece *pieces = realloc(block->pieces[w], room * sizeof *pieces);
    if (!pieces) return false;
    block->pieces[w] = pieces;
    block->room[w] = room;
  }
  block->pieces[w][block->count[w]++] = (struct piece){file, from, length};
  return true;
}

static bool look(struct file *file) {
  mode_t mode;
  if (!look_at(file->fd, file->look, &mode)) return false;
  /* A default ACL has its own idea of modes. */
  return mode == file->mode ||
         (fchmod(file->fd, file->mode) == 0 && look_at(file->fd, file->look, &mode));
}

static const char *write_piece(struct file *file, const unsigned char *from, uint32_t length) {
  if (file->fd < 0) {
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    file->fd = openat(file->place->fd, file->name, flags, file->mode);
    if (file->fd < 0) return strerror(errno);
    const struct owner *owner = file->owner;
    if (owner->given && fchown(file->fd, owner->uid, owner->gid) != 0) return strerror(errno);
  }
  for (uint32_t done = 0; done < length;) {
    ssize_t written = write(file->fd, from + done, length - done);
    if (written < 0 && errno != EINTR) return strerror(errno);
    if (written > 0) done += (uint32_t)written;
  }
  file->left -= length;
  if (file->left == 0 && !look(file)) return strerror(errno);
  return NULL;
}

static void forget(struct file *file) {
  if (file->fd >= 0) close(file->fd);
  place_drop(file->place);
  free(file);
}

struct start {
  struct writers *w;
  unsigned me;
};

static void *writer(void *given) {
  struct start start = *(struct start *)given;
  struct writers *w = start.w;
  free(given);
  for (uint64_t at = 0;; at++) {
    pthread_mutex_lock(&w->lock);
    while (at == w->filled && !w->ended) pthread_cond_wait(&w->changed, &w->lock);
    const bool more = at < w->filled;
    pthread_mutex_unlock(&w->lock);
    if (!more) return NULL;
    struct block *block = &w->blocks[at % BLOCKS];
    for (size_t i = 0; i < block->count[start.me]; i++) {
      struct piece *piece = &block->pieces[start.me][i];
      if (!atomic_load(&w->failed)) {
        const char *why = write_piece(piece->file, block->bytes + piece->from, piece->length);
        if (why) {
          atomic_store(&w->why, why);
          atomic_store(&w->failed, true);
        } else if (piece->file->left == 0) {
          forget(piece->file);
        }
      }
    }
    pthread_mutex_lock(&w->lock);
    w->done[start.me] = at + 1;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
  }
}

bool writers_start(struct writers *w, unsigned count) {
  memset(w, 0, sizeof *w);
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->changed, NULL);
  w->blocks = calloc(BLOCKS, sizeof *w->blocks);
  if (!w->blocks) return false;
  for (unsigned i = 0; i < count; i++) {
    struct start *start = malloc(sizeof *start);
    if (!start) return i > 0;
    *start = (struct start){w, i};
    if (pthread_create(&w->threads[i], NULL, writer, start) != 0) {
      free(start);
      return i > 0;
    }
    w->count++;
  }
  return true;
}

static bool is_busy(const struct writers *w) {
  for (unsigned i = 0; i < w->count; i++) if (w->filled >= w->done[i] + BLOCKS) return true;
  return false;
}

struct block *writers_next(struct writers *w) {
  pthread_mutex_lock(&w->lock);
  while (is_busy(w)) pthread_cond_wait(&w->changed, &w->lock);
  pthread_mutex_unlock(&w->lock);
  struct block *block = &w->blocks[w->filled % BLOCKS];
  memset(block->count, 0, sizeof block->count);
  return block;
}

bool writers_hand_over(struct writers *w) {
  pthread_mutex_lock(&w->lock);
  w->filled++;
  pthread_cond_broadcast(&w->changed);
  pthread_mutex_unlock(&w->lock);
  return !atomic_load(&w->failed);
}

bool writers_end(struct writers *w) {
  pthread_mutex_lock(&w->lock);
  w->ended = true;
  pthread_cond_broadcast(&w->changed);
  pthread_mutex_unlock(&w->lock);
  for (unsigned i = 0; i < w->count; i++) pthread_join(w->threads[i], NULL);
  for (unsigned b = 0; b < BLOCKS; b++) {
    for (unsigned i = 0; i < MOST_WRITERS; i++) free(w->blocks[b].pieces[i]);
  }
  free(w->blocks);
  return !atomic_load(&w->failed);
}
