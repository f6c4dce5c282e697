/* helper look: a layer as `helper archive` is told of it, without a byte of its files.
 *
 * Says in a line of JSON the hash of all bytes of its tar but those of files, and of what the kernel says
 * of each file, in order; or why that is for TypeScript, which comes to the same. */
#define _GNU_SOURCE
#include "look.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <unistd.h>

#include "archive.h"
#include "helper.h"

bool look_at(int fd, unsigned char look[LOOK_SIZE], mode_t *mode) {
  unsigned char about[256];
  const unsigned basic_and_birth = 0xfff;
  if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, basic_and_birth, about) != 0) return false;
  unsigned short found;
  memcpy(&found, about + 28, sizeof found);
  *mode = found & 07777;
  memcpy(look, about + 20, 28);
  memcpy(look + 28, about + 80, 48);
  memcpy(look + 76, about + 136, 8);
  return true;
}

int look(void) {
  if (!sha256_possible()) fail(EXIT_HELPER, "hash on", "this processor", ENOTSUP);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  struct seen seen;
  sha256_start(&seen.frame);
  sha256_start(&seen.looks);
  static struct blocks none;
  none.seen = &seen;
  const char *why = archive_words(&none);
  if (why) {
    printf("{\"why\":\"%s\"}\n", why);
  } else {
    char frame[65], looks[65];
    sha256_end(&seen.frame, frame);
    sha256_end(&seen.looks, looks);
    printf("{\"frame\":\"%s\",\"looks\":\"%s\"}\n", frame, looks);
  }
  return fflush(stdout) == 0 ? 0 : EXIT_HELPER;
}
