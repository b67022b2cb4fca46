/* SPDX-License-Identifier: MIT */
#include "tests/archive/tarball.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 512u

static void put_padded(FILE *file, const char *bytes, size_t size)
{
	static const char zeros[BLOCK];

	fwrite(bytes, 1, size, file);
	fwrite(zeros, 1, (BLOCK - size % BLOCK) % BLOCK, file);
}

static void put_header(FILE *file, char type, const char *name, const char *link, uint64_t size)
{
	unsigned char block[BLOCK] = {0};
	unsigned sum = 0;

	memcpy(block, name, strnlen(name, 100));
	snprintf((char *)block + 100, 8, "%07o", type == '5' ? 0755 : 0644);
	snprintf((char *)block + 108, 8, "%07o", 0);
	snprintf((char *)block + 116, 8, "%07o", 0);
	snprintf((char *)block + 124, 12, "%011llo", (unsigned long long)size);
	snprintf((char *)block + 136, 12, "%011o", 1000000000);
	memset(block + 148, ' ', 8);
	block[156] = (unsigned char)type;
	memcpy(block + 157, link, strnlen(link, 100));
	memcpy(block + 257, "ustar\00000", 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += block[i];
	snprintf((char *)block + 148, 8, "%06o", sum);
	block[155] = ' ';
	fwrite(block, 1, BLOCK, file);
}

void tarball_member(FILE *file, char type, const char *name, const char *link, uint64_t size, const char *content)
{
	put_header(file, type, name, link ? link : "", size);
	if (content)
		put_padded(file, content, strlen(content));
}

void tarball_pax(FILE *file, const char *records)
{
	char *copy = strdup(records), *rest = copy, *bytes = NULL, *one;
	size_t size = 0;
	FILE *body = open_memstream(&bytes, &size);

	while ((one = strsep(&rest, "\n"))) {
		size_t length = strlen(one) + 2, digits = 1; /* with the space and the newline */

		for (size_t total = length + digits; total >= 10; total /= 10)
			digits++;
		fprintf(body, "%zu %s\n", length + digits, one);
	}
	fclose(body);
	put_header(file, 'x', "pax", "", size);
	put_padded(file, bytes, size);
	free(bytes);
	free(copy);
}

void tarball_long_member(FILE *file, char type, const char *path, const char *content)
{
	char *record;

	if (asprintf(&record, "path=%s", path) < 0)
		abort();
	tarball_pax(file, record);
	tarball_member(file, type, "short", NULL, content ? strlen(content) : 0, content);
	free(record);
}

void tarball_end(FILE *file)
{
	static const char zeros[2 * BLOCK];

	fwrite(zeros, 1, sizeof(zeros), file);
}
