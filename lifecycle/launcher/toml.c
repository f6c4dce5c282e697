/* toml.c: text to a tree of toml.h. One pass, top to bottom; the first fault ends it. */
#include "toml.h"

#include <stdint.h>

#include "toml_scalar.h"

void *alloc(size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *s);

enum { BUCKETS = 1024, DEEPEST = 100 };

/* How a table or array came to be: decides who may still add to it. */
enum {
	BY_PATH,     /* a table named on the way to a [header] */
	BY_HEADER,   /* a [header], or an element of [[header]] */
	BY_KEY,      /* a dotted key */
	BY_ELEMENTS, /* an array of [[header]] */
	CLOSED       /* { } or [ ]: complete where it stands */
};

struct reader {
	const char *at, *end;
	unsigned line;
	char *text;             /* where the next decoded string goes */
	struct toml **bucket;
	struct toml_error *error;
	int depth;
};

static int read_value(struct reader *r, struct toml *into);

static int
refuse(struct reader *r, const char *what)
{
	if (!r->error->what) {
		r->error->what = what;
		r->error->line = r->line;
	}
	return 0;
}

/* The byte `ahead` bytes on; 0 past the end, which no document may contain. */
static unsigned char
peek(const struct reader *r, size_t ahead)
{
	return (size_t)(r->end - r->at) > ahead ? (unsigned char)r->at[ahead] : 0;
}

static int
take(struct reader *r, char byte)
{
	if (peek(r, 0) != (unsigned char)byte || r->at == r->end)
		return 0;
	r->at++;
	return 1;
}

static void
skip_blanks(struct reader *r)
{
	while (peek(r, 0) == ' ' || peek(r, 0) == '\t')
		r->at++;
}

static int
take_newline(struct reader *r)
{
	if (peek(r, 0) == '\r' && peek(r, 1) == '\n')
		r->at++;
	if (!take(r, '\n'))
		return 0;
	r->line++;
	return 1;
}

static int
is_control(unsigned char byte)
{
	return (byte < ' ' && byte != '\t') || byte == 0x7f;
}

/* Blanks and a comment, up to the newline. */
static int
skip_comment(struct reader *r)
{
	skip_blanks(r);
	if (!take(r, '#'))
		return 1;
	while (r->at < r->end && peek(r, 0) != '\n' && !(peek(r, 0) == '\r' && peek(r, 1) == '\n')) {
		if (is_control(peek(r, 0)))
			return refuse(r, "a control character in a comment");
		r->at++;
	}
	return 1;
}

static int
skip_space(struct reader *r)
{
	do
		if (!skip_comment(r))
			return 0;
	while (take_newline(r));
	return 1;
}

static int
end_of_line(struct reader *r)
{
	if (!skip_comment(r))
		return 0;
	if (r->at == r->end || take_newline(r))
		return 1;
	return refuse(r, "want the end of the line");
}

/* --- the tree --- */

static struct toml **
bucket(struct reader *r, const struct toml *table, const char *key, size_t length)
{
	uint32_t hash = (uint32_t)((uintptr_t)table >> 4) ^ 2166136261u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)key[i]) * 16777619u;
	return &r->bucket[(hash ^ hash >> 16) % BUCKETS];
}

static struct toml *
find(struct reader *r, const struct toml *table, const char *key, size_t length)
{
	struct toml *at = *bucket(r, table, key, length);

	while (at && !(at->parent == table && at->key_length == length &&
	               memcmp(at->key, key, length) == 0))
		at = at->chain;
	return at;
}

static struct toml *
add(struct reader *r, struct toml *parent, const char *key, size_t length)
{
	struct toml *new = alloc(sizeof(*new));

	new->line = r->line;
	new->parent = parent;
	if (parent->last)
		parent->last->next = new;
	else
		parent->first = new;
	parent->last = new;
	if (key) {
		struct toml **head = bucket(r, parent, key, length);

		new->key = key;
		new->key_length = length;
		new->chain = *head;
		*head = new;
	}
	return new;
}

/* --- strings --- */

static void
put(struct reader *r, unsigned char byte)
{
	*r->text++ = (char)byte;
}

static void
put_utf8(struct reader *r, uint32_t point)
{
	if (point < 0x80) {
		put(r, (unsigned char)point);
		return;
	}
	if (point < 0x800) {
		put(r, (unsigned char)(0xc0 | point >> 6));
	} else {
		if (point < 0x10000) {
			put(r, (unsigned char)(0xe0 | point >> 12));
		} else {
			put(r, (unsigned char)(0xf0 | point >> 18));
			put(r, (unsigned char)(0x80 | (point >> 12 & 0x3f)));
		}
		put(r, (unsigned char)(0x80 | (point >> 6 & 0x3f)));
	}
	put(r, (unsigned char)(0x80 | (point & 0x3f)));
}

static int
hex(unsigned char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static int
read_code_point(struct reader *r, int digits)
{
	uint32_t point = 0;

	while (digits--) {
		int digit = hex(peek(r, 0));

		if (digit < 0)
			return refuse(r, "an escape wants more hexadecimal digits");
		point = point << 4 | (uint32_t)digit;
		r->at++;
	}
	if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return refuse(r, "an escape that is no Unicode scalar value");
	put_utf8(r, point);
	return 1;
}

static int
read_escape(struct reader *r)
{
	static const char plain[] = "b\bt\tn\nf\fr\re\033\"\"\\\\";
	char kind = (char)peek(r, 0);

	if (r->at == r->end)
		return refuse(r, "an unfinished string");
	r->at++;
	if (kind == 'x')
		return read_code_point(r, 2);
	if (kind == 'u')
		return read_code_point(r, 4);
	if (kind == 'U')
		return read_code_point(r, 8);
	for (const char *at = plain; *at; at += 2) {
		if (*at == kind) {
			put(r, (unsigned char)at[1]);
			return 1;
		}
	}
	return refuse(r, "an unknown escape in a string");
}

/* A backslash at the end of a line takes the newlines and blanks after it away. */
static int
skip_folded(struct reader *r)
{
	const char *from = r->at;

	skip_blanks(r);
	if (!take_newline(r)) {
		r->at = from;
		return 0;
	}
	do
		skip_blanks(r);
	while (take_newline(r));
	return 1;
}

static int
read_line_string(struct reader *r, char quote)
{
	for (;;) {
		if (take(r, quote))
			return 1;
		if (r->at == r->end || peek(r, 0) == '\n' || peek(r, 0) == '\r')
			return refuse(r, "an unfinished string");
		if (is_control(peek(r, 0)))
			return refuse(r, "a control character in a string");
		if (quote == '"' && take(r, '\\')) {
			if (!read_escape(r))
				return 0;
		} else {
			put(r, (unsigned char)*r->at++);
		}
	}
}

/* Three quotes end it, and up to two more before them belong to it. */
static int
at_long_end(struct reader *r, char quote)
{
	size_t count = 0;

	while (count < 5 && peek(r, count) == (unsigned char)quote)
		count++;
	if (count < 3)
		return 0;
	for (r->at += count; count > 3; count--)
		put(r, (unsigned char)quote);
	return 1;
}

static int
read_long_string(struct reader *r, char quote)
{
	unsigned line = r->line;

	take_newline(r);
	for (;;) {
		const char *from = r->at;

		if (at_long_end(r, quote))
			return 1;
		if (r->at == r->end) {
			r->line = line;
			return refuse(r, "an unfinished string of several lines");
		}
		if (take_newline(r)) {
			while (from < r->at)
				put(r, (unsigned char)*from++);
		} else if (is_control(peek(r, 0))) {
			return refuse(r, "a control character in a string");
		} else if (quote == '"' && take(r, '\\')) {
			if (!skip_folded(r) && !read_escape(r))
				return 0;
		} else {
			put(r, (unsigned char)*r->at++);
		}
	}
}

/* After its first quote. A string never grows by decoding, and a NUL replaces its last quote. */
static int
read_string(struct reader *r, char quote, int may_be_long, const char **text, size_t *length)
{
	char *start = r->text;
	int is_long = peek(r, 0) == (unsigned char)quote && peek(r, 1) == (unsigned char)quote;

	if (is_long && may_be_long)
		r->at += 2;
	if (!(is_long && may_be_long ? read_long_string : read_line_string)(r, quote))
		return 0;
	*text = start;
	*length = (size_t)(r->text - start);
	put(r, 0);
	return 1;
}

/* --- keys --- */

static int
is_bare(unsigned char byte)
{
	unsigned char low = byte | 0x20;

	return (low >= 'a' && low <= 'z') || (byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
}

static int
read_key(struct reader *r, const char **key, size_t *length)
{
	char *start = r->text;

	skip_blanks(r);
	if (take(r, '"'))
		return read_string(r, '"', 0, key, length);
	if (take(r, '\''))
		return read_string(r, '\'', 0, key, length);
	while (is_bare(peek(r, 0)))
		put(r, (unsigned char)*r->at++);
	if (r->text == start)
		return refuse(r, "want a key");
	*key = start;
	*length = (size_t)(r->text - start);
	put(r, 0);
	return 1;
}

static int
take_dot(struct reader *r)
{
	skip_blanks(r);
	return take(r, '.');
}

/* a.b.c = value, into `table` */
static int
read_pair(struct reader *r, struct toml *table)
{
	const char *key;
	size_t length;

	if (!read_key(r, &key, &length))
		return 0;
	while (take_dot(r)) {
		struct toml *next = find(r, table, key, length);

		if (!next) {
			next = add(r, table, key, length);
			next->kind = TOML_TABLE;
			next->how = BY_KEY;
		} else if (next->kind != TOML_TABLE || next->how != BY_KEY) {
			return refuse(r, "a dotted key adds to what is defined elsewhere");
		}
		table = next;
		if (!read_key(r, &key, &length))
			return 0;
	}
	if (!take(r, '='))
		return refuse(r, "want = after a key");
	if (find(r, table, key, length))
		return refuse(r, "a key that is there already");
	skip_blanks(r);
	return read_value(r, add(r, table, key, length));
}

/* --- values --- */

static int
read_array(struct reader *r, struct toml *into)
{
	into->kind = TOML_ARRAY;
	into->how = CLOSED;
	for (;;) {
		if (!skip_space(r))
			return 0;
		if (take(r, ']'))
			return 1;
		if (!read_value(r, add(r, into, NULL, 0)) || !skip_space(r))
			return 0;
		if (take(r, ']'))
			return 1;
		if (!take(r, ','))
			return refuse(r, "want , or ] in an array");
	}
}

static int
read_inline_table(struct reader *r, struct toml *into)
{
	into->kind = TOML_TABLE;
	into->how = CLOSED;
	for (;;) {
		if (!skip_space(r))
			return 0;
		if (take(r, '}'))
			return 1;
		if (!read_pair(r, into) || !skip_space(r))
			return 0;
		if (take(r, '}'))
			return 1;
		if (!take(r, ','))
			return refuse(r, "want , or } in an inline table");
	}
}

static int
read_nested(struct reader *r, struct toml *into, int (*read)(struct reader *, struct toml *))
{
	int ok;

	if (r->depth == DEEPEST)
		return refuse(r, "nested too deeply");
	r->depth++;
	ok = read(r, into);
	r->depth--;
	return ok;
}

static int
read_scalar(struct reader *r, struct toml *into)
{
	size_t length = toml_scalar_length(r->at, (size_t)(r->end - r->at));

	if (length == 0)
		return refuse(r, "want a value");
	into->kind = TOML_OTHER;
	if (length == 4 && memcmp(r->at, "true", 4) == 0) {
		into->kind = TOML_BOOL;
		into->truth = 1;
	} else if (length == 5 && memcmp(r->at, "false", 5) == 0) {
		into->kind = TOML_BOOL;
	} else if (!toml_is_number(r->at, length) && !toml_is_time(r->at, length)) {
		return refuse(r, "a value that is no string, number, time, true or false");
	}
	r->at += length;
	return 1;
}

static int
read_value(struct reader *r, struct toml *into)
{
	if (take(r, '['))
		return read_nested(r, into, read_array);
	if (take(r, '{'))
		return read_nested(r, into, read_inline_table);
	into->kind = TOML_STRING;
	if (take(r, '"'))
		return read_string(r, '"', 1, &into->text, &into->length);
	if (take(r, '\''))
		return read_string(r, '\'', 1, &into->text, &into->length);
	return read_scalar(r, into);
}

/* --- [headers] --- */

/* One step of a header's path, into the last element where it is an array of tables. */
static struct toml *
step_into(struct reader *r, struct toml *table, const char *key, size_t length)
{
	struct toml *next = find(r, table, key, length);

	if (!next) {
		next = add(r, table, key, length);
		next->kind = TOML_TABLE;
		next->how = BY_PATH;
	}
	if (next->kind == TOML_ARRAY && next->how == BY_ELEMENTS)
		return next->last;
	if (next->kind == TOML_TABLE && next->how != CLOSED)
		return next;
	refuse(r, "a header that goes through a value");
	return NULL;
}

static struct toml *
open_table(struct reader *r, struct toml *table, const char *key, size_t length)
{
	struct toml *found = find(r, table, key, length);

	if (!found)
		found = add(r, table, key, length);
	else if (found->kind != TOML_TABLE || found->how != BY_PATH) {
		refuse(r, "a table that is there already");
		return NULL;
	}
	found->kind = TOML_TABLE;
	found->how = BY_HEADER;
	return found;
}

static struct toml *
open_element(struct reader *r, struct toml *table, const char *key, size_t length)
{
	struct toml *array = find(r, table, key, length), *element;

	if (!array) {
		array = add(r, table, key, length);
		array->kind = TOML_ARRAY;
		array->how = BY_ELEMENTS;
	} else if (array->kind != TOML_ARRAY || array->how != BY_ELEMENTS) {
		refuse(r, "a key that is there already and no array of tables");
		return NULL;
	}
	element = add(r, array, NULL, 0);
	element->kind = TOML_TABLE;
	element->how = BY_HEADER;
	return element;
}

/* After its first [. NULL when refused. */
static struct toml *
read_header(struct reader *r, struct toml *table)
{
	int is_element = take(r, '[');
	const char *key;
	size_t length;

	if (!read_key(r, &key, &length))
		return NULL;
	while (take_dot(r)) {
		table = step_into(r, table, key, length);
		if (!table || !read_key(r, &key, &length))
			return NULL;
	}
	if (!take(r, ']') || (is_element && !take(r, ']'))) {
		refuse(r, "want ] at the end of a header");
		return NULL;
	}
	return (is_element ? open_element : open_table)(r, table, key, length);
}

/* --- the document --- */

/* The length of the UTF-8 sequence at `at`, or 0: no overlong forms, no surrogates. */
static size_t
sequence(const unsigned char *at, size_t left)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 :
	                at[0] < 0xf8 ? 4 : 0;
	uint32_t point = at[0] & (0xff >> (length + 1));

	if (length < 2)
		return length;
	if (length > left)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (at[i] & 0x3f);
	}
	if (point < lowest[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return 0;
	return length;
}

static int
check_bytes(struct reader *r, const char *text, size_t length)
{
	for (size_t i = 0, step; i < length; i += step) {
		step = sequence((const unsigned char *)text + i, length - i);
		if (step == 0)
			return refuse(r, "bytes that are not UTF-8");
		r->line += text[i] == '\n';
	}
	r->line = 1;
	return 1;
}

static int
read_document(struct reader *r, struct toml *root)
{
	struct toml *table = root;

	while (r->at < r->end) {
		skip_blanks(r);
		if (take(r, '[')) {
			table = read_header(r, root);
			if (!table)
				return 0;
		} else if (r->at < r->end && !take_newline(r)) {
			if (peek(r, 0) != '#' && !read_pair(r, table))
				return 0;
		} else {
			continue;
		}
		if (!end_of_line(r))
			return 0;
	}
	return 1;
}

struct toml *
toml_parse(const char *text, size_t length, struct toml_error *error)
{
	struct reader r = { text, text + length, 1, NULL, NULL, error, 0 };
	struct toml *root = alloc(sizeof(*root));

	error->what = NULL;
	r.text = alloc(length + 1);
	r.bucket = alloc(BUCKETS * sizeof(*r.bucket));
	root->line = 1;
	if (length >= 3 && memcmp(text, "\357\273\277", 3) == 0)
		r.at += 3;
	if (!check_bytes(&r, text, length) || !read_document(&r, root))
		return NULL;
	return root;
}

struct toml *
toml_get(const struct toml *table, const char *key)
{
	size_t length = strlen(key);

	for (struct toml *at = table->first; at; at = at->next)
		if (at->key_length == length && memcmp(at->key, key, length) == 0)
			return at;
	return NULL;
}
