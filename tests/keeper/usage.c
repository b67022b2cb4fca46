/* SPDX-License-Identifier: MIT */
#include "tests/keeper/usage.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/sanitizers.h"

bool usage_memory_counts(void)
{
	return !UNDER_ASAN && !UNDER_TSAN;
}

static int count_entries(pid_t pid, const char *folder)
{
	char path[64];
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid ? pid : getpid(), folder);
	dir = opendir(path);
	if (!dir)
		return -1;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return pid ? count : count - (strcmp(folder, "fd") == 0);
}

int usage_threads(pid_t pid)
{
	return count_entries(pid, "task");
}

int usage_descriptors(pid_t pid)
{
	return count_entries(pid, "fd");
}

static long status_value(pid_t pid, const char *key)
{
	char path[64], line[256];
	long value = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid ? pid : getpid());
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			sscanf(line + strlen(key), ": %ld", &value);
	if (file)
		fclose(file);
	return value;
}

long usage_resident(pid_t pid)
{
	return status_value(pid, "RssAnon");
}

long usage_heap(pid_t pid)
{
	char path[64], line[512];
	unsigned long from, to;
	long size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid ? pid : getpid());
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, "[heap]") && sscanf(line, "%lx-%lx", &from, &to) == 2)
			size += (long)((to - from) / 1024);
	if (file)
		fclose(file);
	return size;
}
