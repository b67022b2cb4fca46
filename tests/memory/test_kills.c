/* SPDX-License-Identifier: MIT */
/*
 * A child that runs random operations is killed again and again with SIGKILL at random moments; the next one replays
 * the request that was under way. In the end the drive is compared with one that ran the same operations in peace.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/memory/check.h"
#include "tests/memory/slot.h"

#define KILLS	   300
#define DRIVE_SIZE "8M"

static uint64_t slot_done(const struct slot *slot)
{
	return slot->state >> 1;
}

static bool slot_active(const struct slot *slot)
{
	return slot->state & 1;
}

static void run_steps(struct dw_filesystem *fs, struct slot *slot, uint64_t count)
{
	while (slot_done(slot) < count) {
		if (!slot_active(slot)) {
			uint64_t seed = slot->seed + slot_done(slot);
			request_new(&slot->request);
			slot->request.req.notes = &slot->request.notes;
			slot->step = step_random(fs, STEP_COUNT, &seed);
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
			slot->state++;
		} else {
			slot->request.req.flags |= DW_REQUEST_REPLAYED;
		}
		slot->result = (uint64_t)step_run(fs, &slot->request.req, &slot->step);
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		slot->state++;
	}
}

static void test_kill(void **state)
{
	struct host host, model;
	struct slot *slot = slot_create(), peace = {.state = 0};
	uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : (uint64_t)time(NULL), in_flight = 0;
	uint64_t *mark = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	print_message("SEED=%llu\n", (unsigned long long)seed);
	assert_ptr_not_equal(mark, MAP_FAILED);
	slot->seed = seed;
	peace.seed = seed;
	host_create(&host);
	host_create(&model);
	struct dw_filesystem *fs = host_open(&host, "size", DRIVE_SIZE, NULL);
	struct dw_filesystem *peaceful = host_open(&model, "size", DRIVE_SIZE, NULL);
	fs->ops->close(fs);
	for (int i = 0; i < KILLS; i++) {
		int status;
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			fs = host_open(&host, NULL);
			*mark = 1;
			run_steps(fs, slot, UINT64_MAX);
			_exit(0);
		}
		while (!__atomic_load_n(mark, __ATOMIC_RELAXED))
			usleep(100);
		usleep((useconds_t)(random_next(&seed) % 4000));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		*mark = 0;
		in_flight += slot_active(slot);
		if (i % 10)
			continue;
		fs = host_open(&host, NULL);
		run_steps(fs, slot, slot_done(slot) + slot_active(slot));
		check_drive(fs);
		run_steps(peaceful, &peace, slot_done(slot));
		assert_int_equal(peace.result, slot->result);
		assert_int_equal(drive_fingerprint(fs), drive_fingerprint(peaceful));
		fs->ops->close(fs);
	}
	print_message("%llu operations, %llu of %d kills in the middle of one\n", (unsigned long long)slot_done(slot),
		      (unsigned long long)in_flight, KILLS);
	assert_true(in_flight > KILLS / 4);
	peaceful->ops->close(peaceful);
	host_destroy(&host);
	host_destroy(&model);
	munmap(slot, sizeof(*slot));
	munmap(mark, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_kill)};

	return cmocka_run_group_tests_name("memory: kills", tests, NULL, NULL);
}
