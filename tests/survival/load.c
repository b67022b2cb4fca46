/* SPDX-License-Identifier: MIT */
/* load.c - what all loads use */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "survival.h"

bool load_going(const struct load *load)
{
	return !*load->stop && load->errors < 10;
}

void load_did(struct load *load)
{
	load->operations++;
}

bool load_wrong(struct load *load, const char *format, ...)
{
	int error = errno;
	char text[512];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	printf("  %s, operation %llu: %s%s%s\n", load->name, (unsigned long long)load->operations, text,
	       error ? ": " : "", error ? strerrorname_np(error) : "");
	fflush(stdout);
	load->errors++;
	errno = 0;
	return false;
}

bool load_check(struct load *load, bool condition, const char *what, int line)
{
	if (!condition)
		return load_wrong(load, "line %d: %s", line, what);
	load->operations++;
	errno = 0;
	return true;
}

uint32_t load_random(struct load *load, uint32_t below)
{
	/* splitmix64 */
	uint64_t z = load->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ (z >> 31)) >> 16) % below;
}

static uint8_t fill_byte(uint64_t position, uint32_t seed)
{
	uint64_t mixed = (position / 5 + seed) * UINT64_C(0xd6e8feb86659fd93);

	return (uint8_t)((mixed >> 56) + position);
}

void load_fill(void *buffer, size_t size, uint64_t offset, uint32_t seed)
{
	uint8_t *bytes = buffer;

	for (size_t i = 0; i < size; i++)
		bytes[i] = fill_byte(offset + i, seed);
}

bool load_filled(const void *buffer, size_t size, uint64_t offset, uint32_t seed)
{
	const uint8_t *bytes = buffer;

	for (size_t i = 0; i < size; i++)
		if (bytes[i] != fill_byte(offset + i, seed))
			return false;
	return true;
}

bool load_write_all(int fd, const void *buffer, size_t size, int64_t offset)
{
	const char *bytes = buffer;

	while (size > 0) {
		ssize_t put = offset < 0 ? write(fd, bytes, size) : pwrite(fd, bytes, size, offset);

		if (put <= 0)
			return false;
		bytes += put;
		size -= (size_t)put;
		if (offset >= 0)
			offset += put;
	}
	return true;
}
