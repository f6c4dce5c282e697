#define _GNU_SOURCE
#include "tar_write.h"

#include <stdio.h>
#include <string.h>

#define MTIME 315532801 /* 1980-01-01T00:00:01Z, of every entry (TA-4) */
#define MOST_NAME 100
#define MOST_PREFIX 155
#define MOST_ID 07777777u
#define MOST_SIZE 077777777777ull

static bool is_ascii(const char *text) {
  unsigned char all = 0;
  for (; *text; text++) all |= (unsigned char)*text;
  return all < 0x80;
}

static void put_octal(unsigned char *field, size_t length, uint64_t value) {
  for (size_t at = length - 1; at-- > 0; value >>= 3) field[at] = (unsigned char)('0' + (value & 7));
  field[length - 1] = 0;
}

/* What fits of ASCII text; one that is cut may not end in a slash. */
static void put_text(unsigned char *field, size_t room, const char *text, size_t length) {
  memcpy(field, text, length < room ? length : room);
  if (length <= room || text[room - 1] != '/') return;
  size_t end = room - 1;
  while (end > 0 && text[end - 1] == '/') end--;
  field[end] = 0;
}

static size_t keep_ascii(const char *from, char *to) {
  size_t length = 0;
  for (; *from; from++) if ((unsigned char)*from < 0x80) to[length++] = *from;
  return length;
}

static void seal(unsigned char *block) {
  memcpy(block + 257, "ustar\0" "00", 8);
  memset(block + 148, ' ', 8);
  unsigned sum = 0;
  for (size_t i = 0; i < TAR_BLOCK; i++) sum += block[i];
  put_octal(block + 148, 7, sum);
}

static void put_common(unsigned char *block, const struct tar_made *entry) {
  memset(block, 0, TAR_BLOCK);
  put_octal(block + 100, 8, entry->mode);
  put_octal(block + 108, 8, entry->uid);
  put_octal(block + 116, 8, entry->gid);
  put_octal(block + 124, 12, entry->size);
  put_octal(block + 136, 12, MTIME);
  block[156] = (unsigned char)entry->kind;
  put_octal(block + 329, 8, 0);
  put_octal(block + 337, 8, 0);
}

/* The slash a long name of ASCII is split at; 0 when it cannot be. */
static size_t split_at(const char *name, size_t length) {
  size_t end = length > MOST_PREFIX + 1 ? MOST_PREFIX + 1 : length;
  size_t slash = end - 1;
  while (slash > 0 && name[slash] != '/') slash--;
  const size_t left = length - slash - 1;
  return left == 0 || left > MOST_NAME || slash > MOST_PREFIX ? 0 : slash;
}

/* `<length> <key>=<value>\n`, the length counting itself. */
static size_t put_record(char *to, const char *key, const char *value) {
  const size_t rest = strlen(key) + strlen(value) + 3;
  size_t length = rest + 1;
  for (size_t digits = 1, least = 10; length >= least; least *= 10) {
    digits++;
    length = rest + digits;
  }
  return (size_t)sprintf(to, "%zu %s=%s\n", length, key, value);
}

/* A header of records about the entry behind it, which unpacks beside it where nobody knows better. */
static size_t put_records(unsigned char *to, const char *name, const char *link) {
  char beside[PATH_MAX + 16], ascii[PATH_MAX + 16];
  const char *last = strrchr(name, '/') + 1;
  snprintf(beside, sizeof beside, "%.*sPaxHeaders.0/%s", (int)(last - name), name, last);
  size_t kept = keep_ascii(beside, ascii);
  if (kept > MOST_NAME) kept = MOST_NAME;
  while (kept > 0 && ascii[kept - 1] == '/') kept--;
  char *body = (char *)to + TAR_BLOCK;
  size_t length = 0;
  if (link) length += put_record(body, "linkpath", link);
  if (strlen(name) > MOST_NAME || !is_ascii(name)) {
    length += put_record(body + length, "path", name);
  }
  const size_t padded = (length + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
  memset(body + length, 0, padded - length);
  memset(to, 0, TAR_BLOCK);
  memcpy(to, ascii, kept);
  put_octal(to + 100, 8, 0);
  put_octal(to + 108, 8, 0);
  put_octal(to + 116, 8, 0);
  put_octal(to + 124, 12, length);
  put_octal(to + 136, 12, 0);
  to[156] = 'x';
  seal(to);
  return TAR_BLOCK + padded;
}

size_t tar_make(const struct tar_made *entry, unsigned char *to) {
  const char *name = entry->name, *link = entry->link;
  const size_t length = strlen(name), link_length = strlen(link);
  if (*name != '/' || length >= PATH_MAX || link_length >= PATH_MAX) return 0;
  if (entry->uid > MOST_ID || entry->gid > MOST_ID || entry->size > MOST_SIZE) return 0;
  const bool ascii = is_ascii(name), link_fits = link_length <= MOST_NAME && is_ascii(link);
  if (ascii && length <= MOST_NAME && link_fits) {
    put_common(to, entry);
    memcpy(to, name, length);
    memcpy(to + 157, link, link_length);
    seal(to);
    return TAR_BLOCK;
  }
  const size_t slash = ascii && length > MOST_NAME ? split_at(name, length) : 0;
  if (slash > 0 && link_fits) {
    put_common(to, entry);
    memcpy(to, name + slash + 1, length - slash - 1);
    memcpy(to + 157, link, link_length);
    memcpy(to + 345, name, slash);
    seal(to);
    return TAR_BLOCK;
  }
  if (!tar_is_text(name, length) || !tar_is_text(link, link_length)) return 0;
  const size_t before = put_records(to, name, link_fits ? NULL : link);
  char kept[PATH_MAX];
  to += before;
  put_common(to, entry);
  put_text(to, MOST_NAME, kept, keep_ascii(name, kept));
  put_text(to + 157, MOST_NAME, kept, keep_ascii(link, kept));
  seal(to);
  return before + TAR_BLOCK;
}
