/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Undo the mount table's \040 and the like, in place. */
static void unescape(char *text)
{
	char *out = text;

	while (*text) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] && text[3]) {
			*out++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = '\0';
}

bool mounts_find(const char *target, struct mount_entry *out)
{
	FILE *table = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;
	bool found = false;

	if (!table)
		return false;
	while (getline(&line, &room, table) > 0) {
		struct mount_entry entry = {0};
		char point[PATH_MAX];
		const char *rest;

		if (sscanf(line, "%*s %*s %u:%u %*s %4095s", &entry.major, &entry.minor, point) != 3)
			continue;
		unescape(point);
		rest = strstr(line, " - ");
		if (strcmp(point, target) != 0 || !rest || sscanf(rest, " - %63s", entry.type) != 1)
			continue;
		*out = entry; /* later lines lie on top */
		found = true;
	}
	free(line);
	fclose(table);
	return found;
}
