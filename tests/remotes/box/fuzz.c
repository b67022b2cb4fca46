/* SPDX-License-Identifier: MIT */
#include "tests/remotes/box/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

void fuzz_fail(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

#ifdef FUZZ_REPLAY
#include <dirent.h>
#include <limits.h>
#include <string.h>

#define FILE_MAX 16384
#define SPOILT	 300 /* variants of each file */

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* On memory of exactly this size, so that a step outside of it is seen. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);

	if (!exact)
		abort();
	memcpy(exact, data, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

static void replay(const uint8_t *data, size_t size, uint64_t *seed)
{
	static const uint8_t spoilers[] = {0x00, 0x01, 0x1e, '\n', '"', '{', '}', '[', '9', '-', 0x7f, 0x80, 0xff};
	uint8_t spoilt[FILE_MAX];
	size_t step = size / 400 + 1;

	run(data, size);
	for (size_t cut = 0; cut < size; cut += step)
		run(data, cut);
	for (int i = 0; i < SPOILT && size; i++) {
		memcpy(spoilt, data, size);
		for (uint64_t changes = 1 + next(seed) % 3; changes; changes--)
			spoilt[next(seed) % size] = spoilers[next(seed) % sizeof(spoilers)];
		run(spoilt, size);
	}
}

int main(int count, char **words)
{
	uint64_t seed = 0x9e3779b97f4a7c15ull;
	struct dirent *entry;
	DIR *folder = count == 2 ? opendir(words[1]) : NULL;
	int files = 0;

	if (!folder)
		return 2;
	while ((entry = readdir(folder))) {
		uint8_t data[FILE_MAX];
		char path[PATH_MAX];
		size_t size;
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", words[1], entry->d_name);
		file = fopen(path, "rb");
		if (!file)
			return 2;
		size = fread(data, 1, sizeof(data), file);
		fclose(file);
		replay(data, size, &seed);
		files++;
	}
	closedir(folder);
	printf("%d files and what comes of them\n", files);
	return files ? 0 : 1;
}
#endif
