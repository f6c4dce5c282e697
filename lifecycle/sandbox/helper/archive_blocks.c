/* A layer's bytes: plain into the cache and the diffID, compressed into the blob and its digest. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive.h"
#include "crc32.h"
#include "deflate.h"

#define TOLD (16 * 1024 * 1024) /* bytes of tar after which we say how far we are */

static void failed(struct blocks *b, const char *why) {
  const char *none = NULL;
  atomic_compare_exchange_strong(&b->why, &none, why);
}

static void write_all(struct blocks *b, int fd, const unsigned char *from, size_t length) {
  while (length > 0 && !atomic_load(&b->why)) {
    const ssize_t written = write(fd, from, length);
    if (written < 0 && errno != EINTR) failed(b, strerror(errno));
    if (written <= 0) continue;
    from += written;
    length -= (size_t)written;
  }
}

static void put_packed(struct blocks *b, const unsigned char *from, size_t length) {
  sha256_add(&b->packed_hash, from, length);
  b->packed_size += length;
  write_all(b, b->blob, from, length);
}

/* Writes what is done and next, unless another thread is at it. With the lock held. */
static void write_done(struct blocks *b) {
  if (b->writing) return;
  b->writing = true;
  for (;;) {
    struct block *block = &b->ring[b->written % b->ring_size];
    if (b->written == b->taken || !block->done) break;
    pthread_mutex_unlock(&b->lock);
    put_packed(b, block->packed, block->packed_length);
    pthread_mutex_lock(&b->lock);
    block->done = false;
    b->written++;
    pthread_cond_broadcast(&b->changed);
  }
  b->writing = false;
}

static void *compressor(void *given) {
  struct blocks *b = given;
  struct libdeflate_compressor *c = deflate_new();
  if (!c) failed(b, strerror(ENOMEM));
  pthread_mutex_lock(&b->lock);
  for (;;) {
    while (b->taken == b->filled && !b->ended) pthread_cond_wait(&b->changed, &b->lock);
    if (b->taken == b->filled) break;
    struct block *block = &b->ring[b->taken++ % b->ring_size];
    pthread_mutex_unlock(&b->lock);
    block->packed_length = atomic_load(&b->why)
      ? 0
      : deflate_block(c, block->plain, block->length, block->packed);
    pthread_mutex_lock(&b->lock);
    block->done = true;
    write_done(b);
  }
  pthread_mutex_unlock(&b->lock);
  free(c);
  return NULL;
}

static bool start_compressors(struct blocks *b) {
  cpu_set_t mine;
  int processors = sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 1;
  if (processors > MOST_COMPRESSORS) processors = MOST_COMPRESSORS;
  b->ring_size = (unsigned)processors + 2;
  for (unsigned i = 0; i < b->ring_size; i++) {
    b->ring[i].plain = malloc(BLOCK_SIZE);
    b->ring[i].packed = malloc(deflate_room(BLOCK_SIZE));
    if (!b->ring[i].plain || !b->ring[i].packed) return false;
  }
  for (int i = 0; i < processors; i++) {
    if (pthread_create(&b->threads[i], NULL, compressor, b) != 0) return i > 0;
    b->compressors++;
  }
  return true;
}

bool blocks_start(struct blocks *b, int blob, int spool) {
  static const unsigned char header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}; /* TA-10 */
  memset(b, 0, sizeof *b);
  b->blob = blob;
  b->spool = spool;
  pthread_mutex_init(&b->lock, NULL);
  pthread_cond_init(&b->changed, NULL);
  sha256_start(&b->plain_hash);
  sha256_start(&b->packed_hash);
  if (blob < 0) {
    b->ring_size = 1;
    return (b->ring[0].plain = malloc(BLOCK_SIZE)) != NULL;
  }
  put_packed(b, header, sizeof header);
  return start_compressors(b);
}

unsigned char *blocks_room(struct blocks *b, size_t *room) {
  struct block *block = &b->ring[b->filled % b->ring_size];
  if (atomic_load(&b->why)) return NULL;
  if (block->length == BLOCK_SIZE) { /* of the round before */
    pthread_mutex_lock(&b->lock);
    while (b->filled >= b->written + b->ring_size) pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
    block->length = 0;
  }
  *room = BLOCK_SIZE - block->length;
  return block->plain + block->length;
}

static void hand_over(struct blocks *b) {
  struct block *block = &b->ring[b->filled % b->ring_size];
  sha256_add(&b->plain_hash, block->plain, block->length);
  b->plain_size += block->length;
  if (b->plain_size % TOLD == 0) {
    printf("{\"tar\":%llu}\n", (unsigned long long)b->plain_size);
    fflush(stdout);
  }
  if (b->spool >= 0) write_all(b, b->spool, block->plain, block->length);
  if (b->blob >= 0) b->crc = crc32_add(b->crc, block->plain, block->length);
  pthread_mutex_lock(&b->lock);
  b->filled++;
  if (b->blob < 0) b->written++;
  pthread_cond_broadcast(&b->changed);
  pthread_mutex_unlock(&b->lock);
}

void blocks_filled(struct blocks *b, size_t length) {
  struct block *block = &b->ring[b->filled % b->ring_size];
  block->length += length;
  if (block->length == BLOCK_SIZE) hand_over(b);
}

void blocks_put(struct blocks *b, const void *bytes, size_t length) {
  const unsigned char *from = bytes;
  while (length > 0) {
    size_t room;
    unsigned char *to = blocks_room(b, &room);
    if (!to) return;
    if (room > length) room = length;
    memcpy(to, from, room);
    blocks_filled(b, room);
    from += room;
    length -= room;
  }
}

bool blocks_end(struct blocks *b) {
  const struct block *last = &b->ring[b->filled % b->ring_size];
  if (!atomic_load(&b->why) && last->length > 0 && last->length < BLOCK_SIZE) hand_over(b);
  pthread_mutex_lock(&b->lock);
  b->ended = true;
  pthread_cond_broadcast(&b->changed);
  pthread_mutex_unlock(&b->lock);
  for (unsigned i = 0; i < b->compressors; i++) pthread_join(b->threads[i], NULL);
  if (b->blob >= 0) {
    unsigned char trailer[10] = {0x03, 0x00}; /* an empty last block */
    for (int i = 0; i < 4; i++) {
      trailer[2 + i] = (unsigned char)(b->crc >> 8 * i);
      trailer[6 + i] = (unsigned char)(b->plain_size >> 8 * i);
    }
    put_packed(b, trailer, sizeof trailer);
  }
  for (unsigned i = 0; i < b->ring_size; i++) {
    free(b->ring[i].plain);
    free(b->ring[i].packed);
  }
  return !atomic_load(&b->why);
}
