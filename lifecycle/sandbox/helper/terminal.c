/* A terminal of the program's own, for people who look into a build: it never holds the caller's, into which it could
 * type or whose settings it could leave behind. The outer process copies between the two until the inner one ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "helper.h"

/* Where a person reads: stdout may be a pipe that takes results. */
#define SHOWN STDERR_FILENO

static void write_all(int fd, const char *bytes, ssize_t size) {
  while (size > 0) {
    ssize_t written = write(fd, bytes, (size_t)size);
    if (written < 0 && errno == EAGAIN) {
      struct pollfd room = {fd, POLLOUT, 0};
      poll(&room, 1, -1);
    } else if (written < 0 && errno != EINTR) {
      return; /* nobody looks any more */
    } else if (written > 0) {
      bytes += written;
      size -= written;
    }
  }
}

/* Whether there may be more. */
static bool copy(int from, int to) {
  char bytes[4096];
  ssize_t size = read(from, bytes, sizeof bytes);
  if (size < 0) return errno == EINTR || errno == EAGAIN;
  write_all(to, bytes, size);
  return size > 0;
}

static void same_size(int master) {
  struct winsize size;
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) ioctl(master, TIOCSWINSZ, &size);
}

static void drain(int master) {
  struct pollfd rest = {master, POLLIN, 0};
  while (poll(&rest, 1, 0) > 0 && copy(master, SHOWN)) {}
}

/* Returns the wait status of `child`. */
static int attend(pid_t child, int master, int signals) {
  struct pollfd fds[] = {
      {signals, POLLIN, 0}, {master, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  for (;;) {
    if (poll(fds, 3, -1) < 0) continue;
    if (fds[1].revents && !copy(master, SHOWN)) fds[1].fd = -1;
    if (fds[2].revents && !copy(STDIN_FILENO, master)) {
      fds[2].fd = -1;
      kill(child, SIGHUP);
    }
    struct signalfd_siginfo got;
    if (!fds[0].revents || read(signals, &got, sizeof got) != sizeof got) continue;
    int signal = (int)got.ssi_signo, status;
    if (signal == SIGWINCH) same_size(master);
    else if (signal != SIGCHLD) kill(child, signal);
    else if (waitpid(child, &status, WNOHANG) == child) return status;
  }
}

/* Returns in a child that has the new terminal for input and output; the parent stays with the old one. */
void terminal_split(const struct options *o) {
  struct termios before, raw;
  if (tcgetattr(STDIN_FILENO, &before) != 0) fail(EXIT_HELPER, "use as terminal", "stdin", errno);
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || unlockpt(master) != 0) fail(EXIT_HELPER, "make", "terminal", errno);
  /* Not by its name, which may lead elsewhere here. */
  int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) fail(EXIT_HELPER, "open", "terminal", errno);
  tcsetattr(slave, TCSANOW, &before);
  same_size(master);
  if (o->set_ids && !o->userns && geteuid() == 0 && fchown(slave, o->uid, o->gid) != 0) {
    status_warn("the terminal cannot be opened again", errno);
  }
  sigset_t awaited; /* those of block_signals(), and SIGTTOU so that settings can be put back */
  sigprocmask(SIG_BLOCK, NULL, &awaited);
  sigaddset(&awaited, SIGWINCH);
  sigaddset(&awaited, SIGTTOU);
  sigprocmask(SIG_BLOCK, &awaited, NULL);
  sigdelset(&awaited, SIGTTOU);
  int signals = signalfd(-1, &awaited, SFD_CLOEXEC);
  if (signals < 0) fail(EXIT_HELPER, "wait for", "signals", errno);
  pid_t self = getpid(), child = fork();
  if (child < 0) fail(EXIT_HELPER, "start", "process", errno);
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGPWR, 0, 0, 0);
    if (getppid() != self) _exit(EXIT_HELPER);
    close(master);
    close(signals);
    for (int fd = 0; fd < 3; fd++) dup2(slave, fd);
    close(slave);
    return;
  }
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  close(slave);
  raw = before;
  cfmakeraw(&raw);
  tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
  int status = attend(child, master, signals);
  drain(master);
  tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
  _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}
