/* Landlock: an allow list of places, kept by the kernel for the program and all it starts. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper.h"
#include "kernel.h"

/* The version of Landlock here, 0 when the kernel has none or was booted without it. */
int landlock_abi(void) {
  long abi = syscall(SYS_landlock_create_ruleset, 0, 0, 1 /* VERSION */);
  return abi < 0 ? 0 : (int)abi;
}

/* Rights over the contents of files and directories that this version can keep. Opening devices
 * for ioctl (ABI 5) stays out: the nodes listed are harmless ones. */
static uint64_t file_rights(int abi) {
  uint64_t rights = (1ull << 13) - 1;
  if (abi >= 2) rights |= LL_REFER;
  if (abi >= 3) rights |= LL_TRUNCATE;
  return rights;
}

static void allow(int ruleset, const struct grant *grant, uint64_t handled) {
  struct landlock_beneath rule = {
      .access = grant->write ? handled : LL_EXECUTE | LL_READ_FILE | LL_READ_DIR,
      .parent = open(grant->path, O_PATH | O_CLOEXEC),
  };
  if (rule.parent < 0) {
    /* A place that is not there, or that DAC keeps from us, needs no permission. */
    if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) return;
    fail(EXIT_HELPER, "open for Landlock", grant->path, errno);
  }
  struct stat about;
  if (fstat(rule.parent, &about) == 0 && !S_ISDIR(about.st_mode)) {
    rule.access &= LL_EXECUTE | LL_WRITE_FILE | LL_READ_FILE | LL_TRUNCATE;
  }
  if (syscall(SYS_landlock_add_rule, ruleset, 1 /* PATH_BENEATH */, &rule, 0) != 0) {
    fail(EXIT_HELPER, "allow with Landlock", grant->path, errno);
  }
  close(rule.parent);
}

/* Needs no_new_privs. Fails when the kernel has no Landlock: whoever asks has probed first. */
void landlock_fence(const struct options *o) {
  int abi = landlock_abi();
  if (abi < 1) fail(EXIT_HELPER, "use", "Landlock", ENOSYS);
  if (o->no_tcp && abi < 4) fail(EXIT_HELPER, "forbid TCP with", "Landlock", ENOSYS);
  struct landlock_ruleset rules = {
      .fs = file_rights(abi),
      .net = o->no_tcp ? LL_NET_TCP : 0,
      .scoped = abi >= 6 ? LL_SCOPES : 0,
  };
  /* Old kernels want the old size, or zeroes beyond it. */
  int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
  if (ruleset < 0) fail(EXIT_HELPER, "make", "Landlock ruleset", errno);
  for (size_t i = 0; i < o->grant_count; i++) allow(ruleset, &o->grants[i], rules.fs);
  if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
    fail(EXIT_HELPER, "enter", "Landlock ruleset", errno);
  }
  close(ruleset);
}
