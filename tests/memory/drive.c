/* SPDX-License-Identifier: MIT */
#include "tests/memory/drive.h"

#include <stdlib.h>

#include "tests/memory/check.h"

int set_up_sized(void **state, const char *size)
{
	struct drive *drive = calloc(1, sizeof(*drive));

	host_create(&drive->host);
	drive->fs = host_open(&drive->host, "size", size, NULL);
	*state = drive;
	return 0;
}

int set_up(void **state)
{
	return set_up_sized(state, "64M");
}

int set_up_small(void **state)
{
	return set_up_sized(state, "4M");
}

int tear_down(void **state)
{
	struct drive *drive = *state;

	check_drive(drive->fs);
	drive->fs->ops->close(drive->fs);
	host_destroy(&drive->host);
	free(drive);
	return 0;
}

struct dw_filesystem *fs_of(void **state)
{
	return ((struct drive *)*state)->fs;
}

/* The process ends and another one opens the drive. */
struct dw_filesystem *reopen(void **state)
{
	struct drive *drive = *state;

	drive->fs->ops->close(drive->fs);
	drive->fs = host_open(&drive->host, NULL);
	return drive->fs;
}

uint64_t make_file(struct dw_filesystem *fs, uint64_t parent, const char *name)
{
	struct dw_entry entry;

	assert_int_equal(do_create(fs, parent, name, 0644, &entry), 0);
	return entry.node;
}

uint64_t make_folder(struct dw_filesystem *fs, uint64_t parent, const char *name)
{
	struct dw_entry entry;

	assert_int_equal(do_mkdir(fs, parent, name, 0755, &entry), 0);
	return entry.node;
}

struct dw_attr attr_of(struct dw_filesystem *fs, uint64_t node)
{
	struct dw_attr attr;

	assert_int_equal(do_getattr(fs, node, &attr), 0);
	return attr;
}

void fill(uint8_t *buffer, size_t size, uint32_t seed)
{
	for (size_t i = 0; i < size; i++) {
		seed = seed * 1664525u + 1013904223u;
		buffer[i] = (uint8_t)(seed >> 24);
	}
}

bool is_earlier(struct dw_time a, struct dw_time b)
{
	return a.seconds < b.seconds || (a.seconds == b.seconds && a.nanoseconds < b.nanoseconds);
}

bool is_same_time(struct dw_time a, struct dw_time b)
{
	return a.seconds == b.seconds && a.nanoseconds == b.nanoseconds;
}
