/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/text.h"

#define SEARCH_MILLISECONDS 2000
#define USERS_SHOWN	    8

struct search {
	const char *target;
	char device[32]; /* "MAJOR:MINOR" in hexadecimal, as /proc/PID/maps writes it */
	int64_t deadline;
};

static int64_t now_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

static bool link_leads_there(const struct search *search, const char *path)
{
	char where[PATH_MAX];
	ssize_t length = readlink(path, where, sizeof(where) - 1);

	if (length <= 0)
		return false;
	where[length] = '\0';
	return text_path_within(where, search->target);
}

static bool has_open_file(const struct search *search, const char *process)
{
	char folder[64], path[384];
	struct dirent *entry;
	bool found = false;
	DIR *stream;

	text_format(folder, sizeof(folder), "/proc/%s/fd", process);
	stream = opendir(folder);
	if (!stream)
		return false;
	while (!found && (entry = readdir(stream)) && now_milliseconds() < search->deadline) {
		text_format(path, sizeof(path), "%s/%s", folder, entry->d_name);
		found = link_leads_there(search, path);
	}
	closedir(stream);
	return found;
}

static bool has_mapped_file(const struct search *search, const char *process)
{
	char path[64], device[32];
	char *line = NULL;
	size_t room = 0;
	bool found = false;
	FILE *maps;

	text_format(path, sizeof(path), "/proc/%s/maps", process);
	maps = fopen(path, "re");
	if (!maps)
		return false;
	while (!found && getline(&line, &room, maps) > 0 && now_milliseconds() < search->deadline)
		found = sscanf(line, "%*s %*s %*s %31s", device) == 1 && strcmp(device, search->device) == 0;
	free(line);
	fclose(maps);
	return found;
}

static bool uses(const struct search *search, const char *process)
{
	char path[64];

	text_format(path, sizeof(path), "/proc/%s/cwd", process);
	if (link_leads_there(search, path))
		return true;
	text_format(path, sizeof(path), "/proc/%s/root", process);
	return link_leads_there(search, path) || has_open_file(search, process) || has_mapped_file(search, process);
}

static void append_process(char *out, size_t size, const char *process)
{
	char path[64], name[64] = "?";
	size_t length = strlen(out);
	FILE *file;

	text_format(path, sizeof(path), "/proc/%s/comm", process);
	file = fopen(path, "re");
	if (file) {
		if (fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = '\0';
		fclose(file);
	}
	snprintf(out + length, size - length, "%s%s (%s)", length ? ", " : "", process, name);
}

bool users_describe(const char *target, char *out, size_t size)
{
	struct search search = {.target = target, .deadline = now_milliseconds() + SEARCH_MILLISECONDS};
	struct mount_entry mount;
	struct dirent *entry;
	unsigned found = 0;
	DIR *stream;

	out[0] = '\0';
	if (mounts_find(target, &mount))
		text_format(search.device, sizeof(search.device), "%02x:%02x", mount.major, mount.minor);
	stream = opendir("/proc");
	if (!stream)
		return false;
	while (found < USERS_SHOWN && (entry = readdir(stream)) && now_milliseconds() < search.deadline) {
		if (!isdigit((unsigned char)entry->d_name[0]) || strtol(entry->d_name, NULL, 10) == getpid())
			continue;
		if (uses(&search, entry->d_name)) {
			append_process(out, size, entry->d_name);
			found++;
		}
	}
	closedir(stream);
	return found > 0;
}
