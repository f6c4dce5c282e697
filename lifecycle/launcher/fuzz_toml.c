/*
 * fuzz_toml.c: the TOML reader of the launcher, alone, with libc and the sanitizers.
 *
 *   fuzz_toml dump           documents on standard input, each after its length (4 bytes, low first);
 *                            a line of JSON for each, or "refused LINE: WHY"
 *   fuzz_toml fuzz SECONDS SEED FILE
 *                            makes documents until the time is over; the one that ends it is in FILE
 *
 * The same seed makes the same documents in the same order.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "toml.h"

enum { LARGEST = 1 << 16, KEPT = 64 };

/* Each piece on its own, so that the sanitizer sees its ends. */
static void **pieces;
static size_t count, room;

void *
alloc(size_t size)
{
	void *piece = calloc(1, size);

	if (count == room)
		pieces = realloc(pieces, (room = room ? room * 2 : 256) * sizeof(*pieces));
	pieces[count++] = piece;
	return piece;
}

static void
release(void)
{
	while (count)
		free(pieces[--count]);
}

static void
die(const char *why)
{
	fprintf(stderr, "%s\n", why);
	abort();
}

/* --- dump --- */

static void
dump_text(const char *text, size_t length)
{
	putchar('"');
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (byte < ' ' || byte == 0x7f || byte == '"' || byte == '\\')
			printf("\\u%04x", byte);
		else
			putchar(byte);
	}
	putchar('"');
}

static void
dump(const struct toml *at)
{
	if (at->kind == TOML_STRING) {
		dump_text(at->text, at->length);
	} else if (at->kind == TOML_BOOL) {
		printf(at->truth ? "true" : "false");
	} else if (at->kind == TOML_OTHER) {
		printf("null");
	} else {
		putchar(at->kind == TOML_TABLE ? '{' : '[');
		for (const struct toml *each = at->first; each; each = each->next) {
			if (at->kind == TOML_TABLE) {
				dump_text(each->key, each->key_length);
				putchar(':');
			}
			dump(each);
			if (each->next)
				putchar(',');
		}
		putchar(at->kind == TOML_TABLE ? '}' : ']');
	}
}

static int
dump_all(void)
{
	unsigned char size[4];

	while (fread(size, 1, 4, stdin) == 4) {
		size_t length = size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
		char *text = malloc(length ? length : 1);
		struct toml_error error = { 0, NULL };
		struct toml *root;

		if (fread(text, 1, length, stdin) != length)
			return 1;
		root = toml_parse(text, length, &error);
		if (root)
			dump(root);
		else
			printf("refused %u: %s", error.line, error.what);
		putchar('\n');
		free(text);
		release();
	}
	return 0;
}

/* --- fuzz --- */

static const char *const words[] = {
	"a", "b", "key", "\"q k\"", "'l'", ".", ".", "=", " = ", "\n", "\n", "\r\n", "[", "]", "[[", "]]",
	"{", "}", ",", ",", "\"\"", "''", "\"text\"", "'text'", "\"\"\"", "'''", "\"\"\"\"\"", "\\", "\\\n",
	"\\u00e9", "\\U0001F600", "\\ud800", "\\x41", "\\e", "\\\"", "true", "false", "1", "-0", "+1_000",
	"0x1F", "0o17", "0b1", "0.5", "1e9", "inf", "-nan", "9223372036854775807", "1979-05-27",
	"1979-05-27T07:32:00Z", "1979-05-27 07:32:00.5-07:00", "07:32", "2024-02-30", "# comment", "\t",
	" ", "\357\273\277", "\303\251", "\377", "\303", "\0", "\177", "\r",
	"[[processes]]\ntype = \"web\"\ncommand = [\"a\", \"b\"]\nargs = []\ndirect = true\n",
	"[[buildpacks]]\nid = \"x/y\"\napi = \"0.10\"\n", "[a.b.c]\n", "[[a.b]]\n", "a.b.c = 1\n",
	"a = {b = 1, c.d = 2}\n", "x = [1, [2, 3], {y = 'z'}]\n",
};

static uint64_t state;

static uint64_t
draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return below ? (state * 2685821657736338717u >> 16) % below : 0;
}

static char document[LARGEST], kept[KEPT][LARGEST];
static size_t length, kept_length[KEPT];
static const char *crash_file;

static void
save(void)
{
	FILE *file = fopen(crash_file, "w");

	if (file) {
		fwrite(document, 1, length, file);
		fclose(file);
	}
}

static void
insert(size_t at, const char *text, size_t size)
{
	if (length + size > LARGEST)
		return;
	memmove(document + at + size, document + at, length - at);
	memcpy(document + at, text, size);
	length += size;
}

static void
insert_word(size_t at)
{
	const char *word = words[draw(sizeof(words) / sizeof(*words))];

	insert(at, word, *word ? strlen(word) : 1);
}

static void
mutate(void)
{
	size_t at = draw(length + 1), size;

	switch (draw(6)) {
	case 0: case 1:
		insert_word(at);
		break;
	case 2:
		size = draw(16);
		if (size > length - at)
			size = length - at;
		memmove(document + at, document + at + size, length - at - size);
		length -= size;
		break;
	case 3:
		if (at < length)
			document[at] ^= (char)(1 << draw(8));
		break;
	case 4:
		size = draw(length - at + 1);
		if (size < 256) {
			char copy[256];

			memcpy(copy, document + at, size);
			insert(draw(length + 1), copy, size);
		}
		break;
	case 5:
		if (at < length)
			document[at] = (char)draw(256);
		break;
	}
}

static void
make(void)
{
	size_t from = draw(KEPT);

	length = 0;
	if (draw(8) == 0) {
		for (uint64_t n = draw(40); n; n--)
			insert_word(length);
	} else {
		length = kept_length[from];
		memcpy(document, kept[from], length);
	}
	for (uint64_t n = 1 + draw(8); n; n--)
		mutate();
	if (draw(500) == 0) {
		insert(length, "\nz=", 3);
		while (length < LARGEST - 64 && draw(10000))
			draw(2) ? insert(length, "[", 1) : insert(length, "{a=", 3);
	}
}

/* What must hold of every accepted document. */
static void
check(const struct toml *at, unsigned lines, int depth)
{
	if (at->line < 1 || at->line > lines || depth > 100000)
		die("a line that is not in the document");
	if (at->kind == TOML_STRING && at->text[at->length])
		die("a string without its NUL");
	for (const struct toml *each = at->first; each; each = each->next) {
		if (each->parent != at || (!each->next && at->last != each))
			die("a broken list");
		if (at->kind == TOML_TABLE && (!each->key || each->key[each->key_length]))
			die("a key without its NUL");
		if (at->kind == TOML_TABLE && strlen(each->key) == each->key_length &&
		    toml_get(at, each->key) != each)
			die("a key twice");
		check(each, lines, depth + 1);
	}
}

static int
try(void)
{
	char *text = malloc(length ? length : 1);
	struct toml_error error = { 0, NULL };
	struct toml *root;
	unsigned lines = 1;

	memcpy(text, document, length);
	for (size_t i = 0; i < length; i++)
		lines += text[i] == '\n';
	root = toml_parse(text, length, &error);
	if (root)
		check(root, lines, 0);
	else if (!error.what || error.line < 1 || error.line > lines)
		die("a refusal without a line or a reason");
	free(text);
	release();
	return root != NULL;
}

#if defined(__SANITIZE_ADDRESS__)
void __sanitizer_set_death_callback(void (*callback)(void));
#endif

static int
fuzz(double seconds, uint64_t seed)
{
	uint64_t runs = 0, accepted = 0;
	struct timespec start, now;

	state = seed * 0x9e3779b97f4a7c15u + 1;
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_set_death_callback(save);
#endif
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		make();
		if (try()) {
			size_t into = draw(KEPT);

			accepted++;
			if (length < 2048) {
				memcpy(kept[into], document, length);
				kept_length[into] = length;
			}
		}
		runs++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
	printf("%llu runs, %llu accepted\n", (unsigned long long)runs, (unsigned long long)accepted);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "dump") == 0)
		return dump_all();
	if (argc == 5 && strcmp(argv[1], "fuzz") == 0) {
		crash_file = argv[4];
		return fuzz(atof(argv[2]), strtoull(argv[3], NULL, 10));
	}
	fprintf(stderr, "usage: fuzz_toml dump | fuzz_toml fuzz SECONDS SEED FILE\n");
	return 2;
}
