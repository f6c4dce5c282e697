/* helper subids NEWUIDMAP "INSIDE OUTSIDE COUNT ..." NEWGIDMAP "..." -- PROGRAM ARG...
 *
 * Runs a program as root of a user namespace with many ids: the caller's own, and those that the
 * machine lends it. Only the machine's own setuid programs may write such a map, from outside, into
 * a namespace that waits for it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper.h"
#include "kernel.h"

extern char **environ;

enum { MOST_WORDS = 16 };

static void write_map(char *program, pid_t child, char *map) {
  char pid[16], *words[MOST_WORDS] = {program, pid};
  snprintf(pid, sizeof pid, "%d", child);
  size_t count = 2;
  for (char *word = strtok(map, " "); word && count + 1 < MOST_WORDS; word = strtok(NULL, " ")) {
    words[count++] = word;
  }
  pid_t mapper = fork();
  if (mapper < 0) fail(EXIT_HELPER, "start", program, errno);
  if (mapper == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(program, words);
    _exit(EXIT_ABSENT);
  }
  int status = 0;
  while (waitpid(mapper, &status, 0) < 0 && errno == EINTR) {}
  /* It has said why on stderr. */
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail(EXIT_HELPER, "map ids with", program, EPERM);
}

static _Noreturn void become_root(char **program, int go) {
  char said;
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (read(go, &said, 1) != 1) _exit(EXIT_HELPER); /* no map, or nobody is left above us */
  if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0 || setgroups(0, NULL) != 0) {
    fail(EXIT_HELPER, "become", "root of the namespace", errno);
  }
  prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0); /* forgotten with the change; politely from here on */
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(program[0], program, environ);
  fail(EXIT_ABSENT, "run", program[0], errno);
}

int subids(char **words) {
  for (int i = 0; i < 6; i++) {
    if (!words[i]) fail(EXIT_HELPER, "read", "options of subids", EINVAL);
  }
  if (strcmp(words[4], "--") != 0) fail(EXIT_HELPER, "understand option", words[4], EINVAL);
  close_from_three();
  prctl(PR_SET_PDEATHSIG, SIGPWR, 0, 0, 0);
  block_signals();
  int go[2];
  if (pipe2(go, O_CLOEXEC) != 0) fail(EXIT_HELPER, "make", "pipe", errno);
  pid_t child = clone_into(CLONE_NEWUSER);
  if (child < 0) fail(EXIT_HELPER, "make", "a user namespace", errno);
  if (child == 0) {
    close(go[1]);
    become_root(words + 5, go[0]);
  }
  write_map(words[0], child, words[1]);
  write_map(words[2], child, words[3]);
  if (write(go[1], "", 1) != 1) fail(EXIT_HELPER, "start", words[5], errno);
  return relay(child, SIGTERM);
}
