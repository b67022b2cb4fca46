/* SPDX-License-Identifier: MIT */
/*
 * Many requests at once: what must be alone is alone, and nothing is held in the end.
 */
#include "tests/ioctl/harness.h"
#include "tests/sanitizers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 4u
#define ROUNDS	(UNDER_TSAN ? 150u : 600u)

struct worker {
	struct harness *harness;
	unsigned number;
	unsigned done;
	uint64_t file;
	pthread_barrier_t *barrier;
	uint64_t state;
};

static uint32_t draw(struct worker *worker, uint32_t below)
{
	worker->state = worker->state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(worker->state >> 33) % below;
}

static void run(struct harness *harness, void *(*work)(void *), struct worker workers[THREADS])
{
	pthread_barrier_t barrier;
	pthread_t threads[THREADS];

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
			.harness = harness, .number = i, .file = workers[i].file, .barrier = &barrier, .state = i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
}

/* --- One name, made by all at once in different letters --- */

static void *make_name(void *context)
{
	struct worker *worker = context;
	struct answer *answer = malloc(sizeof(*answer));
	char path[32];

	for (unsigned round = 0; answer && round < ROUNDS; round++) {
		const struct opening as = {.disposition = FILE_CREATE};
		int32_t status;

		snprintf(path, sizeof(path), "\\d\\%sname%u", worker->number % 2 ? "the_" : "THE_", round);
		pthread_barrier_wait(worker->barrier);
		status = send_create(worker->harness, path, &as, answer);
		if (status == STATUS_SUCCESS) {
			worker->done++;
			(void)send_close(worker->harness, answer->out.u.created.file);
		} else if (status != STATUS_OBJECT_NAME_COLLISION) {
			abort();
		}
	}
	free(answer);
	return NULL;
}

static void test_one_makes_it(void **state)
{
	struct harness *harness = *state;
	struct worker workers[THREADS] = {{.number = 0}};
	unsigned done = 0;

	make_folder_at(harness, "\\d");
	run(harness, make_name, workers);
	for (unsigned i = 0; i < THREADS; i++)
		done += workers[i].done;
	assert_int_equal(done, ROUNDS);
}

/* --- Appending to one file --- */

static void *append(void *context)
{
	struct worker *worker = context;
	char record[8];

	for (unsigned round = 0; round < ROUNDS; round++) {
		snprintf(record, sizeof(record), "%u%05u\n", worker->number, round);
		if (send_write(worker->harness, worker->file, 0, record, 7, FS_IO_APPEND, NULL))
			abort();
	}
	return NULL;
}

static void test_all_append(void **state)
{
	struct harness *harness = *state;
	struct worker workers[THREADS];
	unsigned next[THREADS] = {0};
	struct answer *answer = malloc(sizeof(*answer));
	uint64_t file = open_file(harness, "\\f", FILE_CREATE, 0);

	assert_non_null(answer);
	for (unsigned i = 0; i < THREADS; i++)
		workers[i].file = open_file(harness, "\\F", FILE_OPEN, 0);
	run(harness, append, workers);
	for (unsigned i = 0; i < THREADS * ROUNDS; i++) {
		unsigned who, round;

		assert_status(send_read(harness, file, (uint64_t)i * 7, 7, answer), STATUS_SUCCESS);
		assert_int_equal(answer->out.data, 7);
		answer->data[7] = '\0';
		who = (unsigned)(answer->data[0] - '0');
		round = (unsigned)strtoul((const char *)answer->data + 1, NULL, 10);
		assert_true(who < THREADS && round == next[who]);
		next[who]++;
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_status(send_close(harness, workers[i].file), STATUS_SUCCESS);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	free(answer);
}

/* --- Everything at once --- */

static void some_path(struct worker *worker, char path[32])
{
	static const char *const folders[] = {"", "\\d", "\\D", "\\e"};

	snprintf(path, 32, "%s\\%c%u", folders[draw(worker, 4)], draw(worker, 2) ? 'n' : 'N', draw(worker, 6));
}

static void *stir(void *context)
{
	struct worker *worker = context;
	struct harness *harness = worker->harness;
	struct answer *answer = malloc(sizeof(*answer));

	for (unsigned round = 0; answer && round < ROUNDS; round++) {
		const struct opening as = {.disposition = draw(worker, 6), .options = draw(worker, 8) ? 0 : 1};
		char path[32], other[32];
		uint64_t file;

		some_path(worker, path);
		some_path(worker, other);
		if (send_create(harness, path, &as, answer))
			continue;
		file = answer->out.u.created.file;
		switch (draw(worker, 6)) {
		case 0:
			(void)send_rename(harness, file, path, other, draw(worker, 4));
			break;
		case 1:
			(void)send_cleanup(harness, file, path);
			break;
		case 2:
			(void)send_write(harness, file, draw(worker, 9), "text", 4, draw(worker, 3), NULL);
			break;
		case 3:
			(void)send_read(harness, file, 0, 10, answer);
			break;
		case 4:
			(void)send_simple(harness, FS_OVERWRITE, file, answer);
			break;
		default:
			(void)send_list(harness, worker->file, "*", 0, 4000, answer);
			break;
		}
		if (send_close(harness, file))
			abort();
	}
	free(answer);
	return NULL;
}

static void test_everything(void **state)
{
	struct harness *harness = *state;
	struct worker workers[THREADS];

	make_folder_at(harness, "\\d");
	make_folder_at(harness, "\\e");
	for (unsigned i = 0; i < THREADS; i++)
		workers[i].file = open_file(harness, i % 2 ? "\\d" : "\\", FILE_OPEN, 0);
	run(harness, stir, workers);
	for (unsigned i = 0; i < THREADS; i++)
		assert_status(send_close(harness, workers[i].file), STATUS_SUCCESS);
	assert_int_equal(volume_open_files(harness->volume), 0);
	assert_int_equal(harness_lookups(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_set_up, harness_tear_down)
		TEST(test_one_makes_it),
		TEST(test_all_append),
		TEST(test_everything),
	};

	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
