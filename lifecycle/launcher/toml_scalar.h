/* toml_scalar.h: the shapes of TOML's numbers and times, whose values the launcher never needs. */
#include <stddef.h>

size_t toml_scalar_length(const char *text, size_t left);
int toml_is_number(const char *text, size_t length);
int toml_is_time(const char *text, size_t length);
