/* The one dialect of tar that `restore` reads: what lifecycles write into caches. */
#ifndef WHERRY_PLAIN_TAR_H
#define WHERRY_PLAIN_TAR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK 512
#define MOST_RECORDS 16384 /* bytes of a PAX header */

enum tar_kind { TAR_FILE = '0', TAR_SYMLINK = '2', TAR_DIRECTORY = '5', TAR_RECORDS = 'x' };

/* An entry. Names have no slash at their start or end, no empty step, no `.` and no `..`. */
struct tar_entry {
  enum tar_kind kind;
  unsigned mode;
  uint64_t size;
  char name[PATH_MAX], link[PATH_MAX];
};

/* What a PAX header said of the entry behind it; empty for nothing. */
struct tar_records {
  char name[PATH_MAX], link[PATH_MAX];
};

/* Text without a NUL that is UTF-8: the other reader refuses all else. */
bool tar_is_text(const char *bytes, size_t length);
bool tar_is_end(const unsigned char *block);
/* Reads one header, with what `said` says of it. NULL, or why it is not for us: then the strict
 * reader in TypeScript has the word, which knows all dialects. */
const char *tar_header(const unsigned char *block, const struct tar_records *said,
                       struct tar_entry *entry);
const char *tar_records(const char *bytes, size_t length, struct tar_records *said);

#endif
