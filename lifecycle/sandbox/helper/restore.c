/* helper restore OWNER {TAR DIRECTORY INSIDE NAME DIFFID}...: layers out of a cache. OWNER is UID:GID, to whom
 * all that is made is given as it is made, or `self`.
 *
 * Of the plain tar TAR, which must be DIFFID, makes NAME in DIRECTORY, which is INSIDE/NAME in the
 * archive and must not be there yet. Says for each, in order, a line of JSON: what was found, or why
 * it was left to the reader in TypeScript, and whether something may lie there now, which then has
 * to be removed. Layers are read side by side, and the files of each written beside its hashing.
 *
 * Every byte that is written was hashed as it lay in memory: the archive may change meanwhile. All
 * that is made is new and below a directory we made ourselves, and no link is followed on the way.
 *
 * `looks` is the hash of what the kernel says of each file, in order, and `newest` the latest time of
 * change among that. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper.h"
#include "restore.h"
#include "sha256.h"

#define MOST_DEPTH 128
#define LOOKS 4096 /* in a piece of memory */
#define MOST_ENTRIES 4000000

struct step {
  struct place *place;
  size_t length; /* of its path, from the layer's top */
};

/* A directory whose mode would be in the way, or is not for others to see yet. */
struct late {
  struct late *next;
  mode_t mode;
  char path[];
};

struct looks {
  struct looks *next;
  unsigned char of[LOOKS][LOOK_SIZE];
};

struct layer {
  const char *tar, *directory, *inside, *name, *diff_id;
  bool touched;
  char top[PATH_MAX]; /* INSIDE/NAME without the slash at its start */
  char path[PATH_MAX]; /* of the deepest open directory, from the top; empty for that */
  struct step steps[MOST_DEPTH];
  size_t depth;
  unsigned opened; /* directories, ever */
  struct late *late;
  struct looks *looks, *last_looks;
  uint64_t files, entries, bytes, newest;
  struct writers w;
  struct sha256 whole, frame;
  char found[65], frame_found[65], looks_found[65];
  const char *why;
};

static struct owner owner;

/* Nobody else gets here before the end: the top is given last. */
static const char *give(int parent, const char *name) {
  if (!owner.given) return NULL;
  const bool done = fchownat(parent, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) == 0;
  return done ? NULL : strerror(errno);
}

static void step_out(struct layer *l) {
  place_drop(l->steps[--l->depth].place);
  l->path[l->depth > 0 ? l->steps[l->depth - 1].length : 0] = 0;
}

static const char *step_in(struct layer *l, int parent, const char *name, size_t length) {
  if (l->depth == MOST_DEPTH) return "depth";
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return strerror(errno);
  struct place *place = place_of(fd, l->opened++);
  if (!place) return strerror(ENOMEM);
  l->steps[l->depth++] = (struct step){place, length};
  return NULL;
}

/* Opens the directory that `path` (from the top) lies in, or is with `whole`. */
static const char *enter(struct layer *l, const char *path, bool whole) {
  const char *slash = strrchr(path, '/');
  const size_t length = whole ? strlen(path) : slash ? (size_t)(slash - path) : 0;
  for (size_t now; (now = l->steps[l->depth - 1].length) > 0; step_out(l)) {
    if (now <= length && !memcmp(l->path, path, now) && (now == length || path[now] == '/')) break;
  }
  for (size_t now; (now = l->steps[l->depth - 1].length) < length;) {
    const char *from = path + now + (now > 0);
    const size_t size = strcspn(from, "/");
    const size_t end = (size_t)(from - path) + size;
    char step[PATH_MAX];
    memcpy(step, from, size);
    step[size] = 0;
    const char *why = step_in(l, l->steps[l->depth - 1].place->fd, step, end);
    if (why) return why;
    memcpy(l->path, path, end);
    l->path[end] = 0;
  }
  return NULL;
}

static const char *remember(struct layer *l, const char *path, mode_t mode) {
  struct late *late = malloc(sizeof *late + strlen(path) + 1);
  if (!late) return strerror(ENOMEM);
  late->next = l->late;
  late->mode = mode;
  strcpy(late->path, path);
  l->late = late;
  return NULL;
}

/* The newest first, so what lies deeper comes before what it lies in. */
static const char *set_late_modes(struct layer *l) {
  for (struct late *late = l->late; late; late = late->next) {
    const char *why = enter(l, late->path, true);
    if (why) return why;
    const int fd = l->steps[l->depth - 1].place->fd;
    if (owner.given && fchown(fd, owner.uid, owner.gid) != 0) return strerror(errno);
    if (fchmod(fd, late->mode) != 0) return strerror(errno);
  }
  return NULL;
}

static const char *make_top(struct layer *l, mode_t mode) {
  if (l->depth > 0) return "order";
  int above = open(l->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (above < 0) return strerror(errno);
  const char *why = mkdirat(above, l->name, 0700) == 0 ? NULL : strerror(errno);
  if (!why) {
    l->touched = true;
    why = step_in(l, above, l->name, 0);
  }
  close(above);
  return why ? why : remember(l, "", mode);
}

static const char *make_directory(struct layer *l, const char *path, mode_t mode) {
  const char *why = enter(l, path, false);
  if (why) return why;
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  const bool at_once = (mode & 07700) == 0700;
  const int parent = l->steps[l->depth - 1].place->fd;
  if (mkdirat(parent, name, at_once ? mode : 0700) != 0) return strerror(errno);
  return at_once ? give(parent, name) : remember(l, path, mode);
}

static unsigned char *next_look(struct layer *l) {
  if (l->files % LOOKS == 0) {
    struct looks *more = malloc(sizeof *more);
    if (!more) return NULL;
    more->next = NULL;
    if (l->last_looks) l->last_looks->next = more;
    else l->looks = more;
    l->last_looks = more;
  }
  return l->last_looks->of[l->files % LOOKS];
}

static const char *make_file(struct layer *l, const char *path, const struct tar_entry *entry,
                             struct file **made) {
  const char *why = enter(l, path, false);
  if (why) return why;
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  struct file *file = malloc(sizeof *file + strlen(name) + 1);
  unsigned char *look = next_look(l);
  if (!file || !look) return strerror(ENOMEM);
  struct place *place = l->steps[l->depth - 1].place;
  /* Small files of one directory go to one writer: two would wait for each other in the kernel. */
  const unsigned turn = entry->size >= BLOCK_SIZE ? (unsigned)l->files : place->number;
  *file = (struct file){.place = place_use(place), .owner = &owner, .look = look, .left = entry->size,
                        .mode = entry->mode & 01777, .writer = turn % l->w.count, .fd = -1};
  strcpy(file->name, name);
  l->files++;
  *made = file;
  return NULL;
}

static const char *make_entry(struct layer *l, const struct tar_entry *entry, struct file **file) {
  const size_t top = strlen(l->top), length = strlen(entry->name);
  if (++l->entries > MOST_ENTRIES) return "entries";
  if (length < top && entry->kind == TAR_DIRECTORY && l->top[length] == '/' &&
      !memcmp(l->top, entry->name, length)) {
    return NULL; /* above us: it comes along, and is there */
  }
  if (length < top || memcmp(entry->name, l->top, top)) return "place";
  if (length == top) return entry->kind == TAR_DIRECTORY ? make_top(l, entry->mode) : "place";
  if (entry->name[top] != '/' || l->depth == 0) return "place";
  const char *path = entry->name + top + 1;
  if (entry->kind == TAR_DIRECTORY) return make_directory(l, path, entry->mode);
  if (entry->kind == TAR_FILE) return make_file(l, path, entry, file);
  const char *why = enter(l, path, false);
  if (why) return why;
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  const int parent = l->steps[l->depth - 1].place->fd;
  return symlinkat(entry->link, parent, name) == 0 ? give(parent, name) : strerror(errno);
}

/* Where in the archive we are. */
struct reading {
  unsigned char header[TAR_BLOCK]; /* one that lies across two blocks of memory */
  size_t filled;
  uint64_t left; /* of a body */
  size_t padding;
  struct file *file;
  char records[MOST_RECORDS];
  size_t gathered, wanted;
  struct tar_records said;
  struct tar_entry entry;
  unsigned ends;
};

static const char *take_header(struct layer *l, struct reading *r, const unsigned char *header,
                               struct block *block) {
  if (tar_is_end(header)) {
    r->ends++;
    return r->said.name[0] || r->said.link[0] ? "end" : NULL;
  }
  if (r->ends > 0) return "end";
  const char *why = tar_header(header, &r->said, &r->entry);
  if (why) return why;
  const uint64_t size = r->entry.size;
  if (r->entry.kind == TAR_RECORDS) {
    if (size == 0 || size > MOST_RECORDS) return "records";
    r->wanted = (size_t)size;
    r->gathered = 0;
  } else {
    r->said.name[0] = r->said.link[0] = 0;
    r->file = NULL;
    why = make_entry(l, &r->entry, &r->file);
    if (why) return why;
    /* An empty file has no body to be told by. */
    if (r->file && size == 0 && !piece_add(block, r->file, 0, 0)) return strerror(ENOMEM);
    l->bytes += size;
  }
  r->left = size;
  r->padding = (size_t)(-size & (TAR_BLOCK - 1));
  return NULL;
}

static const char *take(struct layer *l, struct reading *r, struct block *block, size_t length) {
  for (size_t at = 0, took; at < length; at += took) {
    const size_t rest = length - at;
    const unsigned char *from = block->bytes + at;
    const bool is_body = r->left > 0 && r->wanted == 0;
    if (r->ends >= 2) {
      took = rest; /* what comes behind the end means nothing */
    } else if (r->left > 0) {
      took = r->left < rest ? (size_t)r->left : rest;
      r->left -= took;
      if (is_body) {
        if (!piece_add(block, r->file, (uint32_t)at, (uint32_t)took)) return strerror(ENOMEM);
      } else {
        memcpy(r->records + r->gathered, from, took);
        r->gathered += took;
        if (r->left == 0) {
          const char *why = tar_records(r->records, r->wanted, &r->said);
          if (why) return why;
          r->wanted = 0;
        }
      }
    } else if (r->padding > 0) {
      took = r->padding < rest ? r->padding : rest;
      r->padding -= took;
    } else if (r->filled == 0 && rest >= TAR_BLOCK) {
      took = TAR_BLOCK;
      const char *why = take_header(l, r, from, block);
      if (why) return why;
    } else {
      took = TAR_BLOCK - r->filled < rest ? TAR_BLOCK - r->filled : rest;
      memcpy(r->header + r->filled, from, took);
      r->filled += took;
      if (r->filled == TAR_BLOCK) {
        r->filled = 0;
        const char *why = take_header(l, r, r->header, block);
        if (why) return why;
      }
    }
    if (!is_body) sha256_add(&l->frame, from, took);
  }
  return NULL;
}

static const char *read_all(struct layer *l, struct reading *r, int tar) {
  for (;;) {
    struct block *block = writers_next(&l->w);
    size_t length = 0;
    while (length < BLOCK_SIZE) {
      ssize_t got = read(tar, block->bytes + length, BLOCK_SIZE - length);
      if (got < 0 && errno != EINTR) return strerror(errno);
      if (got == 0) break;
      if (got > 0) length += (size_t)got;
    }
    if (length == 0) break;
    sha256_add(&l->whole, block->bytes, length);
    const char *why = take(l, r, block, length);
    if (why) return why;
    if (!writers_hand_over(&l->w)) return "write";
  }
  if (r->ends < 2 || r->filled > 0) return "end";
  sha256_end(&l->whole, l->found);
  sha256_end(&l->frame, l->frame_found);
  return strcmp(l->found, l->diff_id) ? "another diffID" : NULL;
}

static void hash_looks(struct layer *l) {
  struct sha256 hash;
  uint64_t at = 0;
  sha256_start(&hash);
  for (struct looks *looks = l->looks; looks; looks = looks->next) {
    const uint64_t count = l->files - at < LOOKS ? l->files - at : LOOKS;
    sha256_add(&hash, looks->of, count * LOOK_SIZE);
    for (uint64_t i = 0; i < count; i++) {
      int64_t seconds;
      uint32_t nanoseconds;
      memcpy(&seconds, looks->of[i] + 44, sizeof seconds);
      memcpy(&nanoseconds, looks->of[i] + 52, sizeof nanoseconds);
      const uint64_t changed = (uint64_t)seconds * 1000000000u + nanoseconds;
      if (changed > l->newest) l->newest = changed;
    }
    at += count;
  }
  sha256_end(&hash, l->looks_found);
}

static void restore_layer(struct layer *l, unsigned writers) {
  struct reading *r = calloc(1, sizeof *r);
  int tar = open(l->tar, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  struct stat about;
  if (tar < 0) l->why = strerror(errno);
  else if (fstat(tar, &about) != 0 || !S_ISREG(about.st_mode)) l->why = "no file";
  else if (!r) l->why = strerror(ENOMEM);
  sha256_start(&l->whole);
  sha256_start(&l->frame);
  if (!l->why && !writers_start(&l->w, writers)) l->why = "threads";
  if (!l->why) {
    l->why = read_all(l, r, tar);
    if (l->why) atomic_store(&l->w.failed, true);
    if (!writers_end(&l->w) && (!l->why || !strcmp(l->why, "write"))) {
      const char *why = atomic_load(&l->w.why);
      if (why) l->why = why;
    }
  }
  if (!l->why && l->depth == 0) l->why = "nothing";
  if (!l->why) l->why = set_late_modes(l);
  if (!l->why) hash_looks(l);
  if (tar >= 0) close(tar);
  free(r);
}

static struct layer *layers;
static size_t layer_count;
static atomic_size_t next_layer;
static unsigned writers_each;

static void *restore_some(void *nothing) {
  for (size_t at; (at = atomic_fetch_add(&next_layer, 1)) < layer_count;) {
    restore_layer(&layers[at], writers_each);
  }
  return nothing;
}

static void tell(const struct layer *l) {
  if (l->why) {
    printf("{\"why\":\"%s\",\"touched\":%s}\n", l->why, l->touched ? "true" : "false");
    return;
  }
  printf("{\"frame\":\"%s\",\"looks\":\"%s\",\"newest\":\"%llu\",\"entries\":%llu,\"bytes\":%llu}\n",
         l->frame_found, l->looks_found, (unsigned long long)l->newest,
         (unsigned long long)l->entries, (unsigned long long)l->bytes);
}

int restore(char **words) {
  if (!sha256_possible()) fail(EXIT_HELPER, "hash on", "this processor", ENOTSUP);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  umask(0);
  char *colon = words[0] ? strchr(words[0], ':') : NULL;
  if (colon) {
    owner = (struct owner){true, (uid_t)strtoul(words[0], NULL, 10), (gid_t)strtoul(colon + 1, NULL, 10)};
  } else if (!words[0] || strcmp(words[0], "self")) {
    fail(EXIT_HELPER, "read", "owner", EINVAL);
  }
  words++;
  size_t count = 0;
  while (words[count]) count++;
  layer_count = count / 5;
  layers = calloc(layer_count + 1, sizeof *layers);
  if (!layers || count % 5) fail(EXIT_HELPER, "read", "layers to restore", layers ? EINVAL : ENOMEM);
  for (size_t i = 0; i < layer_count; i++, words += 5) {
    struct layer *l = &layers[i];
    *l = (struct layer){.tar = words[0], .directory = words[1], .inside = words[2],
                        .name = words[3], .diff_id = words[4]};
    const char *inside = l->inside + (*l->inside == '/');
    const int length = snprintf(l->top, sizeof l->top, "%s/%s", inside, l->name);
    if (length < 0 || (size_t)length >= sizeof l->top) {
      fail(EXIT_HELPER, "restore to", l->inside, ENAMETOOLONG);
    }
  }
  cpu_set_t mine;
  int processors = sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 1;
  if (processors > MOST_WRITERS) processors = MOST_WRITERS;
  const size_t at_once = layer_count < (size_t)processors ? layer_count : (size_t)processors;
  writers_each = at_once > 1 ? 1 : (unsigned)processors;
  pthread_t others[MOST_WRITERS];
  size_t started = 0;
  while (started + 1 < at_once &&
         pthread_create(&others[started], NULL, restore_some, NULL) == 0) {
    started++;
  }
  restore_some(NULL);
  for (size_t i = 0; i < started; i++) pthread_join(others[i], NULL);
  for (size_t i = 0; i < layer_count; i++) tell(&layers[i]);
  return fflush(stdout) == 0 ? 0 : EXIT_HELPER;
}
