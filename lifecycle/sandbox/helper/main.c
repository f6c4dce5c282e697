/* helper run OPTIONS -- PROGRAM ARG...   run one program in a sandbox
 * helper probe                           what this machine allows, as JSON
 * helper remove DIR...                   delete trees a build left, whatever their modes
 * helper clear DIR...                    delete what is in them, and leave them
 * helper chown UID GID DIR...            give trees to a user, links not followed
 * helper hold STAGE LOWER UPPER WORK [user]  an overlay, until stdin ends; see run --join
 * helper subids MAPS -- PROGRAM ARG...   run one program as root of a user namespace with many ids
 * helper unpack --into DIR OPTIONS       make a root file system of entries on stdin
 * helper restore OWNER LAYER...          layers out of a cache, hashed on the way
 * helper look                            a layer's frame and the kernel's words about its files
 * helper archive BLOB SPOOL              a layer of directories and files, hashed and compressed
 *
 * The environment of `run` is the environment of the program, exactly. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper.h"

extern char **environ;

/* The words of our command line where /proc shows them; options are read from a copy. */
static char **shown;

static char **copied(char **words, size_t count) {
  char **copy = calloc(count + 1, sizeof *copy);
  shown = words;
  for (size_t at = 0; words[at]; at++) {
    if (!copy || !(copy[at] = strdup(words[at]))) {
      fail(EXIT_HELPER, "read", "options of run", ENOMEM);
    }
  }
  return copy;
}

/* Everybody inside may read /proc/1/cmdline: the machine's paths are none of theirs. */
static void hide_words(void) {
  for (; *shown; shown++) memset(*shown, 0, strlen(*shown));
}

static char *word(char ***words) {
  if (!**words) fail(EXIT_HELPER, "read", "options of run", EINVAL);
  return *(*words)++;
}

static long number(char ***words) {
  char *text = word(words), *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno || *end || end == text || value < 0) fail(EXIT_HELPER, "read number", text, EINVAL);
  return value;
}

static void add_entry(struct options *o, enum entry_kind kind, const char *source,
                      const char *place) {
  if (*place != '/') fail(EXIT_HELPER, "use as a path inside", place, EINVAL);
  o->entries[o->entry_count++] = (struct entry){kind, source, place};
}

static void parse(struct options *o, char **words, size_t count) {
  o->entries = calloc(count + 1, sizeof *o->entries);
  o->grants = calloc(count + 1, sizeof *o->grants);
  o->owned = calloc(count + 1, sizeof *o->owned);
  if (!o->entries || !o->grants || !o->owned) fail(EXIT_HELPER, "read", "options of run", ENOMEM);
  size_t owned = 0;
  for (;;) {
    const char *option = word(&words), *source;
#define IS(name) (!strcmp(option, name))
    if (IS("--")) break;
    if (IS("--view")) o->stage = word(&words);
    else if (IS("--whole")) o->whole = word(&words);
    else if (IS("--overlay")) {
      o->lower = word(&words), o->upper = word(&words), o->work = word(&words);
    }
    else if (IS("--join")) o->join = (pid_t)number(&words);
    else if (IS("--chroot")) o->chroot = word(&words);
    else if (IS("--keep-caps")) o->keep_caps = true;
    else if (IS("--userns")) o->userns = true;
    else if (IS("--pidns")) o->pidns = true;
    else if (IS("--netns")) o->netns = true;
    else if (IS("--uid")) o->uid = (uid_t)number(&words), o->set_ids = true;
    else if (IS("--gid")) o->gid = (gid_t)number(&words);
    else if (IS("--own")) o->owned[owned++] = word(&words);
    else if (IS("--cwd")) o->cwd = word(&words);
    else if (IS("--timeout")) o->timeout_s = number(&words);
    else if (IS("--grace")) o->grace_s = number(&words);
    else if (IS("--nproc")) o->nproc = number(&words);
    else if (IS("--parent")) o->parent = (pid_t)number(&words);
    else if (IS("--status")) o->status = word(&words);
    else if (IS("--cgroup")) o->cgroup = word(&words);
    else if (IS("--bind")) source = word(&words), add_entry(o, BIND, source, word(&words));
    else if (IS("--ro-bind")) source = word(&words), add_entry(o, RO_BIND, source, word(&words));
    else if (IS("--link")) source = word(&words), add_entry(o, LINK, source, word(&words));
    else if (IS("--tmpfs")) add_entry(o, TMPFS, NULL, word(&words));
    else if (IS("--mask")) add_entry(o, MASK, NULL, word(&words));
    else if (IS("--landlock")) o->landlock = true;
    else if (IS("--ll-ro")) o->grants[o->grant_count++] = (struct grant){word(&words), false};
    else if (IS("--ll-rw")) o->grants[o->grant_count++] = (struct grant){word(&words), true};
    else if (IS("--ll-no-tcp")) o->no_tcp = true;
    else if (IS("--stdin")) o->input = true;
    else if (IS("--terminal")) o->terminal = true;
    else if (IS("--check")) o->check = true; /* everything but the program */
    else fail(EXIT_HELPER, "understand option", option, EINVAL);
#undef IS
  }
  o->program = words;
  if (!*words && !o->check) fail(EXIT_HELPER, "run", "", EINVAL);
}

/* `program` is there, and the kernel says that something is not: what it asks for to be run by. */
static _Noreturn void fail_for_interpreter(const char *program) {
  char head[256] = "", why[320];
  int fd = open(program, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? 0 : read(fd, head, sizeof head - 1);
  head[length < 0 ? 0 : length] = 0;
  if (strncmp(head, "#!", 2) != 0) {
    fail_since(EXIT_NOEXEC, "run", program, ENOENT, "the loader it was made for is not here");
  }
  char *start = head + 2 + strspn(head + 2, " \t");
  start[strcspn(start, " \t\n")] = 0;
  /* Lines of another system end with a carriage return, which nobody sees. */
  size_t end = strcspn(start, "\r");
  const char *more = start[end] ? " (its line ends with a carriage return)" : "";
  snprintf(why, sizeof why, "its interpreter \"%.*s\" is not here%s", (int)end, start, more);
  fail_since(EXIT_NOEXEC, "run", program, ENOENT, why);
}

static _Noreturn void become_program(const struct options *o, pid_t reaper) {
  if (o->chroot && (chdir(o->chroot) != 0 || chroot(".") != 0)) {
    fail(EXIT_HELPER, "change the root to", o->chroot, errno);
  }
  drop_everything(o, reaper);
  if (o->cwd && chdir(o->cwd) != 0) fail(EXIT_HELPER, "enter directory", o->cwd, errno);
  if (o->check) _exit(0);
  status_event("exec");
  execve(o->program[0], o->program, environ);
  int error = errno;
  /* ENOENT with the file in place: the interpreter of its first line, or its ld.so, is missing. */
  bool absent = (error == ENOENT || error == ENOTDIR) && access(o->program[0], F_OK) != 0;
  if (!absent && error == ENOENT) fail_for_interpreter(o->program[0]);
  fail(absent ? EXIT_ABSENT : EXIT_NOEXEC, "run", o->program[0], error);
}

/* From here on we watch: forks the program, gives up what watching does not need. */
static int watch(const struct options *o, bool init) {
  pid_t self = getpid(), target = fork();
  if (target < 0) fail(EXIT_HELPER, "start", "process", errno);
  if (target == 0) {
    cgroup_enter();
    become_program(o, self);
  }
  keep_only_kill(o->set_ids && !o->userns);
  return supervise(target, o, init);
}

/* Inside the namespaces, as their first process. `alive` is readable when the outer half is gone. */
static int inside(const struct options *o, int alive, uid_t uid, gid_t gid) {
  prctl(PR_SET_PDEATHSIG, o->pidns ? SIGKILL : SIGPWR, 0, 0, 0);
  struct pollfd outer = {alive, POLLIN, 0};
  if (poll(&outer, 1, 0) != 0) return EXIT_HELPER;
  close(alive);
  if (o->userns && map_single_ids(o->uid, o->gid, uid, gid) != 0) {
    fail(EXIT_HELPER, "map", "ids", errno);
  }
  view_enter(o);
  hide_words();
  if (!o->pidns) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  /* The program may have our uid: it must not read our memory or descriptors. */
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  status_event("sandboxed");
  return watch(o, o->pidns);
}

/* /dev/stderr opens the pipe again, which its owner alone may do (docker had this bug for years). */
static void hand_over_output(const struct options *o) {
  if (!o->set_ids || geteuid() != 0) return;
  for (int fd = 1; fd <= 2; fd++) {
    struct stat about;
    if (fstat(fd, &about) == 0 && S_ISFIFO(about.st_mode) && fchown(fd, o->uid, o->gid) != 0) {
      status_warn("output pipes cannot be opened again", errno);
    }
  }
}

static void empty_input(void) {
  int nothing = open("/dev/null", O_RDONLY);
  if (nothing < 0 || dup2(nothing, 0) != 0) fail(EXIT_HELPER, "open", "/dev/null", errno);
  if (nothing > 2) close(nothing);
}

static int run(char **words, size_t count) {
  struct options o;
  memset(&o, 0, sizeof o);
  umask(022); /* of what the view is made of and of what builds make, whatever our caller's is */
  close_from_three();
  words = copied(words, count);
  prctl(PR_SET_PDEATHSIG, SIGPWR, 0, 0, 0);
  block_signals();
  parse(&o, words, count);
  if (o.status) status_open(o.status);
  if (o.cgroup) cgroup_open(o.cgroup);
  if (o.parent && getppid() != o.parent) fail(EXIT_HELPER, "find", "parent process", ESRCH);
  if (o.terminal) terminal_split(&o);
  else if (!o.input) empty_input();
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (!o.userns) hand_over_output(&o);
  if (*o.owned) give_trees(o.owned, o.uid, o.gid);
  if (!o.stage) {
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return watch(&o, false);
  }
  if (o.join) hold_join(&o);
  int alive[2];
  if (pipe2(alive, O_CLOEXEC) != 0) fail(EXIT_HELPER, "make", "pipe", errno);
  uid_t uid = geteuid();
  gid_t gid = getegid();
  pid_t reaper = clone_into(namespace_flags(&o));
  if (reaper < 0) fail(EXIT_HELPER, "make", "namespaces", errno);
  if (reaper == 0) {
    close(alive[1]);
    _exit(inside(&o, alive[0], uid, gid));
  }
  close(alive[0]);
  /* After the clone: the child writes its own /proc/self/uid_map, which needs dumpable. */
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return relay_view(reaper, &o);
}

int main(int argc, char **argv) {
  const char *verb = argc > 1 ? argv[1] : "";
  if (!strcmp(verb, "run")) return run(argv + 2, (size_t)argc);
  if (!strcmp(verb, "probe")) return probe();
  if (!strcmp(verb, "remove")) return remove_trees(argv + 2);
  if (!strcmp(verb, "clear")) return clear_trees(argv + 2);
  if (!strcmp(verb, "chown")) return chown_trees(argv + 2);
  if (!strcmp(verb, "subids")) return subids(argv + 2);
  if (!strcmp(verb, "hold")) return hold(argv + 2);
  if (!strcmp(verb, "unpack")) return unpack(argv + 2);
  if (!strcmp(verb, "restore")) return restore(argv + 2);
  if (!strcmp(verb, "look")) return look();
  if (!strcmp(verb, "archive")) return archive(argv + 2);
  fail(EXIT_HELPER, "understand", verb, EINVAL);
}
