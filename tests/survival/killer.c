/* SPDX-License-Identifier: MIT */
/* killer.c - finds the service below its keeper and kills it */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "survival.h"

static bool is_service(int pid)
{
	char path[64], name[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = 0;
	fclose(file);
	return strncmp(name, "driveway-servic", 15) == 0;
}

/* The keeper's child that is the service, whichever of its threads started it; 0: none now, -1: no keeper. */
static int find_service(int keeper)
{
	char path[320];
	struct dirent *entry;
	int found = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", keeper);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (!found && (entry = readdir(dir)) != NULL) {
		char line[512] = "", *rest = line, *word;
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", keeper, entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (!fgets(line, sizeof(line), file))
			line[0] = 0;
		fclose(file);
		while (!found && (word = strsep(&rest, " \n")) != NULL) {
			int pid = (int)strtol(word, NULL, 10);

			if (pid > 0 && is_service(pid))
				found = pid;
		}
	}
	closedir(dir);
	return found;
}

static void pause_microseconds(uint32_t microseconds)
{
	struct timespec time = {microseconds / 1000000, (long)(microseconds % 1000000) * 1000};

	nanosleep(&time, NULL);
}

static uint32_t killer_random(struct killer *killer, uint32_t below)
{
	/* xorshift64* */
	killer->state ^= killer->state >> 12;
	killer->state ^= killer->state << 25;
	killer->state ^= killer->state >> 27;
	return (uint32_t)((killer->state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

int killer_strike(struct killer *killer, int milliseconds)
{
	int pid;

	for (int waited = 0;; waited++) {
		pid = find_service(killer->keeper_pid);
		if (pid < 0)
			return -ESRCH;
		if (pid > 0 && pid != killer->service_pid)
			break;
		if (waited > 5 * milliseconds)
			return -ETIMEDOUT;
		pause_microseconds(200);
	}
	/* Mostly soon, also while it still takes up what its predecessor left; at times only once all is calm. */
	pause_microseconds(killer_random(killer, 8) ? 500 + killer_random(killer, killer->life * 1000)
						    : killer->life * 1000 + killer_random(killer, killer->life * 2000));
	if (kill(pid, SIGKILL) == 0)
		killer->kills++;
	killer->service_pid = pid;
	return 0;
}
