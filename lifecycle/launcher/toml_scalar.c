/* toml_scalar.c: is this run of bytes a number or a time? */
#include "toml_scalar.h"

#include <stdint.h>

int memcmp(const void *a, const void *b, size_t size);

struct span { const char *at, *end; };

static int
is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

static int
is_part(char byte)
{
	char low = (char)(byte | 0x20);

	return is_digit(byte) || (low >= 'a' && low <= 'z') || byte == '+' || byte == '-' ||
	       byte == '_' || byte == '.' || byte == ':';
}

/* How far a scalar reaches. A blank is part of it only between a date and a time. */
size_t
toml_scalar_length(const char *text, size_t left)
{
	size_t n = 0;

	while (n < left && is_part(text[n]))
		n++;
	if (n == 10 && left > 12 && text[4] == '-' && text[10] == ' ' && is_digit(text[11]) &&
	    is_digit(text[12]))
		for (n = 11; n < left && is_part(text[n]);)
			n++;
	return n;
}

static int
take(struct span *s, char byte)
{
	if (s->at == s->end || *s->at != byte)
		return 0;
	s->at++;
	return 1;
}

static int
is_word(const struct span *s, const char *word)
{
	return s->end - s->at == 3 && memcmp(s->at, word, 3) == 0;
}

static int
value_of(char byte)
{
	char low = (char)(byte | 0x20);

	return is_digit(byte) ? byte - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : 99;
}

/* Digits of `base` with single underscores between them; *value up to 64 bits, *fits when so. */
static int
take_digits(struct span *s, unsigned base, uint64_t *value, int *fits)
{
	const char *start = s->at;

	*value = 0;
	*fits = 1;
	while (s->at < s->end) {
		unsigned digit = (unsigned)value_of(*s->at);

		if (*s->at == '_') {
			if (s->at == start || s->at[-1] == '_')
				return 0;
		} else if (digit >= base) {
			break;
		} else if (*value > (UINT64_MAX - digit) / base) {
			*fits = 0;
		} else {
			*value = *value * base + digit;
		}
		s->at++;
	}
	return s->at > start && s->at[-1] != '_';
}

static int
is_based(struct span *s, unsigned base)
{
	uint64_t value;
	int fits;

	s->at += 2;
	return take_digits(s, base, &value, &fits) && s->at == s->end && fits && value <= INT64_MAX;
}

/* After the whole part: .digits, exponent, or both */
static int
is_fraction(struct span *s)
{
	uint64_t value;
	int fits;

	if (take(s, '.') && !take_digits(s, 10, &value, &fits))
		return 0;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		if (!take_digits(s, 10, &value, &fits))
			return 0;
	}
	return s->at == s->end;
}

int
toml_is_number(const char *text, size_t length)
{
	struct span s = { text, text + length };
	const char *start;
	uint64_t value;
	int fits, negative;

	if (length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'o' || text[1] == 'b'))
		return is_based(&s, text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : 2);
	negative = take(&s, '-');
	if (!negative)
		take(&s, '+');
	if (is_word(&s, "inf") || is_word(&s, "nan"))
		return 1;
	start = s.at;
	if (!take_digits(&s, 10, &value, &fits))
		return 0;
	if (*start == '0' && s.at - start > 1)
		return 0;
	if (s.at < s.end)
		return is_fraction(&s);
	return fits && value <= (uint64_t)INT64_MAX + (uint64_t)negative;
}

/* Exactly `count` digits with a value between the two bounds. */
static int
take_field(struct span *s, int count, int lowest, int highest, int *value)
{
	*value = 0;
	while (count--) {
		if (s->at == s->end || !is_digit(*s->at))
			return 0;
		*value = *value * 10 + (*s->at++ - '0');
	}
	return *value >= lowest && *value <= highest;
}

static int
take_date(struct span *s)
{
	static const char days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year, month, day;

	if (!take_field(s, 4, 0, 9999, &year) || !take(s, '-') ||
	    !take_field(s, 2, 1, 12, &month) || !take(s, '-') ||
	    !take_field(s, 2, 1, days[month - 1], &day))
		return 0;
	return month != 2 || day < 29 || (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

static int
take_clock(struct span *s)
{
	int hour, minute, second, digit;

	if (!take_field(s, 2, 0, 23, &hour) || !take(s, ':') || !take_field(s, 2, 0, 59, &minute))
		return 0;
	if (!take(s, ':'))
		return 1;
	if (!take_field(s, 2, 0, 60, &second))
		return 0;
	if (!take(s, '.'))
		return 1;
	if (!take_field(s, 1, 0, 9, &digit))
		return 0;
	while (take_field(s, 1, 0, 9, &digit))
		;
	return 1;
}

static int
take_offset(struct span *s)
{
	int hour, minute;

	if (take(s, 'Z') || take(s, 'z'))
		return 1;
	if (!take(s, '+') && !take(s, '-'))
		return 0;
	return take_field(s, 2, 0, 23, &hour) && take(s, ':') && take_field(s, 2, 0, 59, &minute);
}

int
toml_is_time(const char *text, size_t length)
{
	struct span s = { text, text + length };

	if (length > 2 && text[2] == ':')
		return take_clock(&s) && s.at == s.end;
	if (!take_date(&s))
		return 0;
	if (s.at == s.end)
		return 1;
	if (!take(&s, 'T') && !take(&s, 't') && !take(&s, ' '))
		return 0;
	if (!take_clock(&s))
		return 0;
	return s.at == s.end || (take_offset(&s) && s.at == s.end);
}
