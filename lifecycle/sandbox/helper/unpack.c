/* helper unpack --into DIR [--real] [--walk]: makes a root file system of entries read on stdin.
 *
 * There is one reader of tars, in TypeScript, strict and fuzzed. What comes here is its result,
 * already decided: kind, owner, mode, names without `.` and `..`, whiteouts as such. Nothing it says
 * is trusted to stay inside all the same.
 *
 * --real: owners, devices and capabilities as in the archive; else everything is ours, and devices
 * and rights of files are left out.
 * --over: into a root that is in use. What is mounted, and the files that an engine keeps there, stay
 * as they are. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "helper.h"
#include "unpack.h"

/* One entry as it is sent, little endian, no padding between. Then name, link and capability, none
 * with a NUL at its end, then `size` bytes. */
struct __attribute__((packed)) frame {
  uint8_t kind;
  uint8_t capability; /* bytes of security.capability */
  uint16_t mode;
  uint32_t name, link;
  uint32_t uid, gid;
  uint32_t major, minor;
  int64_t mtime;
  uint64_t size;
};

enum kind {
  LAYER = 'L', FINISH = 'E', PLACE = 'D', FILE_PLACE = 'F', WHITEOUT = 'w', OPAQUE = 'o',
  DIRECTORY = 'd', REGULAR = 'f', SYMBOLIC = 'l', HARD = 'h', CHAR = 'c', BLOCK = 'b', FIFO = 'p',
};

static struct frame f;
static char name[PATH_MAX], link_name[PATH_MAX];
static unsigned char capability[64];
static bool real, over;
static unsigned long long entries, skipped, bytes;

static char buffer[1 << 18];
static size_t filled, taken;

/* The next bytes of stdin that are there, at most `most`. */
static const char *next_bytes(uint64_t most, size_t *length) {
  if (taken == filled) {
    ssize_t got;
    do got = read(0, buffer, sizeof buffer);
    while (got < 0 && errno == EINTR);
    if (got <= 0) fail(EXIT_HELPER, "read", "entries to unpack", got < 0 ? errno : EPIPE);
    filled = (size_t)got;
    taken = 0;
  }
  size_t there = filled - taken;
  *length = there < most ? there : (size_t)most;
  const char *from = buffer + taken;
  taken += *length;
  return from;
}

static void read_exactly(void *to, size_t length) {
  for (size_t done = 0, got; done < length; done += got) {
    const char *from = next_bytes(length - done, &got);
    memcpy((char *)to + done, from, got);
  }
}

static void read_name(char *to, uint32_t length) {
  if (length >= PATH_MAX) {
    read_exactly(to, 64);
    to[64] = 0;
    fail(EXIT_HELPER, "unpack", to, ENAMETOOLONG);
  }
  read_exactly(to, length);
  to[length] = 0;
  if (strlen(to) != length) fail(EXIT_HELPER, "unpack", to, EINVAL);
}

/* Steps with single slashes between, none of them `.` or `..`; the empty name is the directory. */
static bool is_clean(const char *path) {
  if (!*path) return true;
  for (const char *step = path;; step++) {
    size_t length = strcspn(step, "/");
    if (!length || (length == 1 && step[0] == '.')) return false;
    if (length == 2 && !memcmp(step, "..", 2)) return false;
    step += length;
    if (!*step) return true;
  }
}

/* Whether the entry lies on something that was mounted over the root: not ours to change. */
static bool is_mounted(void) {
  static const char *const kept[] = {"etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"};
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    if (!strcmp(name, kept[i])) return true;
  }
  return *name && is_mount(-1, name);
}

static void pass_over(void) {
  for (uint64_t left = f.size; left > 0;) {
    size_t length;
    next_bytes(left, &length);
    left -= length;
  }
  skipped++;
}

static int parent_of(const char *path, bool make, const char **last) {
  if (!*path) fail(EXIT_HELPER, "replace", "/", EPERM);
  int parent = resolve_parent(path, make, last);
  if (parent < 0) fail(EXIT_HELPER, "unpack", path, errno);
  return parent;
}

/* Makes room for something that is no directory. */
static void clear(int parent, const char *last) {
  struct stat about;
  if (fstatat(parent, last, &about, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) fail(EXIT_HELPER, "unpack", name, errno);
    return;
  }
  if (S_ISDIR(about.st_mode)) {
    remove_whole(parent, last);
  } else if (unlinkat(parent, last, 0) != 0) {
    fail(EXIT_HELPER, "replace", name, errno);
  }
}

static void own(int parent, const char *last) {
  if (real && fchownat(parent, last, f.uid, f.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    fail(EXIT_HELPER, "give to its owner", name, errno);
  }
}

static void set_time(int parent, const char *last) {
  const struct timespec times[2] = {{f.mtime, 0}, {f.mtime, 0}};
  utimensat(parent, last, times, AT_SYMLINK_NOFOLLOW);
}

static void make_directory(void) {
  const mode_t mode = f.mode & (real ? 07777 : 01777);
  int directory;
  if (!*name) {
    directory = resolve_directory("", false);
  } else {
    const char *last;
    int parent = parent_of(name, true, &last);
    if (mkdirat(parent, last, 0700) != 0) {
      struct stat about;
      if (errno != EEXIST || fstatat(parent, last, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        fail(EXIT_HELPER, "make directory", name, errno);
      }
      if (!S_ISDIR(about.st_mode)) { /* also a link to one: it gives way */
        if (unlinkat(parent, last, 0) != 0 || mkdirat(parent, last, 0700) != 0) {
          fail(EXIT_HELPER, "replace", name, errno);
        }
      }
    }
    layer_wrote(parent, last);
    directory = openat(parent, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  }
  if (directory < 0) fail(EXIT_HELPER, "open", name, errno);
  own(directory, ".");
  later_directory(name, directory, mode, f.mtime);
  close(directory);
}

static void make_file(void) {
  const char *last;
  int parent = parent_of(name, true, &last);
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(parent, last, flags, 0600);
  if (fd < 0 && errno == EEXIST) {
    clear(parent, last);
    fd = openat(parent, last, flags, 0600);
  }
  if (fd < 0) fail(EXIT_HELPER, "make", name, errno);
  layer_wrote(parent, last);
  for (uint64_t left = f.size; left > 0;) {
    size_t length;
    const char *from = next_bytes(left, &length);
    for (size_t done = 0; done < length;) {
      ssize_t written = write(fd, from + done, length - done);
      if (written < 0 && errno != EINTR) fail(EXIT_HELPER, "write", name, errno);
      if (written > 0) done += (size_t)written;
    }
    left -= length;
    bytes += length;
  }
  if (real && fchown(fd, f.uid, f.gid) != 0) fail(EXIT_HELPER, "give to its owner", name, errno);
  /* After the owner: changing that takes setuid and capabilities away. */
  if (fchmod(fd, f.mode & (real ? 07777 : 01777)) != 0) {
    fail(EXIT_HELPER, "set mode of", name, errno);
  }
  if (real && f.capability > 0 &&
      fsetxattr(fd, "security.capability", capability, f.capability, 0) != 0) {
    if (errno != ENOTSUP && errno != EPERM) fail(EXIT_HELPER, "set capability of", name, errno);
    skipped++;
  }
  const struct timespec times[2] = {{f.mtime, 0}, {f.mtime, 0}};
  futimens(fd, times);
  if (close(fd) != 0) fail(EXIT_HELPER, "write", name, errno);
}

static void make_symlink(void) {
  const char *last;
  int parent = parent_of(name, true, &last);
  clear(parent, last);
  if (symlinkat(link_name, parent, last) != 0) fail(EXIT_HELPER, "make link", name, errno);
  layer_wrote(parent, last);
  own(parent, last);
  set_time(parent, last);
}

static void make_hard_link(void) {
  const char *last, *target;
  if (!is_clean(link_name) || !*link_name) fail(EXIT_HELPER, "link to", link_name, EINVAL);
  if (!strcmp(name, link_name)) return;
  int parent = parent_of(name, true, &last);
  parent = fcntl(parent, F_DUPFD_CLOEXEC, 3);
  int from = resolve_parent(link_name, false, &target);
  if (parent < 0 || from < 0) fail(EXIT_HELPER, "link to", link_name, errno);
  struct stat about, there;
  if (fstatat(from, target, &about, AT_SYMLINK_NOFOLLOW) != 0) {
    fail(EXIT_HELPER, "link to", link_name, errno);
  }
  if (S_ISDIR(about.st_mode)) fail(EXIT_HELPER, "link to", link_name, EISDIR);
  bool same = fstatat(parent, last, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
              there.st_ino == about.st_ino && there.st_dev == about.st_dev;
  if (!same) {
    clear(parent, last);
    if (linkat(from, target, parent, last, 0) != 0) fail(EXIT_HELPER, "link", name, errno);
  }
  layer_wrote(parent, last);
  close(parent);
  resolve_forget();
}

static void make_node(void) {
  const mode_t type = f.kind == CHAR ? S_IFCHR : f.kind == BLOCK ? S_IFBLK : S_IFIFO;
  const char *last;
  int parent = parent_of(name, true, &last);
  clear(parent, last);
  /* 0:0 is how overlay says that something is not there. */
  bool wanted = type == S_IFIFO || (real && (f.major || f.minor));
  if (!wanted || mknodat(parent, last, type | 0600, makedev(f.major, f.minor)) != 0) {
    if (wanted && errno != EPERM) fail(EXIT_HELPER, "make device", name, errno);
    skipped++; /* /dev of a sandbox is not the image's anyway */
    return;
  }
  layer_wrote(parent, last);
  own(parent, last);
  if (fchmodat(parent, last, f.mode & 0777, 0) != 0) fail(EXIT_HELPER, "set mode of", name, errno);
  set_time(parent, last);
}

static void white_out(void) {
  const char *last;
  if (!*name) fail(EXIT_HELPER, "remove", "/", EPERM);
  int parent = resolve_parent(name, false, &last);
  if (parent < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    fail(EXIT_HELPER, "remove", name, errno);
  }
  parent = fcntl(parent, F_DUPFD_CLOEXEC, 3);
  remove_below(parent, last);
  close(parent);
}

static void make_opaque(void) {
  int directory = resolve_directory(name, false);
  if (directory < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    fail(EXIT_HELPER, "empty", name, errno);
  }
  empty_below(directory);
  close(directory);
}

/* A directory to mount on, where the image has none. Links to one will do. */
static void make_place(void) {
  int directory = resolve_directory(name, true);
  if (directory >= 0) close(directory);
  else if (errno != ENOTDIR && errno != ELOOP) fail(EXIT_HELPER, "make", name, errno);
}

/* A file to mount on: nothing mounts on a link, and engines replace these files anyway. */
static void make_file_place(void) {
  const char *last;
  struct stat about;
  if (!*name) fail(EXIT_HELPER, "replace", "/", EPERM);
  int parent = resolve_parent(name, true, &last);
  if (parent < 0) return; /* its /etc is a file: then it has no such file */
  if (fstatat(parent, last, &about, AT_SYMLINK_NOFOLLOW) == 0) {
    if (!S_ISLNK(about.st_mode)) return;
    unlinkat(parent, last, 0);
  }
  int fd = openat(parent, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) fail(EXIT_HELPER, "make", name, errno);
  close(fd);
}

static void make_entry(void) {
  if (!is_clean(name)) fail(EXIT_HELPER, "unpack", name, EINVAL);
  if (over && is_mounted()) {
    pass_over();
    return;
  }
  switch (f.kind) {
    case DIRECTORY: make_directory(); break;
    case REGULAR: make_file(); break;
    case SYMBOLIC: make_symlink(); break;
    case HARD: make_hard_link(); break;
    case CHAR:
    case BLOCK:
    case FIFO: make_node(); break;
    case WHITEOUT: white_out(); break;
    case OPAQUE: make_opaque(); break;
    case PLACE: make_place(); return;
    case FILE_PLACE: make_file_place(); return;
    default: fail(EXIT_HELPER, "understand entry", name, EINVAL);
  }
  entries++;
}

static bool read_frame(void) {
  read_exactly(&f, sizeof f);
  if (f.kind != REGULAR && f.size != 0) fail(EXIT_HELPER, "understand", "entry", EINVAL);
  if (f.capability > sizeof capability) fail(EXIT_HELPER, "understand", "capability", EINVAL);
  read_name(name, f.name);
  read_name(link_name, f.link);
  read_exactly(capability, f.capability);
  return f.kind != FINISH;
}

int unpack(char **words) {
  const char *into = NULL;
  bool walk = false;
  for (; *words; words++) {
    if (!strcmp(*words, "--into") && words[1]) into = *++words;
    else if (!strcmp(*words, "--real")) real = true;
    else if (!strcmp(*words, "--over")) over = true;
    else if (!strcmp(*words, "--walk")) walk = true; /* as on kernels before 5.6 */
    else fail(EXIT_HELPER, "understand option", *words, EINVAL);
  }
  if (!into) fail(EXIT_HELPER, "unpack", "", EINVAL);
  umask(0);
  int root = open(into, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (root < 0) fail(EXIT_HELPER, "open", into, errno);
  resolve_start(root, walk);
  if (over && !resolve_without_mounts()) fail(EXIT_HELPER, "unpack over", into, ENOSYS);
  while (read_frame()) {
    if (f.kind == LAYER) layer_start();
    else make_entry();
  }
  later_apply();
  printf("{\"entries\":%llu,\"bytes\":%llu,\"skipped\":%llu}\n", entries, bytes, skipped);
  return fflush(stdout) == 0 ? 0 : EXIT_HELPER;
}
