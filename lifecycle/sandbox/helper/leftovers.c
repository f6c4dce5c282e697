/* Ending what a program left running when there is no PID namespace to end with it. As subreaper
 * we are the parent of every orphan below us, so all of them can be found. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "helper.h"

struct process {
  pid_t pid, parent;
  char state;
  bool below;
};

static struct process *table;
static size_t count, room;

static bool read_process(const char *name) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%.20s/stat", name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return false;
  text[length] = 0;
  char *end = strrchr(text, ')'); /* the name before it may hold blanks and brackets */
  if (count == room) {
    room = room ? 2 * room : 256;
    table = realloc(table, room * sizeof *table);
    if (!table) fail(EXIT_HELPER, "list", "processes", ENOMEM);
  }
  struct process *p = &table[count];
  p->pid = atoi(name);
  p->below = false;
  if (!end || sscanf(end + 1, " %c %d", &p->state, &p->parent) != 2) return false;
  count++;
  return true;
}

static void mark_descendants(pid_t self) {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < count; i++) {
      if (table[i].below) continue;
      bool ours = table[i].parent == self;
      for (size_t j = 0; !ours && j < count; j++) {
        ours = table[j].below && table[j].pid == table[i].parent;
      }
      if (ours) table[i].below = changed = true;
    }
  }
}

static void list_processes(void) {
  count = 0;
  DIR *all = opendir("/proc");
  if (!all) return;
  for (struct dirent *entry; (entry = readdir(all));) {
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') read_process(entry->d_name);
  }
  closedir(all);
  mark_descendants(getpid());
}

/* Sends `signal` to every descendant that it would change; says whether there was one. */
static bool signal_all(int signal) {
  bool any = false;
  list_processes();
  for (size_t i = 0; i < count; i++) {
    if (!table[i].below || strchr("ZX", table[i].state)) continue;
    if (signal == SIGSTOP && strchr("Tt", table[i].state)) continue;
    if (kill(table[i].pid, signal) == 0) any = true;
  }
  return any;
}

static bool reap(void) {
  for (;;) {
    pid_t pid = waitpid(-1, NULL, WNOHANG | __WALL);
    if (pid == 0) return false;
    if (pid < 0 && errno != EINTR) return true; /* ECHILD: nobody is left */
  }
}

/* Stops everything first and kills then: what is stopped cannot fork, so a fork bomb cannot run
 * ahead of us. False when something would not die within five seconds. */
bool kill_descendants(void) {
  const struct timespec pause = {0, 2000000};
  for (int round = 0; round < 500; round++) {
    if (reap()) return true;
    for (int pass = 0; pass < 50 && signal_all(SIGSTOP); pass++) {}
    signal_all(SIGKILL);
    for (int wait = 0; wait < 5 && !reap(); wait++) nanosleep(&pause, NULL);
  }
  return reap();
}
