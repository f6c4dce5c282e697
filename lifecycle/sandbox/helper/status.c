/* Status lines. Each is one write(2) to a file opened for appending, so that the reaper and the
 * program's last moments before execve can both speak without a lock. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "helper.h"

static int status_fd = -1;

void status_open(const char *path) {
  status_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (status_fd < 0) fail(EXIT_HELPER, "open status file", path, errno);
}

static void line(const char *text, size_t length) {
  int fd = status_fd < 0 ? STDERR_FILENO : status_fd;
  if (write(fd, text, length) < 0) return; /* nobody is left to be told */
}

/* Writes `text` as the inside of a JSON string; returns the bytes used. */
static size_t quoted(char *to, size_t room, const char *text) {
  size_t used = 0;
  for (; *text && used + 8 < room; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\') {
      to[used++] = '\\';
      to[used++] = (char)c;
    } else if (c < 0x20 || c == 0x7f) {
      used += (size_t)snprintf(to + used, room - used, "\\u%04x", c);
    } else {
      to[used++] = (char)c;
    }
  }
  to[used] = 0;
  return used;
}

void status_event(const char *event) {
  char text[64];
  if (status_fd < 0) return;
  line(text, (size_t)snprintf(text, sizeof text, "{\"event\":\"%s\"}\n", event));
}

void status_warn(const char *what, int error) {
  char text[160];
  if (status_fd < 0) return;
  line(text, (size_t)snprintf(text, sizeof text, "{\"warn\":\"%s\",\"errno\":%d}\n", what, error));
}

void status_exit(int code, int signal, bool timeout, long maxrss_kb) {
  char text[160];
  if (status_fd < 0) return;
  line(text, (size_t)snprintf(text, sizeof text,
                              "{\"exit\":%d,\"signal\":%d,\"timeout\":%s,\"maxrss_kb\":%ld}\n", code,
                              signal, timeout ? "true" : "false", maxrss_kb));
}

_Noreturn void fail_since(int code, const char *act, const char *thing, int error, const char *why) {
  char name[3000], words[600], text[4000];
  quoted(name, sizeof name, thing);
  quoted(words, sizeof words, why);
  int length = status_fd < 0
                   ? snprintf(text, sizeof text, "wherry: sandbox: Cannot %s \"%s\": %s\n", act,
                              name, words)
                   : snprintf(text, sizeof text,
                              "{\"fail\":%d,\"act\":\"%s\",\"thing\":\"%s\",\"errno\":%d,"
                              "\"error\":\"%s\"}\n",
                              code, act, name, error, words);
  line(text, (size_t)length);
  _exit(code);
}

_Noreturn void fail(int code, const char *act, const char *thing, int error) {
  fail_since(code, act, thing, error, strerror(error));
}
