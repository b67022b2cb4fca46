/* SPDX-License-Identifier: MIT */
/*
 * The queue of messages to the kernel: in order, kept in the region, sent again after a death. A socket plays the
 * kernel; a death is a notifier that is left as it is, and another one made on the same region.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/fuse/decode.h"
#include "channel/fuse/notifier.h"

#define MANY	20000u
#define THREADS 4u

static struct region *region;
static int kernel[2]; /* ours, the notifier's */

static int set_up(void **state)
{
	uint64_t bytes = region_size(0, 8, 1);

	region = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(region != MAP_FAILED);
	region->size = bytes;
	region->plain_count = 1;
	region->depth = 8;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, kernel), 0);
	return 0;
}

static int clean_up(void **state)
{
	close(kernel[0]);
	close(kernel[1]);
	munmap(region, region->size);
	return 0;
}

static struct notifier *make(void)
{
	struct notifier *notifier = NULL;

	assert_int_equal(notifier_create(&notifier, region), 0);
	return notifier;
}

/* The next message is an invalidation of this node. */
static void expect_node(uint64_t node)
{
	struct {
		struct fuse_out_header header;
		struct fuse_notify_inval_inode_out body;
	} message = {.header = {.len = 0}};

	assert_int_equal(recv(kernel[0], &message, sizeof(message), 0), sizeof(message));
	assert_int_equal(message.header.len, sizeof(message));
	assert_int_equal(message.header.error, FUSE_NOTIFY_INVAL_INODE);
	assert_int_equal(message.header.unique, 0);
	assert_int_equal(message.body.ino, node);
}

static void expect_nothing(void)
{
	char byte;

	assert_int_equal(recv(kernel[0], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void sends_in_order(void **state)
{
	struct notifier *notifier = make();
	char bytes[512];

	notifier_serve(notifier, kernel[1]);
	for (uint64_t i = 1; i <= 100; i++)
		assert_int_equal(notifier_invalidate_node(notifier, i, 0, 0), 0);
	for (uint64_t i = 1; i <= 100; i++)
		expect_node(i);
	assert_int_equal(notifier_invalidate_entry(notifier, 7, "name", true), 0);
	ssize_t size = recv(kernel[0], bytes, sizeof(bytes), 0);
	struct fuse_notify_inval_entry_out *entry = (void *)(bytes + sizeof(struct fuse_out_header));
	assert_int_equal(size, sizeof(struct fuse_out_header) + sizeof(*entry) + 5);
	assert_int_equal(entry->parent, 7);
	assert_int_equal(entry->flags, 0); /* nothing was agreed with the kernel */
	assert_string_equal((char *)(entry + 1), "name");
	assert_int_equal(notifier_invalidate_entry(notifier, 7, "", true), -EINVAL);
	memset(bytes, 'x', sizeof(bytes));
	bytes[DECODE_NAME_MAX + 1] = 0;
	assert_int_equal(notifier_entry_deleted(notifier, 7, 8, bytes), -EINVAL);
	assert_int_equal(notifier_drain(notifier, 5000), 0);
	assert_int_equal(notifier_stop(notifier, 5000), 0);
	assert_int_equal(region->notices_end, 0);
	expect_nothing();
	notifier_destroy(notifier);
}

/* What came before the drive answered, and what a death left, is sent by whoever serves next. */
static void survives(void **state)
{
	struct notifier *notifier = make();

	for (uint64_t i = 1; i <= 10; i++)
		assert_int_equal(notifier_invalidate_node(notifier, i, 0, 0), 0);
	assert_int_equal(notifier_drain(notifier, 0), -ETIMEDOUT);
	notifier_destroy(notifier);
	expect_nothing();
	notifier = make();
	assert_int_equal(notifier_invalidate_node(notifier, 11, 0, 0), 0);
	notifier_serve(notifier, kernel[1]);
	for (uint64_t i = 1; i <= 11; i++)
		expect_node(i);
	assert_int_equal(notifier_stop(notifier, 5000), 0);
	/* Stopped: kept again. */
	assert_int_equal(notifier_invalidate_node(notifier, 12, 0, 0), 0);
	expect_nothing();
	notifier_serve(notifier, kernel[1]);
	expect_node(12);
	assert_int_equal(notifier_stop(notifier, 5000), 0);
	notifier_destroy(notifier);
}

/* A death between the two stores that empty the queue, and a region that holds nonsense. */
static void survives_odd_states(void **state)
{
	static const struct {
		uint64_t start, end;
	} odd[] = {{400, 0}, {4, 400}, {0, 404}, {0, 400}, {0, UINT64_MAX & ~7ull}, {REGION_NOTICES, UINT64_MAX}};

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct notifier *notifier;

		memset(region_notices(region), 0, 4096);
		region->notices_start = odd[i].start;
		region->notices_end = odd[i].end;
		notifier = make();
		assert_int_equal(region->notices_start, 0);
		assert_int_equal(region->notices_end, 0);
		assert_int_equal(notifier_invalidate_node(notifier, i, 0, 0), 0);
		notifier_serve(notifier, kernel[1]);
		expect_node(i);
		assert_int_equal(notifier_stop(notifier, 5000), 0);
		notifier_destroy(notifier);
	}
}

static void fills_up(void **state)
{
	struct notifier *notifier = make();
	uint64_t count = 0;
	int error;

	while ((error = notifier_invalidate_node(notifier, count + 1, 0, 0)) == 0)
		count++;
	assert_int_equal(error, -ENOMEM);
	assert_true(count > 100000);
	notifier_serve(notifier, kernel[1]);
	for (uint64_t i = 1; i <= count; i++)
		expect_node(i);
	assert_int_equal(notifier_drain(notifier, 5000), 0);
	assert_int_equal(notifier_invalidate_node(notifier, 1, 0, 0), 0);
	expect_node(1);
	assert_int_equal(notifier_stop(notifier, 5000), 0);
	notifier_destroy(notifier);
}

static void *append_many(void *context)
{
	for (unsigned i = 0; i < MANY / THREADS; i++)
		if (notifier_invalidate_node(context, i, 0, 0) != 0)
			abort();
	return NULL;
}

/* From several threads, while it is started and stopped: each message once. */
static void threads(void **state)
{
	struct notifier *notifier = make();
	pthread_t thread[THREADS];
	unsigned got = 0;
	char bytes[128];

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, append_many, notifier), 0);
	while (got < MANY) {
		notifier_serve(notifier, kernel[1]);
		for (unsigned i = 0; i < 1000 && got < MANY; i++, got++)
			assert_true(recv(kernel[0], bytes, sizeof(bytes), 0) > 0);
		/* It may be about to send when the socket is full. */
		while (notifier_stop(notifier, 10) != 0)
			for (; recv(kernel[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0;)
				got++;
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(got, MANY);
	expect_nothing();
	assert_int_equal(notifier_drain(notifier, 0), 0);
	notifier_destroy(notifier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sends_in_order, set_up, clean_up),
		cmocka_unit_test_setup_teardown(survives, set_up, clean_up),
		cmocka_unit_test_setup_teardown(survives_odd_states, set_up, clean_up),
		cmocka_unit_test_setup_teardown(fills_up, set_up, clean_up),
		cmocka_unit_test_setup_teardown(threads, set_up, clean_up),
	};

	return cmocka_run_group_tests_name("channel: notifier", tests, NULL, NULL);
}
