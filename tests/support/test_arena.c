/* SPDX-License-Identifier: MIT */
/*
 * The transactional heap: allocation, undo, and death of the process at every instruction and at random moments.
 *
 * The arena holds a table of objects, each filled with bytes that follow from its number; so whether a state is one
 * that was committed can be told from the state alone, with the sequence number as its name.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/arena.h"

#define REGION_SIZE ((uint64_t)64 << 20)
#define KIND	    0x54534554u
#define OBJECTS	    200u
#define KILLS	    300

struct object {
	arena_ref ref;
	uint32_t size;
	uint64_t seed;
};

struct table {
	uint64_t random; /* decides the next transaction */
	uint64_t sum;	 /* of all objects' seeds and sizes */
	struct object objects[OBJECTS];
};

static uint64_t next(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15u;
	uint64_t x = *seed;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	return x ^ x >> 27;
}

static int region_create(void **base)
{
	int fd = memfd_create("arena", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)REGION_SIZE), 0);
	*base = mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	assert_ptr_not_equal(*base, MAP_FAILED);
	return fd;
}

static void region_destroy(int fd, void *base)
{
	munmap(base, REGION_SIZE);
	close(fd);
}

static struct arena *open_arena(void *base, bool fresh)
{
	struct arena *arena;

	assert_int_equal(arena_open(&arena, base, REGION_SIZE, fresh, KIND, NULL), 0);
	return arena;
}

static struct table *table_of(struct arena *arena)
{
	return arena_at(arena, arena_root(arena));
}

static struct arena *make_arena(void *base, uint64_t seed)
{
	struct arena *arena = open_arena(base, true);

	arena_begin(arena);
	arena_ref ref = arena_alloc(arena, sizeof(struct table));
	assert_int_not_equal(ref, 0);
	arena_set_root(arena, ref);
	table_of(arena)->random = seed;
	arena_commit(arena);
	return arena;
}

static void fill(struct arena *arena, const struct object *object)
{
	uint8_t *bytes = arena_at(arena, object->ref);

	for (uint32_t i = 0; i < object->size; i++)
		bytes[i] = (uint8_t)(object->seed >> i % 8 * 8);
}

static uint32_t random_size(uint64_t *random)
{
	switch (next(random) % 12) {
	case 0:
		return 1 + (uint32_t)(next(random) % 300000);
	case 1:
	case 2:
		return 1 + (uint32_t)(next(random) % 30000);
	default:
		return 1 + (uint32_t)(next(random) % 400);
	}
}

/* Some objects are freed, made and changed. The table is large, so its members are saved one by one. */
static void change(struct arena *arena)
{
	struct table *table = table_of(arena);

	arena_save(arena, table, offsetof(struct table, objects));
	for (uint64_t i = 1 + next(&table->random) % 6; i; i--) {
		struct object *object = &table->objects[next(&table->random) % OBJECTS];
		arena_save(arena, object, sizeof(*object));
		table->sum -= object->seed * object->size;
		if (!object->ref) {
			object->size = random_size(&table->random);
			object->ref = arena_alloc(arena, object->size);
			if (!object->ref)
				object->size = 0;
		} else if (next(&table->random) % 2) {
			arena_free(arena, object->ref, object->size);
			*object = (struct object){0};
		} else {
			arena_save(arena, arena_at(arena, object->ref), object->size);
		}
		object->seed = next(&table->random);
		table->sum += object->seed * object->size;
		fill(arena, object);
	}
}

static int by_ref(const void *a, const void *b)
{
	const struct object *x = *(const struct object *const *)a, *y = *(const struct object *const *)b;

	return (x->ref > y->ref) - (x->ref < y->ref);
}

static void check(struct arena *arena)
{
	const struct table *table = table_of(arena);
	const struct object *sorted[OBJECTS];
	uint64_t sum = 0;
	size_t count = 0;

	for (size_t i = 0; i < OBJECTS; i++) {
		const struct object *object = &table->objects[i];
		sum += object->seed * object->size;
		if (!object->ref)
			continue;
		sorted[count++] = object;
		const uint8_t *bytes = arena_at(arena, object->ref);
		for (uint32_t j = 0; j < object->size; j++)
			if (bytes[j] != (uint8_t)(object->seed >> j % 8 * 8))
				fail_msg("object %zu is damaged at byte %u of %u", i, j, object->size);
	}
	assert_int_equal(sum, table->sum);
	qsort(sorted, count, sizeof(sorted[0]), by_ref);
	uint64_t bytes = sizeof(struct table);
	for (size_t i = 0; i < count; i++) {
		bytes += sorted[i]->size;
		if (i)
			assert_true(sorted[i - 1]->ref + (sorted[i - 1]->size + 15) / 16 <= sorted[i]->ref);
	}
	assert_true(arena_used(arena) >= bytes);
}

/* What the state is, without the numbers of transactions. */
static uint64_t name_of(struct arena *arena)
{
	return table_of(arena)->random ^ table_of(arena)->sum;
}

static void test_sizes(void **state)
{
	void *base;
	int fd = region_create(&base);
	struct arena *arena = open_arena(base, true);
	struct arena *other;

	assert_int_equal(arena_open(&other, base, REGION_SIZE, false, KIND + 1, NULL), -EINVAL);
	assert_int_equal(arena_open(&other, base, REGION_SIZE / 2, false, KIND, NULL), -EINVAL);
	assert_int_equal(arena_root(arena), 0);
	for (size_t size = 1; size <= ARENA_ALLOC_MAX; size += size < 600 ? 1 : size / 7) {
		arena_begin(arena);
		uint64_t used = arena_used(arena);
		arena_ref ref = arena_alloc(arena, size), second = arena_alloc(arena, size);
		assert_true(ref && second && ref != second);
		assert_true(arena_used(arena) - used >= 2 * size);
		if (size > 16 && size < 32768)
			assert_true(arena_used(arena) - used <= 2 * (size + size / 4 + 15));
		memset(arena_at(arena, ref), 0xff, size);
		memset(arena_at(arena, second), 0xff, size);
		arena_commit(arena);
		arena_begin(arena);
		arena_free(arena, ref, size);
		arena_free(arena, second, size);
		arena_commit(arena);
		arena_begin(arena);
		ref = arena_alloc(arena, size);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(((uint8_t *)arena_at(arena, ref))[i], 0);
		arena_free(arena, ref, size);
		arena_commit(arena);
		assert_int_equal(arena_used(arena), used);
	}
	arena_begin(arena);
	assert_int_equal(arena_alloc(arena, 0), 0);
	assert_int_equal(arena_alloc(arena, ARENA_ALLOC_MAX + 1), 0);
	arena_rollback(arena);
	arena_close(arena);
	region_destroy(fd, base);
}

/* Full of one kind of object, emptied, full of another kind. */
static void test_space_comes_back(void **state)
{
	static const size_t sizes[] = {16, 100000, 4000, 48, ARENA_ALLOC_MAX, 112};
	arena_ref *refs = malloc((REGION_SIZE / 16) * sizeof(*refs));
	void *base;
	int fd = region_create(&base);
	struct arena *arena = open_arena(base, true);
	uint64_t least = 0;

	for (size_t turn = 0; turn < sizeof(sizes) / sizeof(sizes[0]); turn++) {
		size_t count = 0;
		do {
			arena_begin(arena);
			refs[count] = arena_alloc(arena, sizes[turn]);
			arena_commit(arena);
		} while (refs[count++]);
		count--;
		assert_true(count * sizes[turn] > 30u << 20);
		if (turn == 0)
			least = arena_used(arena);
		assert_true(arena_used(arena) > least / 2);
		for (size_t i = 0; i < count; i++) {
			arena_begin(arena);
			arena_free(arena, refs[i], sizes[turn]);
			arena_commit(arena);
		}
		assert_int_equal(arena_used(arena), 0);
		uint64_t offset, length, trimmed = 0;
		for (uint32_t cursor = 0; arena_trim(arena, &cursor, &offset, &length);) {
			assert_int_equal(
				fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length),
				0);
			trimmed += length;
		}
		assert_true(trimmed > 30u << 20);
	}
	arena_close(arena);
	region_destroy(fd, base);
	free(refs);
}

static void test_rollback(void **state)
{
	void *base;
	int fd = region_create(&base);
	struct arena *arena = make_arena(base, 42);
	uint64_t sequence, before, used;

	for (int i = 0; i < 2000; i++) {
		arena_begin(arena);
		change(arena);
		sequence = arena_sequence(arena);
		assert_int_equal(arena_commit(arena), sequence + 1);
		assert_true(arena_committed(arena, sequence + 1));
		assert_false(arena_committed(arena, sequence + 2));
		before = name_of(arena);
		used = arena_used(arena);
		arena_begin(arena);
		change(arena);
		change(arena);
		arena_rollback(arena);
		assert_int_equal(name_of(arena), before);
		assert_int_equal(arena_used(arena), used);
		if (i % 50 == 0)
			check(arena);
	}
	assert_false(arena_committed(arena, 0));
	arena_close(arena);
	region_destroy(fd, base);
}

/* The number of a transaction that was cut off is never taken for a committed one. */
static void test_aborted_numbers(void **state)
{
	void *base;
	int fd = region_create(&base);
	struct arena *arena = make_arena(base, 1);
	uint64_t cut[100];
	bool rolled_back;

	for (int i = 0; i < 100; i++) {
		uint64_t before = name_of(arena);
		arena_begin(arena);
		change(arena);
		cut[i] = arena_sequence(arena) + 1;
		arena_close(arena);
		assert_int_equal(arena_open(&arena, base, REGION_SIZE, false, KIND, &rolled_back), 0);
		assert_true(rolled_back);
		assert_int_equal(name_of(arena), before);
		arena_begin(arena);
		change(arena);
		assert_true(arena_committed(arena, arena_commit(arena)));
		for (int j = 0; j <= i; j++)
			assert_false(arena_committed(arena, cut[j]));
	}
	arena_close(arena);
	region_destroy(fd, base);
}

static void region_copy(int to, void *target, int from, const void *source)
{
	assert_int_equal(ftruncate(to, 0), 0);
	assert_int_equal(ftruncate(to, (off_t)REGION_SIZE), 0);
	for (off_t start = 0, end;; start = end) {
		start = lseek(from, start, SEEK_DATA);
		if (start < 0)
			break;
		end = lseek(from, start, SEEK_HOLE);
		memcpy((char *)target + start, (const char *)source + start, (size_t)(end - start));
	}
}

/* A child runs a transaction instruction by instruction; each time, what a kill would leave is opened. */
static void test_every_instruction(void **state)
{
	void *base, *copy;
	int fd = region_create(&base), copy_fd = region_create(&copy), status;
	struct arena *arena = make_arena(base, 99);
	unsigned states = 0;
	uint64_t seed = 5;

	for (int i = 0; i < 300; i++) {
		arena_begin(arena);
		change(arena);
		arena_commit(arena);
	}
	for (int turn = 0; turn < 3; turn++) {
		uint64_t before = name_of(arena), number = arena_sequence(arena) + 1;
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
				_exit(77);
			raise(SIGSTOP);
			arena_begin(arena);
			change(arena);
			arena_commit(arena);
			raise(SIGSTOP);
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		if (!WIFSTOPPED(status)) {
			print_message("ptrace is not permitted here\n");
			skip();
		}
		uint64_t look = 0, after = 0;
		for (uint64_t i = 0;; i++) {
			assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
			assert_int_equal(waitpid(child, &status, 0), child);
			if (WSTOPSIG(status) != SIGTRAP)
				break;
			if (i < look)
				continue;
			look = i + 1 + next(&seed) % (10 + i / 20);
			region_copy(copy_fd, copy, fd, base);
			struct arena *dead = open_arena(copy, false);
			check(dead);
			uint64_t name = name_of(dead);
			if (arena_committed(dead, number)) {
				if (!after)
					after = name;
				assert_int_equal(name, after);
				assert_int_not_equal(name, before);
			} else {
				assert_int_equal(after, 0);
				assert_int_equal(name, before);
			}
			arena_begin(dead);
			change(dead);
			arena_commit(dead);
			check(dead);
			arena_close(dead);
			states++;
		}
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_not_equal(name_of(arena), before);
		check(arena);
	}
	print_message("%u states\n", states);
	assert_true(states > 100);
	arena_close(arena);
	region_destroy(fd, base);
	region_destroy(copy_fd, copy);
}

/* Random transactions under random kills; what is committed is what was announced. */
static void test_kill(void **state)
{
	struct shared {
		volatile uint64_t ready;
		volatile uint64_t number; /* of the transaction under way */
		volatile uint64_t commits;
	} *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	void *base, *peace;
	int fd = region_create(&base), peace_fd = region_create(&peace), status;
	uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : (uint64_t)time(NULL);
	struct arena *arena = make_arena(base, seed), *model = make_arena(peace, seed);
	uint64_t cut = 0;

	print_message("SEED=%llu\n", (unsigned long long)seed);
	arena_close(arena);
	for (int i = 0; i < KILLS; i++) {
		bool rolled_back;
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			arena = open_arena(base, false);
			shared->ready = 1;
			for (;;) {
				arena_begin(arena);
				change(arena);
				shared->number = arena_sequence(arena) + 1;
				arena_commit(arena);
				shared->commits++;
			}
		}
		while (!shared->ready)
			usleep(50);
		usleep((useconds_t)(next(&seed) % 1500));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		shared->ready = 0;
		assert_int_equal(arena_open(&arena, base, REGION_SIZE, false, KIND, &rolled_back), 0);
		cut += rolled_back;
		check(arena);
		/* The model does as many transactions as took effect. */
		while (name_of(model) != name_of(arena)) {
			arena_begin(model);
			change(model);
			arena_commit(model);
			assert_true(arena_sequence(model) <= shared->commits + (uint64_t)i + 2);
		}
		assert_true(arena_sequence(model) >= shared->commits + 1);
		arena_close(arena);
	}
	print_message("%llu commits, %llu kills in the middle of one\n", (unsigned long long)shared->commits,
		      (unsigned long long)cut);
	assert_true(cut > KILLS / 10);
	arena_close(model);
	region_destroy(fd, base);
	region_destroy(peace_fd, peace);
	munmap(shared, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_space_comes_back),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_aborted_numbers),
		cmocka_unit_test(test_every_instruction),
		cmocka_unit_test(test_kill),
	};

	return cmocka_run_group_tests_name("support: arena", tests, NULL, NULL);
}
