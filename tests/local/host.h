/* SPDX-License-Identifier: MIT */
/*
 * host.h - a host for tests of local, in this process, without a kernel
 *
 * Kept memory is a shared mapping and kept descriptors are duplicates in a shared table, so both outlive a
 * child that shares its parent's descriptors. Backing ids are counted, so that a test sees each one closed.
 */
#ifndef TESTS_LOCAL_HOST_H
#define TESTS_LOCAL_HOST_H

#include <driveway/filesystem.h>

#define HOST_KEPT_MAX	 256
#define HOST_BACKING_MAX 65536

struct host_shared {
	struct {
		uint64_t key;
		int fd;
	} kept[HOST_KEPT_MAX];
	bool backing_wanted; /* false: backing_open answers -EOPNOTSUPP */
	uint32_t backing_last;
	uint32_t backing_now; /* open ids */
	uint8_t backing[HOST_BACKING_MAX];
};

struct test_host {
	struct dw_host host;
	struct host_shared *shared;
	void *region;
	uint64_t region_size;
	bool kept; /* keep was called before */
};

/* A host and its shared memory; test_host_free gives it back. */
void test_host_make(struct test_host *host);
void test_host_free(struct test_host *host);
/* The file system over path. restarted: it was open before. */
struct dw_filesystem *test_open(struct test_host *host, const char *path, bool restarted);

/* A request with notes of its own. */
struct test_request {
	struct dw_request request;
	struct dw_notes notes;
	uint32_t interrupted;
};
const struct dw_request *test_request(struct test_request *request, uint32_t flags);

#endif
