/* helper archive BLOB SPOOL: one layer, of what standard input says.
 *
 * Writes the tar, as deflate in one gzip member, over the file BLOB, and plain to the end of the
 * file SPOOL; `-` leaves either out. Standard input has words, each with a NUL behind it:
 *
 *   d NAME MODE UID GID                                 a directory
 *   f NAME MODE UID GID SIZE DEVICE INODE PATH          the very file at PATH
 *   l NAME MODE UID GID TARGET                          a symlink
 *   t OUTSIDE INSIDE UID GID                            a directory and all below it
 *   .                                                   the end
 *
 * Says in a line of JSON, after others with the bytes of `tar` that are done, what was made, or why it is for the writer in TypeScript, which makes the
 * same tar of the same input, and has words for what is wrong. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive.h"
#include "helper.h"

#define MOST_WORDS 8

static char *words[MOST_WORDS];
static size_t rooms[MOST_WORDS];

/* The next word, in the place of the one that was there. NULL when the input is over. */
static const char *word(size_t at) {
  const ssize_t length = getdelim(&words[at], &rooms[at], 0, stdin);
  return length > 0 && words[at][length - 1] == 0 ? words[at] : NULL;
}

static bool words_come(size_t count) {
  for (size_t i = 0; i < count; i++) if (!word(i)) return false;
  return true;
}

static uint64_t number(size_t at, int base) {
  return strtoull(words[at], NULL, base);
}

static const char *put_known_file(struct blocks *b, struct tar_made *entry) {
  const int fd = open(words[7], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  struct stat about;
  if (fd < 0) return strerror(errno);
  if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || (uint64_t)about.st_size != entry->size ||
      about.st_dev != number(5, 10) || about.st_ino != number(6, 10)) {
    close(fd);
    return "changed";
  }
  return archive_file(b, entry, fd);
}

static const char *put_known(struct blocks *b, char kind) {
  const size_t count = kind == 'f' ? 8 : kind == 'l' ? 5 : 4;
  if (!words_come(count)) return "input";
  struct tar_made entry = {.kind = kind == 'l' ? '2' : '5', .mode = (unsigned)number(1, 8),
                           .uid = number(2, 10), .gid = number(3, 10),
                           .size = kind == 'f' ? number(4, 10) : 0, .name = words[0],
                           .link = kind == 'l' ? words[4] : ""};
  return kind == 'f' ? put_known_file(b, &entry) : archive_entry(b, &entry);
}

const char *archive_words(struct blocks *b) {
  static const unsigned char end[2 * TAR_BLOCK];
  for (;;) {
    const char *why = NULL, *kind = word(0);
    if (!kind || kind[1]) return "input";
    if (*kind == '.') break;
    if (*kind == 't') {
      why = words_come(4) ? archive_tree(b, words[0], words[1], number(2, 10), number(3, 10))
                          : "input";
    } else {
      why = strchr("dfl", *kind) ? put_known(b, *kind) : "input";
    }
    if (why) return why;
  }
  archive_bytes(b, end, sizeof end);
  return NULL;
}

static int open_for(const char *path, int how) {
  if (!strcmp(path, "-")) return -1;
  const int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | how);
  if (fd < 0) fail(EXIT_HELPER, "write", path, errno);
  return fd;
}

int archive(char **files) {
  if (!files[0] || !files[1]) fail(EXIT_HELPER, "read", "files to archive to", EINVAL);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  struct blocks b;
  const int blob = open_for(files[0], O_TRUNC), spool = open_for(files[1], O_APPEND);
  if (!blocks_start(&b, blob, spool)) fail(EXIT_HELPER, "start", "threads", ENOMEM);
  const char *why = archive_words(&b);
  if (!blocks_end(&b) && !why) why = atomic_load(&b.why);
  if (why) {
    printf("{\"why\":\"%s\"}\n", why);
  } else {
    char plain[65], packed[65];
    sha256_end(&b.plain_hash, plain);
    sha256_end(&b.packed_hash, packed);
    printf("{\"diffId\":\"%s\",\"tarSize\":%llu,\"digest\":\"%s\",\"size\":%llu}\n", plain,
           (unsigned long long)b.plain_size, packed, (unsigned long long)b.packed_size);
  }
  return fflush(stdout) == 0 ? 0 : EXIT_HELPER;
}
