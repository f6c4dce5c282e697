/* One resolver for every name an archive holds. Links on the way count as in a chroot of the
 * directory: an absolute one starts at it, and `..` stops at it. The kernel does that (openat2,
 * 5.6); on older kernels, where engines refuse the call, and where parts are missing, it is walked
 * step by step, which is as safe because nobody else writes to the directory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper.h"
#include "kernel.h"
#include "unpack.h"

#define MOST_LINKS 40 /* as the kernel */

static int root = -1;
static bool walking, sparing;
/* Nearly every entry has the parent of the one before. */
static char cached_path[PATH_MAX];
static int cached = -1;

void resolve_start(int directory, bool walk) {
  struct open_how how = {O_PATH | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_IN_ROOT};
  root = directory;
  int probe = (int)syscall(SYS_openat2, root, ".", &how, sizeof how);
  walking = walk || probe < 0;
  if (probe >= 0) close(probe);
}

/* Whatever replaces a directory or a link makes the remembered one stale. */
void resolve_forget(void) {
  if (cached >= 0) close(cached);
  cached = -1;
}

bool resolve_without_mounts(void) {
  sparing = !walking;
  return sparing;
}

/* Whether `name` is a mount, or is found only through one. Device numbers do not tell: what is bound
 * may be of the same file system. */
bool is_mount(int parent, const char *name) {
  if (!sparing) return false;
  struct open_how how = {O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
  how.resolve |= parent < 0 ? RESOLVE_IN_ROOT : RESOLVE_NO_SYMLINKS;
  int fd = (int)syscall(SYS_openat2, parent < 0 ? root : parent, name, &how, sizeof how);
  if (fd >= 0) close(fd);
  return fd < 0 && errno == EXDEV;
}

static bool same_file(int a, int b) {
  struct stat one, other;
  return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

static int step_up(int at) {
  if (same_file(at, root)) return at;
  int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int error = errno;
  close(at);
  errno = error;
  return up;
}

/* Opens one step below `at`; `make` makes a directory where nothing lies. */
static int step_down(int at, const char *step, bool make) {
  int next = openat(at, step, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (next >= 0 || errno != ENOENT || !make || mkdirat(at, step, 0755) != 0) return next;
  layer_wrote(at, step);
  return openat(at, step, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int walk(const char *path, bool make) {
  char rest[PATH_MAX], link[PATH_MAX], joined[2 * PATH_MAX];
  int links = 0;
  if (strlen(path) >= sizeof rest) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(rest, path);
  int at = fcntl(root, F_DUPFD_CLOEXEC, 3);
  for (char *from = rest; at >= 0;) {
    from += strspn(from, "/");
    if (!*from) break;
    size_t length = strcspn(from, "/");
    char step[PATH_MAX];
    memcpy(step, from, length);
    step[length] = 0;
    from += length;
    if (!strcmp(step, ".")) continue;
    if (!strcmp(step, "..")) {
      at = step_up(at);
      continue;
    }
    int next = step_down(at, step, make);
    struct stat about;
    if (next < 0 || fstat(next, &about) != 0) {
      int error = errno;
      if (next >= 0) close(next);
      close(at);
      errno = error;
      return -1;
    }
    if (!S_ISLNK(about.st_mode)) {
      close(at);
      at = next;
      continue;
    }
    ssize_t said = readlinkat(next, "", link, sizeof link - 1);
    close(next);
    if (said < 0) said = 0;
    link[said] = 0;
    int error = ++links > MOST_LINKS ? ELOOP : 0;
    if ((size_t)said + strlen(from) + 2 > sizeof rest) error = ENAMETOOLONG;
    if (error) {
      close(at);
      errno = error;
      return -1;
    }
    if (link[0] == '/') {
      close(at);
      at = fcntl(root, F_DUPFD_CLOEXEC, 3);
    }
    strcpy(joined, link);
    strcat(joined, "/");
    strcat(joined, from);
    strcpy(rest, joined);
    from = rest;
  }
  struct stat about;
  if (at >= 0 && fstat(at, &about) == 0 && !S_ISDIR(about.st_mode)) {
    close(at);
    errno = ENOTDIR;
    return -1;
  }
  return at;
}

static int look_up(const char *path, uint64_t resolve) {
  if (!*path) return fcntl(root, F_DUPFD_CLOEXEC, 3);
  if (walking && resolve == RESOLVE_IN_ROOT) return walk(path, false);
  struct open_how how = {O_PATH | O_DIRECTORY | O_CLOEXEC, 0, resolve | RESOLVE_NO_MAGICLINKS};
  for (;;) {
    int found = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    if (found >= 0 || (errno != EAGAIN && errno != EINTR)) return found;
  }
}

/* `path` is clean: steps with single slashes between, none of them `.` or `..`. */
int resolve_directory(const char *path, bool make) {
  int found = look_up(path, RESOLVE_IN_ROOT);
  return found < 0 && errno == ENOENT && make ? walk(path, true) : found;
}

/* As it was made: without a link anywhere, or -1. */
int resolve_no_links(const char *path) {
  if (!*path || !walking) return look_up(path, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  char copy[PATH_MAX], *save = NULL;
  if (strlen(path) >= sizeof copy) return -1;
  strcpy(copy, path);
  int at = fcntl(root, F_DUPFD_CLOEXEC, 3);
  for (char *step = strtok_r(copy, "/", &save); step && at >= 0; step = strtok_r(NULL, "/", &save)) {
    int next = openat(at, step, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    close(at);
    at = next;
  }
  return at;
}

/* The open parent of `path` (ours until the next call) and its last step. */
int resolve_parent(const char *path, bool make, const char **last) {
  const char *slash = strrchr(path, '/');
  size_t length = slash ? (size_t)(slash - path) : 0;
  *last = slash ? slash + 1 : path;
  if (length >= sizeof cached_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  if (cached >= 0 && cached_path[length] == 0 && !memcmp(cached_path, path, length)) return cached;
  resolve_forget();
  memset(cached_path, 0, sizeof cached_path);
  memcpy(cached_path, path, length);
  cached = resolve_directory(cached_path, make);
  return cached;
}
