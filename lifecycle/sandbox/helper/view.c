/* A root of our own for the program: a small tmpfs on which chosen parts of the machine are bound.
 * What is not listed is not there. Runs in a mount namespace that nobody else sees, with
 * CAP_SYS_ADMIN in it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper.h"
#include "kernel.h"

static int root; /* the new root, O_PATH */

/* The name by which mount(2) takes what `fd` refers to. */
static const char *by_fd(int fd) {
  static char name[2][40];
  static int turn;
  turn ^= 1;
  snprintf(name[turn], sizeof name[turn], "/proc/self/fd/%d", fd);
  return name[turn];
}

/* Opens `place` under the new root, making what is missing. Never follows a link: a link in the
 * tree could lead the mount elsewhere. */
static int open_place(const char *place, bool directory) {
  char path[4096];
  if (strlen(place) >= sizeof path) fail(EXIT_HELPER, "make", place, ENAMETOOLONG);
  strcpy(path, place);
  int at = fcntl(root, F_DUPFD_CLOEXEC, 3);
  char *save = NULL;
  for (char *part = strtok_r(path, "/", &save), *next; part; part = next) {
    next = strtok_r(NULL, "/", &save);
    if (!strcmp(part, ".") || !strcmp(part, "..")) fail(EXIT_HELPER, "make", place, EINVAL);
    bool deep = next || directory;
    int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC | (deep ? O_DIRECTORY : 0);
    int child = openat(at, part, flags);
    if (child < 0 && errno == ENOENT) {
      if (deep) {
        if (mkdirat(at, part, 0755) != 0) fail(EXIT_HELPER, "make", place, errno);
      } else {
        int made = openat(at, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
        if (made < 0) fail(EXIT_HELPER, "make", place, errno);
        close(made);
      }
      child = openat(at, part, flags);
    }
    struct stat about;
    if (child < 0 || fstat(child, &about) != 0) fail(EXIT_HELPER, "open", place, errno);
    if (S_ISLNK(about.st_mode)) fail(EXIT_HELPER, "mount over", place, ELOOP);
    close(at);
    at = child;
  }
  return at;
}

/* Kernels before 5.12: one remount per mount, keeping the flags it has. */
static void set_flags_one_by_one(int place, bool recursive, uint64_t set) {
  char target[4096], line[8192], path[4096], options[512];
  ssize_t length = readlink(by_fd(place), target, sizeof target - 1);
  if (length < 0) fail(EXIT_HELPER, "read name of", "mount", errno);
  target[length] = 0;
  FILE *table = fopen("/proc/self/mountinfo", "re");
  if (!table) fail(EXIT_HELPER, "open", "/proc/self/mountinfo", errno);
  while (fgets(line, sizeof line, table)) {
    if (sscanf(line, "%*d %*d %*s %*s %4095s %511s", path, options) != 2) continue;
    char *to = path; /* blanks are written \040 */
    for (char *from = path; *from; to++) {
      unsigned byte;
      if (*from == '\\' && sscanf(from + 1, "%3o", &byte) == 1) {
        *to = (char)byte;
        from += 4;
      } else {
        *to = *from++;
      }
    }
    *to = 0;
    if (strncmp(path, target, (size_t)length) != 0) continue;
    if (path[length] != 0 && !(recursive && path[length] == '/')) continue;
    unsigned long flags = MS_REMOUNT | MS_BIND;
    bool read_only = !strncmp(options, "ro", 2) && (options[2] == ',' || !options[2]);
    if (set & ATTR_RDONLY || read_only) flags |= MS_RDONLY;
    if (set & ATTR_NOSUID || strstr(options, "nosuid")) flags |= MS_NOSUID;
    if (set & ATTR_NODEV || strstr(options, "nodev")) flags |= MS_NODEV;
    if (set & ATTR_NOEXEC || strstr(options, "noexec")) flags |= MS_NOEXEC;
    if (strstr(options, "noatime")) flags |= MS_NOATIME;
    if (strstr(options, "nodiratime")) flags |= MS_NODIRATIME;
    if (strstr(options, "relatime")) flags |= MS_RELATIME;
    if (mount(NULL, path, NULL, flags, NULL) != 0 && errno != EACCES && errno != ENOENT) {
      fail(EXIT_HELPER, "remount", path, errno);
    }
  }
  fclose(table);
}

static void set_flags(const char *place, bool directory, bool recursive, uint64_t set) {
  int fd = open_place(place, directory); /* again: now it is the mount, not what it covers */
  struct mount_change attr = {.set = set};
  unsigned at = AT_EMPTY_PATH | (recursive ? TREE_RECURSIVE : 0);
  if (syscall(SYS_mount_setattr, fd, "", at, &attr, sizeof attr) != 0) {
    if (errno != ENOSYS && errno != EPERM) fail(EXIT_HELPER, "set mount flags of", place, errno);
    set_flags_one_by_one(fd, recursive, set);
  }
  close(fd);
}

static void bind_at(const char *source, const char *place, uint64_t set) {
  struct stat about;
  if (stat(source, &about) != 0) fail(EXIT_HELPER, "bind", source, errno);
  bool directory = S_ISDIR(about.st_mode);
  int fd = open_place(place, directory);
  if (mount(source, by_fd(fd), NULL, MS_BIND | MS_REC, NULL) != 0) {
    fail(EXIT_HELPER, "bind", source, errno);
  }
  close(fd);
  set_flags(place, directory, true, set);
}

static void tmpfs_at(const char *place, const char *options, unsigned long flags) {
  int fd = open_place(place, true);
  if (mount("tmpfs", by_fd(fd), "tmpfs", MS_NOSUID | MS_NODEV | flags, options) != 0) {
    fail(EXIT_HELPER, "mount tmpfs on", place, errno);
  }
  close(fd);
}

static void link_at(const char *target, const char *place) {
  char parent[4096];
  const char *name = strrchr(place, '/') + 1;
  snprintf(parent, sizeof parent, "%.*s", (int)(name - place), place);
  int fd = open_place(parent, true);
  if (symlinkat(target, fd, name) != 0) fail(EXIT_HELPER, "link", place, errno);
  close(fd);
}

/* Hides a file or directory that a bind brought along. */
static void mask(const char *place) {
  char path[4200];
  struct stat about;
  snprintf(path, sizeof path, "%s%s", by_fd(root), place);
  if (lstat(path, &about) != 0 || S_ISLNK(about.st_mode)) return; /* not there, or leads elsewhere */
  if (S_ISDIR(about.st_mode)) {
    tmpfs_at(place, "mode=0555,size=4k", MS_RDONLY);
  } else {
    bind_at("/dev/null", place, ATTR_RDONLY | ATTR_NOSUID | ATTR_NOEXEC);
  }
}

static void make_dev(void) {
  static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
  tmpfs_at("/dev", "mode=0755,size=64k", MS_NOEXEC);
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
    char path[32];
    snprintf(path, sizeof path, "/dev/%s", nodes[i]);
    if (access(path, F_OK) == 0) bind_at(path, path, ATTR_NOSUID | ATTR_NOEXEC);
  }
  link_at("/proc/self/fd", "/dev/fd");
  link_at("/proc/self/fd/0", "/dev/stdin");
  link_at("/proc/self/fd/1", "/dev/stdout");
  link_at("/proc/self/fd/2", "/dev/stderr");
  tmpfs_at("/dev/shm", "mode=1777", 0);
  set_flags("/dev", true, false, ATTR_RDONLY | ATTR_NOSUID | ATTR_NOEXEC);
}

static void make_proc(bool own_pids) {
  static const char *const settings[] = {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq",
                                         "/proc/bus", "/proc/fs"};
  int fd = open_place("/proc", true);
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  int bad = own_pids ? mount("proc", by_fd(fd), "proc", flags, NULL)
                     : mount("/proc", by_fd(fd), NULL, MS_BIND | MS_REC, NULL);
  if (bad) fail(EXIT_HELPER, "mount", "/proc", errno);
  close(fd);
  /* A caller that is the machine's root stays its owner under whatever name, and would be let
   * through to the switches of the kernel. */
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    char inner[80];
    snprintf(inner, sizeof inner, "%s%s", by_fd(root), settings[i]);
    if (access(inner, F_OK) != 0) continue;
    bind_at(inner, settings[i], ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC);
  }
}

/* The stage becomes the root; the old root is gone. 0, or -1 with errno. Working directory: the
 * stage. */
int view_pivot(void) {
  if (syscall(SYS_pivot_root, ".", ".") == 0) {
    /* Both are now stacked at "/", the old one on top. */
    if (umount2(".", MNT_DETACH) != 0) return -1;
  } else {
    /* The root of an initramfs cannot be pivoted away from (EINVAL). */
    if (errno != EINVAL || mount(".", "/", NULL, MS_MOVE, NULL) != 0) return -1;
    if (chroot(".") != 0) return -1;
  }
  return chdir("/");
}

static void stage_tmpfs(const struct options *o) {
  if (mount("tmpfs", o->stage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=4m") != 0) {
    fail(EXIT_HELPER, "mount tmpfs on", o->stage, errno);
  }
}

static int open_tree(const char *path) {
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(EXIT_HELPER, "open", path, errno);
  return fd;
}

/* Whether what an overlay hides is marked by user.* attributes: in a user namespace, ours or the one we stand in, a
 * mount without them would work and ignore the marks. Elsewhere the user could make such marks. */
bool view_has_user_marks(const struct options *o) {
  unsigned long inner, outer, length;
  FILE *map = fopen("/proc/self/uid_map", "re");
  if (!map) return o->userns;
  bool all = fscanf(map, "%lu %lu %lu", &inner, &outer, &length) == 3 && !inner && !outer && length == 4294967295ul;
  fclose(map);
  return o->userns || !all;
}

/* By descriptors: paths may hold commas and colons, which mount options cannot, and /proc/mounts
 * inside would tell them. */
void view_overlay(const struct options *o) {
  char options[256];
  int lower = open_tree(o->lower), upper = open_tree(o->upper), work = open_tree(o->work);
  /* The upper directory must stay a plain difference; with user.* marks it always is. */
  const char *rules = view_has_user_marks(o) ? "userxattr,index=off" : "redirect_dir=off,index=off,metacopy=off";
  snprintf(options, sizeof options,
           "lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d,%s", lower,
           upper, work, rules);
  if (mount("overlay", o->stage, "overlay", MS_NOSUID | MS_NODEV, options) != 0) {
    fail(EXIT_HELPER, "mount overlay on", o->stage, errno);
  }
  close(lower);
  close(upper);
  close(work);
}

/* The directory is entered as it is: what the program changes stays changed. */
static void stage_whole(const struct options *o) {
  if (mount(o->whole, o->stage, NULL, MS_BIND, NULL) != 0) {
    fail(EXIT_HELPER, "bind", o->whole, errno);
  }
}

void view_enter(const struct options *o) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
    fail(EXIT_HELPER, "make private", "/", errno);
  }
  if (o->lower) view_overlay(o);
  else if (o->whole) stage_whole(o);
  else stage_tmpfs(o);
  root = open(o->stage, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) fail(EXIT_HELPER, "open", o->stage, errno);
  const uint64_t plain = ATTR_NOSUID | ATTR_NODEV;
  make_dev();
  make_proc(o->pidns);
  for (size_t i = 0; i < o->entry_count; i++) {
    const struct entry *e = &o->entries[i];
    switch (e->kind) {
      case BIND: bind_at(e->source, e->place, plain); break;
      case RO_BIND: bind_at(e->source, e->place, plain | ATTR_RDONLY); break;
      case MASK: mask(e->place); break;
      case LINK: link_at(e->source, e->place); break;
      case TMPFS: tmpfs_at(e->place, "mode=1777", 0); break;
    }
  }
  if (!o->lower && !o->whole) set_flags("/", true, false, plain | ATTR_RDONLY);
  if (fchdir(root) != 0 || view_pivot() != 0) fail(EXIT_HELPER, "enter", o->stage, errno);
  close(root);
}
