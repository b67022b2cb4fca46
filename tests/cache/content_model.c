/* SPDX-License-Identifier: MIT */
/*
 * A content against a plain buffer: random reads, changes, copies, uploads, evictions, and ends of the process, in good
 * order and by death, one after another. SEED in the environment plays one round again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cache/content_bench.h"

#define LIMIT  (3u << 20)
#define STEPS  120
#define ROUNDS 12

/* What the file should be; in memory that a dying child shares with its parent. */
struct model {
	uint8_t bytes[LIMIT];
	uint64_t size;
	uint64_t id;
	uint64_t random;
};

static uint64_t below(struct model *model, uint64_t limit)
{
	return limit ? bench_random(&model->random) % limit : 0;
}

static void place(struct model *model, uint64_t *offset, size_t *size)
{
	static const size_t sizes[] = {1, 100, 4096, 70000, 400000};

	*size = 1 + (size_t)below(model, sizes[below(model, 5)]);
	*offset = below(model, LIMIT - *size);
	if (below(model, 3) == 0)
		*offset &= ~4095ull;
}

static void read_some(struct model *model, struct content *content)
{
	uint64_t offset;
	size_t size;

	place(model, &offset, &size);
	if (offset >= model->size)
		return;
	if (size > model->size - offset)
		size = (size_t)(model->size - offset);
	bench_check(content, model->bytes + offset, offset, size);
}

static void write_some(struct model *model, struct content *content)
{
	uint64_t offset;
	size_t size;

	place(model, &offset, &size);
	for (size_t i = 0; i < size; i++)
		model->bytes[offset + i] = (uint8_t)(bench_random(&model->random) >> 13);
	if (offset + size > model->size)
		model->size = offset + size;
	bench_write(content, model->bytes + offset, size, offset);
}

static void cut(struct model *model, struct content *content)
{
	uint64_t size = below(model, 2) ? below(model, model->size + 1) : below(model, LIMIT);

	assert_int_equal(content_modify(content), 0);
	assert_int_equal(content_truncate(content, size), 0);
	if (size < model->size)
		memset(model->bytes + size, 0, LIMIT - size);
	model->size = size;
}

static void allocate(struct model *model, struct content *content)
{
	static const uint32_t kinds[] = {0, DW_FALLOCATE_KEEP_SIZE, DW_FALLOCATE_KEEP_SIZE | DW_FALLOCATE_PUNCH_HOLE,
					 DW_FALLOCATE_ZERO_RANGE, DW_FALLOCATE_ZERO_RANGE | DW_FALLOCATE_KEEP_SIZE};
	uint32_t flags = kinds[below(model, 5)];
	uint64_t offset;
	size_t size;
	int ret;

	place(model, &offset, &size);
	assert_int_equal(content_modify(content), 0);
	ret = content_fallocate(content, offset, size, flags);
	if (ret == -EOPNOTSUPP)
		return;
	assert_int_equal(ret, 0);
	if (flags & (DW_FALLOCATE_PUNCH_HOLE | DW_FALLOCATE_ZERO_RANGE))
		memset(model->bytes + offset, 0, size);
	if (!(flags & DW_FALLOCATE_KEEP_SIZE) && offset + size > model->size)
		model->size = offset + size;
}

static void copy_within(struct model *model, struct content *content)
{
	uint64_t from, to;
	size_t size, other, done;
	int ret;

	place(model, &from, &size);
	place(model, &to, &other);
	if (to + size > LIMIT || from >= model->size)
		return;
	if (size > model->size - from)
		size = (size_t)(model->size - from);
	assert_int_equal(content_modify(content), 0);
	ret = content_copy(content, from, content, to, size, &done);
	if (from < to + size && to < from + size) {
		assert_int_equal(ret, -EINVAL);
		return;
	}
	if (ret == -EAGAIN) {
		bench_check(content, model->bytes + from, from, size);
		ret = content_copy(content, from, content, to, size, &done);
	}
	assert_int_equal(ret, 0);
	memmove(model->bytes + to, model->bytes + from, done);
	if (to + done > model->size)
		model->size = to + done;
}

/* Every byte of the file that is not zero is data. */
static void seek(struct model *model, struct content *content)
{
	uint64_t offset = below(model, LIMIT), hole = 0, data = 0;
	int ret = content_seek(content, offset, DW_SEEK_DATA, &data);

	if (offset >= model->size) {
		assert_int_equal(ret, -ENXIO);
		return;
	}
	if (ret == -ENXIO)
		data = model->size;
	else
		assert_int_equal(ret, 0);
	for (uint64_t at = offset; at < data; at++)
		assert_int_equal(model->bytes[at], 0);
	assert_int_equal(content_seek(content, offset, DW_SEEK_HOLE, &hole), 0);
	assert_true(hole <= model->size);
}

/* Upload, as it were: the far side gets a version of what is here. */
static void upload(struct bench *bench, struct model *model, struct content *content)
{
	struct database_connection *connection;
	struct far_version *version;
	struct content_stamp stamp;
	struct content_origin origin;

	if (bench->far.full || bench->far.version_count == FAR_VERSIONS)
		return;
	assert_int_equal(content_complete(content, 0, NULL), 0);
	assert_int_equal(content_stamp(content, &stamp), 0);
	assert_int_equal(stamp.size, model->size);
	version = far_add_bytes(&bench->far, model->bytes, model->size);
	origin = (struct content_origin){.remote = "item",
					 .version = version->name,
					 .size = version->size,
					 .digest = version->digest,
					 .digest_length = sizeof(version->digest)};
	connection = database_write(bench->database);
	assert_true(content_settle(content, connection, &origin, &stamp));
	assert_int_equal(database_commit(connection), 0);
	assert_false(content_is_local(content));
}

static bool is_evicted(struct bench *bench, uint64_t id)
{
	return content_evict(bench->store, id) == 0;
}

static struct content *again(struct bench *bench, struct model *model, struct content *content, bool evict)
{
	bool local = content_is_local(content);

	content_put(content);
	if (evict) {
		if (local)
			assert_int_equal(content_evict(bench->store, model->id), -EBUSY);
		else
			bench_await(bench, is_evicted, model->id);
	} else {
		bench_close(bench);
		bench_open(bench);
	}
	return bench_get(bench, model->id);
}

static struct content *step(struct bench *bench, struct model *model, struct content *content)
{
	switch (below(model, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		write_some(model, content);
		break;
	case 4:
		cut(model, content);
		break;
	case 5:
		allocate(model, content);
		break;
	case 6:
		copy_within(model, content);
		break;
	case 7:
		seek(model, content);
		break;
	case 8:
		upload(bench, model, content);
		break;
	case 9:
		content = again(bench, model, content, true);
		break;
	case 10:
		content = again(bench, model, content, below(model, 2));
		break;
	case 11:
		assert_int_equal(content_sync(content), 0);
		break;
	default:
		read_some(model, content);
	}
	return content;
}

/* Begin with a version of the far side, or with nothing. */
static struct content *begin(struct bench *bench, struct model *model)
{
	struct far_version *version;
	struct content *content;

	if (below(model, 4) == 0) {
		content = bench_make(bench);
	} else {
		version = far_add(&bench->far, below(model, 2) ? LIMIT - below(model, 5000) : below(model, 200000),
				  bench_random(&model->random));
		memcpy(model->bytes, version->bytes, version->size);
		model->size = version->size;
		content = bench_expect(bench, version);
	}
	model->id = content_id(content);
	return content;
}

static void play(struct bench *bench, struct model *model, uint32_t steps)
{
	struct content *content = bench_get(bench, model->id);
	uint64_t size;

	for (uint32_t i = 0; i < steps; i++)
		content = step(bench, model, content);
	assert_int_equal(content_stat(content, &size, NULL, NULL), 0);
	assert_int_equal(size, model->size);
	bench_check(content, model->bytes, 0, (size_t)model->size);
	content_put(content);
}

static uint64_t first_seed(void)
{
	const char *text = getenv("SEED");

	return text ? strtoull(text, NULL, 10) : bench_clock();
}

static void agrees_with_a_buffer(void **state)
{
	struct bench *bench = *state;
	uint64_t seed = first_seed();

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct model *model = calloc(1, sizeof(*model));

		assert_non_null(model);
		model->random = seed + round;
		print_message("SEED=%llu\n", (unsigned long long)model->random);
		content_put(begin(bench, model));
		play(bench, model, STEPS);
		bench_delete(bench, model->id);
		bench_await(bench, bench_is_idle, 0);
		far_clear(&bench->far);
		free(model);
	}
}

/* Processes that die at the end of some step, with reads and writes of others under way. */
static void survives_deaths(void **state)
{
	struct bench *bench = *state;
	uint64_t seed = first_seed();
	struct model *model = far_share(sizeof(*model));

	model->random = seed;
	print_message("SEED=%llu\n", (unsigned long long)seed);
	content_put(begin(bench, model));
	bench_close(bench);
	for (unsigned death = 0; death < 15; death++) {
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (child == 0) {
			struct content *content;

			/* Versions that a child uploads are lost with it: children do not upload. */
			bench->far.full = true;
			bench_open(bench);
			content = bench_get(bench, model->id);
			content_prefetch(content, 0, UINT64_MAX);
			for (unsigned i = 0, steps = (unsigned)below(model, 12); i < steps; i++)
				content = step(bench, model, content);
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	bench_open(bench);
	play(bench, model, 10);
	far_unshare(model, sizeof(*model));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(agrees_with_a_buffer, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(survives_deaths, bench_setup, bench_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
