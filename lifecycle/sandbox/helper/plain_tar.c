/* Headers of the tars that lifecycles write into caches: USTAR, with PAX for long names and links.
 *
 * There is one reader of tars, in TypeScript, and it decides what an archive means. This one reads
 * the plainest part of what that one takes, to the very same meaning, and leaves alone all else. */
#define _GNU_SOURCE
#include "plain_tar.h"

#include <string.h>

bool tar_is_end(const unsigned char *block) {
  static const unsigned char zeros[TAR_BLOCK];
  return !memcmp(block, zeros, TAR_BLOCK);
}

/* Octal digits up to a NUL in the last byte, or nothing but NULs. */
static bool octal(const unsigned char *field, size_t length, uint64_t *value) {
  static const unsigned char nothing[12];
  *value = 0;
  if (!memcmp(field, nothing, length)) return true;
  for (size_t i = 0; i + 1 < length; i++) {
    if (field[i] < '0' || field[i] > '7') return false;
    *value = *value * 8 + (field[i] - '0');
  }
  return field[length - 1] == 0;
}

static bool sums_up(const unsigned char *block) {
  unsigned sum = 0, said = 0;
  for (size_t i = 0; i < TAR_BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : block[i];
  for (size_t i = 148; i < 154; i++) {
    if (block[i] < '0' || block[i] > '7') return false;
    said = said * 8 + (block[i] - '0');
  }
  return block[154] == 0 && block[155] == ' ' && sum == said;
}

static bool is_ascii(const unsigned char *block) {
  unsigned char all = 0;
  for (size_t i = 0; i < TAR_BLOCK; i++) all |= block[i];
  return all < 0x80;
}

/* Takes off the slash at the start, and at the end of a directory. */
static bool clean(char *name, bool directory) {
  if (*name == '/') memmove(name, name + 1, strlen(name));
  size_t length = strlen(name);
  if (directory && length > 0 && name[length - 1] == '/') name[length - 1] = 0;
  for (const char *step = name;; step++) {
    size_t size = strcspn(step, "/");
    if (!size || (step[0] == '.' && (size == 1 || (size == 2 && step[1] == '.')))) return false;
    step += size;
    if (!*step) return true;
  }
}

const char *tar_header(const unsigned char *block, const struct tar_records *said,
                       struct tar_entry *entry) {
  uint64_t mode, size, other;
  if (memcmp(block + 257, "ustar\0" "00", 8) || !memcmp(block + 508, "tar", 4)) return "dialect";
  if (!is_ascii(block) || !sums_up(block)) return "header";
  if (!octal(block + 100, 8, &mode) || !octal(block + 124, 12, &size)) return "number";
  if (!octal(block + 108, 8, &other) || !octal(block + 116, 8, &other)) return "owner";
  if (!octal(block + 136, 12, &other)) return "time";
  if (!octal(block + 329, 8, &other) || !octal(block + 337, 8, &other)) return "device";
  entry->kind = (enum tar_kind)block[156];
  entry->mode = mode & 07777;
  entry->size = size;
  if (entry->kind == TAR_RECORDS) return said->name[0] || said->link[0] ? "two headers" : NULL;
  const bool is_file = entry->kind == TAR_FILE, is_link = entry->kind == TAR_SYMLINK;
  if (!is_file && !is_link && entry->kind != TAR_DIRECTORY) return "kind";
  if (!is_file && size > 0) return "content";
  const size_t prefix = strnlen((const char *)block + 345, 155);
  if (said->name[0]) {
    strcpy(entry->name, said->name);
  } else {
    char *to = entry->name;
    memcpy(to, block + 345, prefix);
    to += prefix;
    if (prefix > 0) *to++ = '/';
    const size_t length = strnlen((const char *)block, 100);
    memcpy(to, block, length);
    to[length] = 0;
  }
  if (!clean(entry->name, entry->kind == TAR_DIRECTORY)) return "name";
  entry->link[0] = 0;
  if (!is_link) return block[157] || said->link[0] ? "link" : NULL;
  if (said->link[0]) {
    strcpy(entry->link, said->link);
  } else {
    const size_t length = strnlen((const char *)block + 157, 100);
    memcpy(entry->link, block + 157, length);
    entry->link[length] = 0;
  }
  return entry->link[0] ? NULL : "link";
}

bool tar_is_text(const char *bytes, size_t length) {
  const unsigned char *at = (const unsigned char *)bytes, *end = at + length;
  while (at < end) {
    const unsigned char first = *at++;
    if (first == 0) return false;
    if (first < 0x80) continue;
    size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || (size_t)(end - at) < more) return false;
    const unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (*at < least || *at > most) return false;
    for (at++; --more > 0; at++) if ((*at & 0xc0) != 0x80) return false;
  }
  return true;
}

const char *tar_records(const char *bytes, size_t length, struct tar_records *said) {
  const char *end = bytes + length;
  while (bytes < end) {
    size_t size = 0;
    const char *at = bytes;
    if (*at == '0') return "record";
    for (; at < end && *at >= '0' && *at <= '9' && size < MOST_RECORDS; at++) {
      size = size * 10 + (size_t)(*at - '0');
    }
    if (at == bytes || at == end || *at != ' ' || size > (size_t)(end - bytes)) return "record";
    at++;
    const char *last = bytes + size - 1; /* its line feed */
    const char *equals = at < last ? memchr(at, '=', (size_t)(last - at)) : NULL;
    if (!equals || *last != '\n') return "record";
    char *to = NULL;
    if (equals - at == 4 && !memcmp(at, "path", 4)) to = said->name;
    if (equals - at == 8 && !memcmp(at, "linkpath", 8)) to = said->link;
    const size_t value = (size_t)(last - equals - 1);
    if (!to || *to || !value || value >= PATH_MAX || !tar_is_text(equals + 1, value)) return "record";
    memcpy(to, equals + 1, value);
    to[value] = 0;
    bytes = last + 1;
  }
  return NULL;
}
