/* Modes and times of directories are set at the very end: until then we write into them, and each
 * write would change the time. A name is not enough to find one again, as a later layer may have
 * put a link in its place: the directory must be the very one that was made. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper.h"
#include "unpack.h"

struct directory {
  char *path;
  ino_t ino;
  mode_t mode;
  int64_t mtime;
  size_t turn;
};

static struct directory *table;
static size_t count, room;

void later_directory(const char *path, int directory, mode_t mode, int64_t mtime) {
  struct stat about;
  if (fstat(directory, &about) != 0) fail(EXIT_HELPER, "look at", path, errno);
  if (count == room) {
    room = room ? 2 * room : 1024;
    table = realloc(table, room * sizeof *table);
  }
  char *copy = strdup(path);
  if (!table || !copy) fail(EXIT_HELPER, "remember", path, ENOMEM);
  table[count] = (struct directory){copy, about.st_ino, mode, mtime, count};
  count++;
}

/* What lies deeper first, of one directory the newest word first. */
static int order(const void *a, const void *b) {
  const struct directory *one = a, *other = b;
  int by_path = strcmp(other->path, one->path);
  return by_path ? by_path : one->turn < other->turn ? 1 : -1;
}

void later_apply(void) {
  qsort(table, count, sizeof *table, order);
  const char *done = NULL;
  for (size_t i = 0; i < count; i++) {
    struct directory *d = &table[i];
    if (done && !strcmp(done, d->path)) continue;
    int found = resolve_no_links(d->path);
    struct stat about;
    if (found < 0) continue; /* it was taken away again */
    bool same = fstat(found, &about) == 0 && about.st_ino == d->ino;
    int fd = same ? openat(found, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
      const struct timespec times[2] = {{d->mtime, 0}, {d->mtime, 0}};
      if (fchmod(fd, d->mode) != 0) fail(EXIT_HELPER, "set mode of", d->path, errno);
      futimens(fd, times); /* a file system without such times is no reason to fail */
      close(fd);
      done = d->path;
    }
    close(found);
  }
}
