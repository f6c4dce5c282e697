/*
 * toml.h: a reader of TOML 1.0, with what 1.1 allows on top (\e, \xHH, newlines and a last
 * comma in inline tables, times without seconds), because writers of metadata.toml may use it.
 * Numbers and dates are checked and dropped: the launcher uses none.
 */
#include <stddef.h>

enum toml_kind { TOML_TABLE, TOML_ARRAY, TOML_STRING, TOML_BOOL, TOML_OTHER };

struct toml {
	enum toml_kind kind;
	int how;                           /* how a table or array was made */
	int truth;                         /* of a TOML_BOOL */
	unsigned line;                     /* where it starts, from 1 */
	const char *key;                   /* NULL in arrays; ends with a NUL */
	size_t key_length;
	const char *text;                  /* of a TOML_STRING; ends with a NUL */
	size_t length;
	struct toml *first, *last, *next;  /* members in the order of the document */
	struct toml *parent, *chain;       /* chain: same hash */
};

struct toml_error { unsigned line; const char *what; };

/* The root table, or NULL with *error set. Allocates with alloc() of memory.c. */
struct toml *toml_parse(const char *text, size_t length, struct toml_error *error);
struct toml *toml_get(const struct toml *table, const char *key);
