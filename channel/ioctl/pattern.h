/* SPDX-License-Identifier: MIT */
/*
 * pattern.h - the patterns of Windows' listings
 *
 * A name matches as FsRtlIsNameInExpression says, without regard to case:
 *
 *    *           any number of characters
 *    ?           one character
 *    < DOS_STAR  any number of characters, but not the last period and what is behind it
 *    > DOS_QM    one character that is no period; or none, before a period and at the end of the name
 *    " DOS_DOT   a period; or none, at the end of the name
 *
 * What programs mean by "*.*" or "a?" is no concern of this: Win32 has made it "*" or "a>" by then.
 *
 * The pattern is run as an automaton whose states are places in it, all at once: the time is at most the product of
 * both lengths whatever the pattern, and nothing is allocated. No state; any thread.
 */
#ifndef CHANNEL_IOCTL_PATTERN_H
#define CHANNEL_IOCTL_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest pattern, in characters; a longer one matches nothing. */
#define PATTERN_MAX 1024u

/* pattern has been put into upper case by name_fold; name comes as it is. */
bool pattern_matches(const uint16_t *pattern, size_t pattern_length, const uint16_t *name, size_t name_length);

/* A name without a character that means something in a pattern: at most one file has it. */
bool pattern_is_name(const uint16_t *pattern, size_t length);

#endif
