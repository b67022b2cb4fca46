/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <unistd.h>

#include "support/workers.h"

#define JOBS 1000

struct test_job {
	struct workers_job job;
	unsigned number;
};

static struct test_job jobs[JOBS];
static _Atomic unsigned finished, under_way, most, order_errors;
static _Atomic uint32_t gate;

static void count(struct workers_job *job)
{
	unsigned now = atomic_fetch_add(&under_way, 1) + 1, seen = atomic_load(&most);

	while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
		;
	while (!atomic_load(&gate))
		usleep(100);
	atomic_fetch_sub(&under_way, 1);
	atomic_fetch_add(&finished, 1);
}

static void in_order(struct workers_job *job)
{
	struct test_job *own = (struct test_job *)job;

	if (own->number != atomic_fetch_add(&finished, 1))
		atomic_fetch_add(&order_errors, 1);
}

static void reset(uint32_t open)
{
	atomic_store(&finished, 0);
	atomic_store(&most, 0);
	atomic_store(&gate, open);
}

static void arguments(void **state)
{
	struct workers *workers;

	assert_int_equal(workers_create(&workers, "x", 0), -EINVAL);
	assert_int_equal(workers_create(&workers, "x", 257), -EINVAL);
	assert_int_equal(workers_create(&workers, "a name of more than fifteen bytes", 256), 0);
	assert_int_equal(workers_pending(workers), 0);
	workers_destroy(workers);
	workers_destroy(NULL);
}

static void as_many_as_allowed(void **state)
{
	struct workers *workers;

	reset(0);
	assert_int_equal(workers_create(&workers, "test", 4), 0);
	for (unsigned i = 0; i < 20; i++) {
		jobs[i].job.run = count;
		assert_int_equal(workers_submit(workers, &jobs[i].job), 0);
	}
	for (int i = 0; i < 1000 && atomic_load(&under_way) < 4; i++)
		usleep(1000);
	usleep(20000);
	assert_int_equal(atomic_load(&under_way), 4);
	assert_int_equal(workers_pending(workers), 20);
	atomic_store(&gate, 1);
	workers_destroy(workers);
	assert_int_equal(atomic_load(&finished), 20);
	assert_int_equal(atomic_load(&most), 4);
}

static void one_after_another(void **state)
{
	struct workers *workers;

	reset(1);
	assert_int_equal(workers_create(&workers, "test", 1), 0);
	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i] = (struct test_job){.job.run = in_order, .number = i};
		assert_int_equal(workers_submit(workers, &jobs[i].job), 0);
	}
	workers_destroy(workers);
	assert_int_equal(atomic_load(&finished), JOBS);
	assert_int_equal(atomic_load(&order_errors), 0);
}

static struct workers *crowd_pool;

static void *crowd(void *context)
{
	struct test_job *own = context;

	for (unsigned i = 0; i < JOBS / 4; i++) {
		own[i].job.run = count;
		if (workers_submit(crowd_pool, &own[i].job) != 0)
			return context;
	}
	return NULL;
}

static void from_several_threads(void **state)
{
	pthread_t threads[4];
	void *failed;

	reset(1);
	assert_int_equal(workers_create(&crowd_pool, "test", 8), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd, &jobs[i * (JOBS / 4)]), 0);
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	workers_destroy(crowd_pool);
	assert_int_equal(atomic_load(&finished), JOBS);
	assert_true(atomic_load(&most) <= 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments),
		cmocka_unit_test(as_many_as_allowed),
		cmocka_unit_test(one_after_another),
		cmocka_unit_test(from_several_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
