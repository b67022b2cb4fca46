/* SPDX-License-Identifier: MIT */
#include "channel/ioctl/pattern.h"

#include <string.h>

#include "channel/ioctl/names.h"

#define WORDS (PATTERN_MAX / 64 + 1)

/* Where the automaton is: bit p says that p characters of the pattern have been used up. */
struct states {
	uint64_t word[WORDS];
	size_t words; /* that the pattern needs */
};

static void add(struct states *states, size_t place)
{
	states->word[place / 64] |= (uint64_t)1 << place % 64;
}

static bool holds(const struct states *states, size_t place)
{
	return states->word[place / 64] >> place % 64 & 1;
}

/* What of the pattern may stand for no character, where the next one of the name is next (at its end: none). */
static bool may_be_empty(uint16_t what, bool at_end, uint16_t next)
{
	switch (what) {
	case '*':
	case '<':
		return true;
	case '>':
		return at_end || next == '.';
	case '"':
		return at_end;
	default:
		return false;
	}
}

static bool consumes(uint16_t what, uint16_t next)
{
	switch (what) {
	case '?':
		return true;
	case '>':
		return next != '.';
	case '"':
		return next == '.';
	default:
		return what == name_fold(next);
	}
}

/* Steps without a character; forwards only, so one pass is enough. */
static void spread(struct states *states, const uint16_t *pattern, size_t length, bool at_end, uint16_t next)
{
	for (size_t place = 0; place < length; place++)
		if (holds(states, place) && may_be_empty(pattern[place], at_end, next))
			add(states, place + 1);
}

bool pattern_matches(const uint16_t *pattern, size_t pattern_length, const uint16_t *name, size_t name_length)
{
	struct states now, after;
	size_t last_dot = name_length;

	if (pattern_length == 1 && pattern[0] == '*')
		return true;
	if (pattern_length > PATTERN_MAX)
		return false;
	for (size_t i = 0; i < name_length; i++)
		if (name[i] == '.')
			last_dot = i;
	now.words = after.words = pattern_length / 64 + 1;
	memset(now.word, 0, now.words * sizeof(now.word[0]));
	add(&now, 0);
	for (size_t i = 0; i < name_length; i++) {
		bool any = false;

		spread(&now, pattern, pattern_length, false, name[i]);
		memset(after.word, 0, after.words * sizeof(after.word[0]));
		for (size_t place = 0; place < pattern_length; place++) {
			if (!holds(&now, place))
				continue;
			if (pattern[place] == '*' || (pattern[place] == '<' && i != last_dot))
				add(&after, place);
			else if (pattern[place] != '<' && consumes(pattern[place], name[i]))
				add(&after, place + 1);
			else
				continue;
			any = true;
		}
		if (!any)
			return false;
		memcpy(now.word, after.word, now.words * sizeof(now.word[0]));
	}
	spread(&now, pattern, pattern_length, true, 0);
	return holds(&now, pattern_length);
}

bool pattern_is_name(const uint16_t *pattern, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (pattern[i] < 128 && pattern[i] && strchr("*?<>\"", pattern[i]))
			return false;
	return true;
}
