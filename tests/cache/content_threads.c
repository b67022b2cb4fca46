/* SPDX-License-Identifier: MIT */
/*
 * Many threads on few contents: readers, a writer, eviction, deletion, syncs and uploads at the same time. What they
 * read is always what was there; the rest is for the thread sanitizer to see.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cache/content_bench.h"

#define CONTENTS 12
#define THREADS	 6
#define STEPS	 150

struct shared {
	struct bench *bench;
	const struct far_version *versions[CONTENTS];
	uint64_t ids[CONTENTS];
	_Atomic unsigned failures;
	_Atomic unsigned next;
};

/* Every change of a content writes bytes that it had before, so that readers know what to find. */
static void act(struct shared *shared, uint64_t *random)
{
	size_t which = bench_random(random) % CONTENTS;
	const struct far_version *version = shared->versions[which];
	uint64_t offset = bench_random(random) % version->size;
	size_t size = (size_t)(bench_random(random) % 200000), done;
	struct content *content;
	uint8_t *bytes;
	bool right = true;

	if (size > version->size - offset)
		size = (size_t)(version->size - offset);
	if (bench_random(random) % 8 == 0)
		(void)content_evict(shared->bench->store, shared->ids[which]);
	if (content_get(shared->bench->store, shared->ids[which], &content)) {
		shared->failures++;
		return;
	}
	switch (bench_random(random) % 8) {
	case 0:
		right = which % 2 == 0 ||
			(content_modify(content) == 0 &&
			 content_write(content, version->bytes + offset, size, offset, &done) == 0 && done == size);
		break;
	case 1:
		right = content_sync(content) == 0;
		break;
	case 2:
		content_prefetch(content, offset, size);
		break;
	case 3:
		right = which % 4 != 0 || content_complete(content, 0, NULL) == 0;
		break;
	default:
		bytes = malloc(size + 1);
		right = bytes && content_read(content, bytes, size, offset, false, NULL, &done) == 0 && done == size &&
			memcmp(bytes, version->bytes + offset, size) == 0;
		free(bytes);
	}
	if (!right)
		shared->failures++;
	content_put(content);
}

static void *run(void *context)
{
	struct shared *shared = context;
	uint64_t random = 77 + shared->next++;

	for (unsigned i = 0; i < STEPS; i++)
		act(shared, &random);
	return NULL;
}

static void agree_on_what_is_there(void **state)
{
	struct bench *bench = *state;
	struct shared *shared = calloc(1, sizeof(*shared));
	pthread_t threads[THREADS];

	assert_non_null(shared);
	bench_close(bench);
	bench->config.cache_size = 6u << 20;
	bench_open(bench);
	shared->bench = bench;
	for (size_t i = 0; i < CONTENTS; i++) {
		struct content *content;

		shared->versions[i] = far_add(&bench->far, i % 3 ? 3000000 : 300000, i);
		content = bench_expect(bench, shared->versions[i]);
		shared->ids[i] = content_id(content);
		content_put(content);
	}
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, shared), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(shared->failures, 0);
	bench_close(bench);
	bench_open(bench);
	for (size_t i = 0; i < CONTENTS; i++) {
		struct content *content = bench_get(bench, shared->ids[i]);

		bench_check(content, shared->versions[i]->bytes, 0, shared->versions[i]->size);
		content_put(content);
		bench_delete(bench, shared->ids[i]);
	}
	free(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(agree_on_what_is_there, bench_setup, bench_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
