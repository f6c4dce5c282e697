/* Trees a build left behind: any bytes in names, any depth, any modes, and links never followed.
 * TypeScript can do neither names that are not UTF-8 nor paths beyond PATH_MAX. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper.h"

static bool is_dot(const char *name) {
  return !strcmp(name, ".") || !strcmp(name, "..");
}

/* Opens a directory that may have been made unreadable; takes and closes nothing. */
static int open_directory(int at, const char *name) {
  struct stat about;
  if (fstatat(at, name, &about, AT_SYMLINK_NOFOLLOW) != 0) return -1;
  if (!S_ISDIR(about.st_mode)) {
    errno = ENOTDIR;
    return -1;
  }
  if ((about.st_mode & 0700) != 0700 && fchmodat(at, name, 0700, 0) != 0) return -1;
  return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

enum step { EMPTY, DEEPER };

/* Removes what can be removed at once from `*at`; on the first full directory goes into it. */
static enum step remove_level(int *at, const char *top) {
  DIR *list = fdopendir(dup(*at));
  if (!list) fail(EXIT_HELPER, "read", top, errno);
  rewinddir(list);
  int deeper = -1;
  for (struct dirent *entry; deeper < 0 && (entry = readdir(list));) {
    if (is_dot(entry->d_name) || unlinkat(*at, entry->d_name, 0) == 0) continue;
    if (errno != EISDIR && errno != EPERM) fail(EXIT_HELPER, "remove", entry->d_name, errno);
    if (unlinkat(*at, entry->d_name, AT_REMOVEDIR) == 0) continue;
    if (errno != ENOTEMPTY && errno != EEXIST) fail(EXIT_HELPER, "remove", entry->d_name, errno);
    deeper = open_directory(*at, entry->d_name);
    if (deeper < 0) fail(EXIT_HELPER, "enter", entry->d_name, errno);
  }
  closedir(list);
  if (deeper < 0) return EMPTY;
  close(*at);
  *at = deeper;
  return DEEPER;
}

/* One open directory at a time: going up is "..", which nobody can have moved, as the build is
 * over. A level is read again on the way up; it holds only what was not looked at yet. */
static void remove_tree(const char *top, bool but_top) {
  int at = open_directory(AT_FDCWD, top);
  if (at < 0) {
    if (errno == ENOENT || (errno == ENOTDIR && unlink(top) == 0)) return;
    fail(EXIT_HELPER, "remove", top, errno);
  }
  for (long depth = 0; depth >= 0;) {
    if (remove_level(&at, top) == DEEPER) {
      depth++;
    } else if (--depth >= 0) {
      int up = openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (up < 0) fail(EXIT_HELPER, "leave a directory of", top, errno);
      close(at);
      at = up;
    }
  }
  close(at);
  if (!but_top && rmdir(top) != 0) fail(EXIT_HELPER, "remove", top, errno);
}

int remove_trees(char **paths) {
  for (; *paths; paths++) remove_tree(*paths, false);
  return 0;
}

int clear_trees(char **paths) {
  for (; *paths; paths++) remove_tree(*paths, true);
  return 0;
}

static void chown_entry(int at, const char *name, uid_t uid, gid_t gid) {
  struct stat about;
  if (fstatat(at, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
    fail(EXIT_HELPER, "look at", name, errno);
  }
  if ((about.st_uid != uid || about.st_gid != gid) &&
      fchownat(at, name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0) {
    fail(EXIT_HELPER, "change owner of", name, errno);
  }
  if (!S_ISDIR(about.st_mode)) return;
  int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *list = fd < 0 ? NULL : fdopendir(fd);
  if (!list) fail(EXIT_HELPER, "read", name, errno);
  for (struct dirent *entry; (entry = readdir(list));) {
    if (!is_dot(entry->d_name)) chown_entry(fd, entry->d_name, uid, gid);
  }
  closedir(list);
}

void give_trees(char **paths, uid_t uid, gid_t gid) {
  struct rlimit before, files;
  bool limited = getrlimit(RLIMIT_NOFILE, &before) == 0;
  if (limited) { /* one descriptor per level */
    files = before;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  for (; *paths; paths++) chown_entry(AT_FDCWD, *paths, uid, gid);
  if (limited) setrlimit(RLIMIT_NOFILE, &before);
}

int chown_trees(char **words) {
  if (!words[0] || !words[1]) fail(EXIT_HELPER, "read", "owner", EINVAL);
  uid_t uid = (uid_t)strtoul(words[0], NULL, 10);
  gid_t gid = (gid_t)strtoul(words[1], NULL, 10);
  give_trees(words + 2, uid, gid);
  return 0;
}
