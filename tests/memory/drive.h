/* SPDX-License-Identifier: MIT */
/*
 * drive.h - a memory drive for one test: made before it, checked and taken down after it
 */
#ifndef TESTS_MEMORY_DRIVE_H
#define TESTS_MEMORY_DRIVE_H

#include "tests/memory/host.h"

struct drive {
	struct host host;
	struct dw_filesystem *fs;
};

/* For cmocka: of 64 MiB, of 4 MiB. */
int set_up_sized(void **state, const char *size);
int set_up(void **state);
int set_up_small(void **state);
int tear_down(void **state);
struct dw_filesystem *fs_of(void **state);
struct dw_filesystem *reopen(void **state);
uint64_t make_file(struct dw_filesystem *fs, uint64_t parent, const char *name);
uint64_t make_folder(struct dw_filesystem *fs, uint64_t parent, const char *name);
struct dw_attr attr_of(struct dw_filesystem *fs, uint64_t node);
void fill(uint8_t *buffer, size_t size, uint32_t seed);
bool is_earlier(struct dw_time a, struct dw_time b);
bool is_same_time(struct dw_time a, struct dw_time b);

#endif
