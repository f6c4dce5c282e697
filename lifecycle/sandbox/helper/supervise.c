/* Watching a program: signals passed on, time limits, zombies, its end and that of all it started.
 * Everything arrives as a blocked signal taken by sigtimedwait, so there are no handlers and no
 * races; a PID 1 is sent blocked signals like anyone else. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "helper.h"

/* PDEATHSIG of our own processes: the one above us is gone, end everything now. */
#define ORPHANED SIGPWR

static sigset_t awaited;

void block_signals(void) {
  static const int taken[] = {SIGHUP, SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
                              SIGUSR2, SIGCHLD, ORPHANED};
  sigemptyset(&awaited);
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) sigaddset(&awaited, taken[i]);
  sigprocmask(SIG_SETMASK, &awaited, NULL);
  /* An ignored SIGCHLD survives execve and would make the kernel reap for us. */
  signal(SIGCHLD, SIG_DFL);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The next signal, or 0 when `deadline` (0: none) has passed. */
static int next_signal(double deadline) {
  struct timespec left = {3600, 0};
  if (deadline > 0) {
    double seconds = deadline - now();
    if (seconds <= 0) return 0;
    if (seconds < 3600) {
      left.tv_sec = (time_t)seconds;
      left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    }
  }
  int signal = sigtimedwait(&awaited, NULL, &left);
  return signal > 0 ? signal : deadline > 0 && now() >= deadline ? 0 : -1;
}

static int as_exit_code(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* To the program's process group, so that what a shell waits for is told too; to the program alone
 * in the moment before it has a group. */
static void pass_on(pid_t target, int signal) {
  if (kill(-target, signal) != 0) kill(target, signal);
}

static void kill_rest(bool init) {
  if (init) {
    kill(-1, SIGKILL); /* the whole namespace but us */
    while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR) {}
  } else if (!kill_descendants()) {
    status_warn("processes that do not die", EBUSY);
  }
}

/* Waits for `target`; returns the code to exit with. `init`: we are PID 1 of a namespace. */
int supervise(pid_t target, const struct options *o, bool init) {
  double deadline = o->timeout_s > 0 ? now() + (double)o->timeout_s : 0;
  const double grace = o->grace_s > 0 ? (double)o->grace_s : 0;
  bool timed_out = false, ending = false, killed = false;
  int status = 0;
  for (bool done = false; !done;) {
    int signal = next_signal(deadline);
    if (signal == SIGCHLD) {
      for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0;) {
        if (pid == target) {
          done = true;
          break;
        }
      }
    } else if (signal == 0 && !ending && !killed) { /* out of time */
      timed_out = ending = true;
      pass_on(target, SIGTERM);
      deadline = now() + (grace > 0 ? grace : 2);
    } else if (signal == ORPHANED || (signal == 0 && !killed)) {
      killed = true;
      deadline = 0;
      kill(target, SIGKILL);
    } else if (signal > 0 && signal != ORPHANED) {
      pass_on(target, signal);
      if (grace > 0 && !ending && (signal == SIGTERM || signal == SIGINT)) {
        ending = true;
        deadline = now() + grace;
      }
    }
  }
  kill_rest(init);
  struct rusage used;
  memset(&used, 0, sizeof used);
  getrusage(RUSAGE_CHILDREN, &used);
  int code = as_exit_code(status);
  status_exit(code, WIFSIGNALED(status) ? WTERMSIG(status) : 0, timed_out, used.ru_maxrss);
  return code;
}

/* Hands signals to `child` and takes over its exit code. `end`: what it is sent when our caller is gone. A caller of
 * several threads dies one by one, and each death is told: the child hears of it once, for a second SIGTERM would
 * end it before it has cleaned up. */
int relay(pid_t child, int end) {
  int status = 0;
  for (bool told = false;;) {
    int signal = next_signal(0);
    if (signal == SIGCHLD) {
      if (waitpid(child, &status, WNOHANG) == child) return as_exit_code(status);
    } else if (signal == ORPHANED) {
      if (!told) kill(child, end);
      told = true;
    } else if (signal > 0) {
      kill(child, signal);
    }
  }
}

/* The outer half of a view. */
int relay_view(pid_t reaper, const struct options *o) {
  int code = relay(reaper, o->pidns ? SIGKILL : ORPHANED);
  if (!o->pidns) kill_rest(false); /* in case the program shot the reaper */
  return code;
}
