/* What one layer wrote, and taking away what the layers below it wrote: a whiteout speaks of those
 * only, wherever it stands in its layer. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper.h"
#include "unpack.h"

/* Directory and name as one number, in a table with open addressing. Two that meet would make us
 * keep a file that a whiteout names: wrong, and harmless. */
static uint64_t *wrote;
static size_t room, count;

static uint64_t key_of(int parent, const char *name) {
  struct stat about;
  if (fstat(parent, &about) != 0) fail(EXIT_HELPER, "look at parent of", name, errno);
  uint64_t key = 0xcbf29ce484222325u;
  const uint64_t parts[] = {about.st_dev, about.st_ino};
  for (size_t i = 0; i < sizeof parts; i++) {
    key = (key ^ ((const unsigned char *)parts)[i]) * 0x100000001b3u;
  }
  for (; *name; name++) key = (key ^ (unsigned char)*name) * 0x100000001b3u;
  return key ? key : 1;
}

void layer_start(void) {
  memset(wrote, 0, room * sizeof *wrote);
  count = 0;
}

static void put(uint64_t key) {
  size_t at = key & (room - 1);
  while (wrote[at] && wrote[at] != key) at = (at + 1) & (room - 1);
  if (!wrote[at]) count++;
  wrote[at] = key;
}

void layer_wrote(int parent, const char *name) {
  if (2 * count >= room) {
    uint64_t *old = wrote;
    size_t before = room;
    room = room ? 2 * room : 4096;
    wrote = calloc(room, sizeof *wrote);
    if (!wrote) fail(EXIT_HELPER, "remember", name, ENOMEM);
    count = 0;
    for (size_t i = 0; i < before; i++) {
      if (old[i]) put(old[i]);
    }
    free(old);
  }
  put(key_of(parent, name));
}

static bool is_ours(int parent, const char *name) {
  if (!count) return false;
  uint64_t key = key_of(parent, name);
  for (size_t at = key & (room - 1); wrote[at]; at = (at + 1) & (room - 1)) {
    if (wrote[at] == key) return true;
  }
  return false;
}

static void take_away(int parent, const char *name, bool all);

static void take_contents(int directory, const char *name, bool all) {
  int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *list = fd < 0 ? NULL : fdopendir(fd);
  if (!list) fail(EXIT_HELPER, "read", name, errno);
  for (struct dirent *entry; (entry = readdir(list));) {
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) {
      take_away(directory, entry->d_name, all);
    }
  }
  closedir(list);
}

static void take_away(int parent, const char *name, bool all) {
  struct stat about;
  if (is_mount(parent, name) || fstatat(parent, name, &about, AT_SYMLINK_NOFOLLOW) != 0) return;
  bool keep = !all && is_ours(parent, name);
  if (!S_ISDIR(about.st_mode)) {
    if (!keep && unlinkat(parent, name, 0) != 0) fail(EXIT_HELPER, "remove", name, errno);
    return;
  }
  int directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (directory < 0) fail(EXIT_HELPER, "enter", name, errno);
  take_contents(directory, name, all);
  close(directory);
  if (keep || unlinkat(parent, name, AT_REMOVEDIR) == 0) return;
  if (all || (errno != EBUSY && errno != ENOTEMPTY && errno != EEXIST)) fail(EXIT_HELPER, "remove", name, errno);
}

/* A whiteout of `name`. What is not there is no fault. */
void remove_below(int parent, const char *name) {
  resolve_forget();
  take_away(parent, name, false);
}

/* The opaque mark of a directory. */
void empty_below(int directory) {
  resolve_forget();
  take_contents(directory, "directory", false);
}

/* `name` gives way to an entry of another kind. */
void remove_whole(int parent, const char *name) {
  take_away(parent, name, true);
}
