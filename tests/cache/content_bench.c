/* SPDX-License-Identifier: MIT */
#include "tests/cache/content_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/text.h"

uint64_t bench_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_sleep(uint64_t nanoseconds)
{
	struct timespec time = {.tv_sec = (time_t)(nanoseconds / 1000000000u),
				.tv_nsec = (long)(nanoseconds % 1000000000u)};

	nanosleep(&time, NULL);
}

uint64_t bench_random(uint64_t *state)
{
	uint64_t mixed = *state += 0x9e3779b97f4a7c15u;

	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
	return mixed ^ (mixed >> 31);
}

/* --- the remote ----------------------------------------------------------------------------------------------------
 */

static struct far_version *new_version(struct far *far, uint64_t size)
{
	struct far_version *version = &far->versions[far->version_count];

	assert_true(far->version_count < FAR_VERSIONS);
	(void)text_format(version->name, sizeof(version->name), "v%zu", far->version_count++);
	version->size = size;
	version->bytes = malloc(size + 8);
	assert_non_null(version->bytes);
	return version;
}

static void add_digest(struct far_version *version)
{
	unsigned length;

	assert_int_equal(EVP_Digest(version->bytes, version->size, version->digest, &length, EVP_sha1(), NULL), 1);
}

struct far_version *far_add(struct far *far, uint64_t size, uint64_t seed)
{
	struct far_version *version = new_version(far, size);

	for (uint64_t at = 0; at < size; at += 8) {
		uint64_t word = bench_random(&seed) | 0x0101010101010101u; /* no zero bytes: holes show */

		memcpy(version->bytes + at, &word, 8);
	}
	add_digest(version);
	return version;
}

struct far_version *far_add_bytes(struct far *far, const uint8_t *bytes, uint64_t size)
{
	struct far_version *version = new_version(far, size);

	if (size)
		memcpy(version->bytes, bytes, size);
	add_digest(version);
	return version;
}

void far_clear(struct far *far)
{
	for (size_t i = 0; i < far->version_count; i++)
		free(far->versions[i].bytes);
	far->version_count = 0;
}

void far_forget(struct far *far)
{
	pthread_mutex_lock(&far->lock);
	far->call_count = 0;
	far->brought = 0;
	far->flying_most = 0;
	pthread_mutex_unlock(&far->lock);
}

size_t far_calls(struct far *far)
{
	size_t count;

	pthread_mutex_lock(&far->lock);
	count = far->call_count;
	pthread_mutex_unlock(&far->lock);
	return count;
}

uint64_t far_brought(struct far *far)
{
	uint64_t brought;

	pthread_mutex_lock(&far->lock);
	brought = far->brought;
	pthread_mutex_unlock(&far->lock);
	return brought;
}

void far_open_gate(struct far *far)
{
	pthread_mutex_lock(&far->lock);
	far->gate = false;
	pthread_cond_broadcast(&far->changed);
	pthread_mutex_unlock(&far->lock);
}

void far_set_error(struct far *far, int error, unsigned errors)
{
	pthread_mutex_lock(&far->lock);
	far->error = error;
	far->errors = errors;
	pthread_mutex_unlock(&far->lock);
}

static bool is_cancelled(const struct dw_remote_call *call)
{
	return call->cancelled && __atomic_load_n(call->cancelled, __ATOMIC_ACQUIRE);
}

/* What this call will do, as it was set when it came. */
struct plan {
	const struct far_version *version;
	uint64_t delay, rate, good;
	size_t piece;
	int error;
	bool corrupt, overrun;
};

/* far->lock is held. */
static int make_plan(struct far *far, const struct dw_remote_call *call, const char *content, uint64_t offset,
		     uint64_t bytes, struct plan *plan)
{
	*plan = (struct plan){.delay = far->delay, .rate = far->rate, .piece = far->piece, .good = UINT64_MAX};
	if (far->call_count < FAR_CALLS)
		far->calls[far->call_count++] = (struct far_call){
			.offset = offset, .bytes = bytes, .background = call->background};
	if (++far->flying > far->flying_most)
		far->flying_most = far->flying;
	for (size_t i = 0; i < far->version_count; i++) {
		if (!strcmp(far->versions[i].name, content))
			plan->version = &far->versions[i];
	}
	if (far->errors > 0) {
		if (far->errors != UINT_MAX)
			far->errors--;
		plan->error = far->error;
		plan->good = far->good;
	}
	if (far->corrupt > 0) {
		far->corrupt--;
		plan->corrupt = true;
	}
	plan->overrun = far->overrun;
	while (far->gate && offset >= far->gate_from && !is_cancelled(call)) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 2000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		pthread_cond_timedwait(&far->changed, &far->lock, &until);
	}
	return plan->version ? 0 : DW_REMOTE_CHANGED;
}

/* Wait until the line has carried size bytes more. */
static void take_line(struct far *far, uint64_t rate, size_t size)
{
	uint64_t now = bench_clock(), until;

	pthread_mutex_lock(&far->lock);
	if (far->line_at < now)
		far->line_at = now;
	far->line_at += size * 1000000000u / rate;
	until = far->line_at;
	pthread_mutex_unlock(&far->lock);
	if (until > now)
		bench_sleep(until - now);
}

static int bring(struct far *far, const struct dw_remote_call *call, const struct plan *plan, uint64_t offset,
		 uint64_t bytes, const struct dw_remote_sink *sink)
{
	const struct far_version *version = plan->version;
	uint64_t stop = offset + bytes, sent = 0;
	uint8_t *copy;
	int ret = 0;

	if (stop > version->size)
		stop = version->size;
	if (plan->overrun)
		stop = version->size;
	copy = malloc(plan->piece);
	if (!copy)
		return -ENOMEM;
	while (offset < stop && !ret) {
		size_t size = stop - offset < plan->piece ? (size_t)(stop - offset) : plan->piece;

		if (sent >= plan->good || is_cancelled(call))
			break;
		if (size > plan->good - sent)
			size = (size_t)(plan->good - sent);
		memcpy(copy, version->bytes + offset, size);
		if (plan->corrupt && sent == 0)
			copy[0] ^= 0x55;
		if (plan->rate)
			take_line(far, plan->rate, size);
		ret = sink->write(sink, copy, size, offset);
		offset += size;
		sent += size;
		pthread_mutex_lock(&far->lock);
		far->brought += size;
		pthread_mutex_unlock(&far->lock);
	}
	free(copy);
	if (!ret && is_cancelled(call) && offset < stop)
		ret = -ECANCELED;
	return ret;
}

static int far_read(struct dw_remote *remote, struct dw_remote_call *call, const char *id, const char *content,
		    uint64_t offset, uint64_t bytes, const struct dw_remote_sink *sink)
{
	struct far *far = (struct far *)remote;
	struct plan plan;
	int ret;

	pthread_mutex_lock(&far->lock);
	ret = make_plan(far, call, content, offset, bytes, &plan);
	pthread_mutex_unlock(&far->lock);
	if (!ret && plan.delay)
		bench_sleep(plan.delay);
	if (!ret && is_cancelled(call))
		ret = -ECANCELED;
	if (!ret && (plan.error == 0 || plan.good > 0))
		ret = bring(far, call, &plan, offset, bytes, sink);
	if (!ret)
		ret = plan.error;
	pthread_mutex_lock(&far->lock);
	far->flying--;
	if (ret == -ECANCELED)
		far->cancelled++;
	pthread_cond_broadcast(&far->changed);
	pthread_mutex_unlock(&far->lock);
	return ret;
}

static const struct dw_remote_ops far_ops = {.size = sizeof(far_ops), .read = far_read};

void *far_share(size_t size)
{
	void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(shared != MAP_FAILED);
	return shared;
}

void far_unshare(void *shared, size_t size)
{
	assert_int_equal(munmap(shared, size), 0);
}

/* --- the store -------------------------------------------------------------------------------------------------------
 */

static void bench_log(void *context, int level, const char *line)
{
	(void)context;
	print_message("log %d: %s\n", level, line);
}

static void bench_answered(void *context, int ret, const char *message)
{
	struct bench *bench = context;

	(void)message;
	pthread_mutex_lock(&bench->far.lock);
	bench->answered++;
	bench->last_answer = ret;
	pthread_mutex_unlock(&bench->far.lock);
}

void bench_open(struct bench *bench)
{
	assert_int_equal(database_open(&bench->database, bench->folder, bench_log, NULL), 0);
	bench->config.database = bench->database;
	assert_int_equal(content_store_open(&bench->store, &bench->config), 0);
}

void bench_close(struct bench *bench)
{
	content_store_close(bench->store);
	database_close(bench->database);
	bench->store = NULL;
}

void bench_boot(struct bench *bench, const char *boot)
{
	bench_close(bench);
	bench->config.boot = boot;
	bench_open(bench);
}

int bench_setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	const char *base = getenv("TMPDIR");

	assert_non_null(bench);
	(void)text_format(bench->folder, sizeof(bench->folder), "%s/content-XXXXXX", base && *base ? base : "/tmp");
	assert_non_null(mkdtemp(bench->folder));
	bench->folder_fd = open(bench->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(bench->folder_fd >= 0);
	bench->far.remote = (struct dw_remote){
		.size = sizeof(bench->far.remote), .ops = &far_ops, .digest = DW_REMOTE_DIGEST_SHA1};
	pthread_mutex_init(&bench->far.lock, NULL);
	pthread_cond_init(&bench->far.changed, NULL);
	bench->far.piece = 16384;
	bench->config = (struct content_config){
		.folder_fd = bench->folder_fd,
		.remote = &bench->far.remote,
		.cache_size = UINT64_MAX,
		.read_ahead = 64u << 20,
		.timeout = 20000000000u,
		.boot = "first",
		.log = bench_log,
		.answered = bench_answered,
		.context = bench,
	};
	bench_open(bench);
	*state = bench;
	return 0;
}

int bench_teardown(void **state)
{
	struct bench *bench = *state;
	char command[128];

	if (bench->store)
		bench_close(bench);
	close(bench->folder_fd);
	(void)text_format(command, sizeof(command), "rm -rf %s", bench->folder);
	assert_int_equal(system(command), 0);
	far_clear(&bench->far);
	pthread_cond_destroy(&bench->far.changed);
	pthread_mutex_destroy(&bench->far.lock);
	free(bench);
	return 0;
}

/* --- contents
 * ---------------------------------------------------------------------------------------------------------- */

static void name_it(struct database_connection *connection, uint64_t id)
{
	sqlite3_stmt *insert = database_statement(
		connection, "INSERT INTO node(mode, uid, gid, mtime, ctime, atime, btime, content)"
			    " VALUES(33188, 0, 0, 0, 0, 0, 0, ?)");

	sqlite3_bind_int64(insert, 1, (int64_t)id);
	assert_int_equal(database_run(connection, insert), 0);
}

struct content *bench_expect(struct bench *bench, const struct far_version *version)
{
	struct database_connection *connection = database_write(bench->database);
	struct content_origin origin = {.remote = "item",
					.version = version->name,
					.size = version->size,
					.digest = version->digest,
					.digest_length = sizeof(version->digest)};
	struct content *content;

	assert_int_equal(content_expect(bench->store, connection, &origin, &content), 0);
	name_it(connection, content_id(content));
	assert_int_equal(database_commit(connection), 0);
	return content;
}

struct content *bench_make(struct bench *bench)
{
	struct database_connection *connection = database_write(bench->database);
	struct content *content;

	assert_int_equal(content_make(bench->store, connection, &content), 0);
	name_it(connection, content_id(content));
	assert_int_equal(database_commit(connection), 0);
	return content;
}

struct content *bench_get(struct bench *bench, uint64_t id)
{
	struct content *content;

	assert_int_equal(content_get(bench->store, id, &content), 0);
	assert_int_equal(content_id(content), id);
	return content;
}

void bench_delete(struct bench *bench, uint64_t id)
{
	struct database_connection *connection = database_write(bench->database);

	content_delete(bench->store, connection, id);
	assert_int_equal(database_commit(connection), 0);
}

int64_t bench_number(struct bench *bench, const char *query, uint64_t id)
{
	struct database_connection *connection = database_read(bench->database);
	sqlite3_stmt *row = database_statement(connection, query);
	int64_t number = INT64_MIN;

	assert_non_null(row);
	if (sqlite3_bind_parameter_count(row) > 0)
		sqlite3_bind_int64(row, 1, (int64_t)id);
	if (database_step(connection, row) > 0)
		number = sqlite3_column_int64(row, 0);
	database_read_end(connection);
	return number;
}

void bench_run(struct bench *bench, const char *statement, uint64_t id)
{
	struct database_connection *connection = database_write(bench->database);
	sqlite3_stmt *row = database_statement(connection, statement);

	assert_non_null(row);
	if (sqlite3_bind_parameter_count(row) > 0)
		sqlite3_bind_int64(row, 1, (int64_t)id);
	assert_int_equal(database_run(connection, row), 0);
	assert_int_equal(database_commit(connection), 0);
}

void bench_check(struct content *content, const uint8_t *expected, uint64_t offset, size_t size)
{
	uint8_t *bytes = malloc(size + 1);
	size_t done = 0;

	assert_non_null(bytes);
	assert_int_equal(content_read(content, bytes, size, offset, false, NULL, &done), 0);
	assert_int_equal(done, size);
	if (memcmp(bytes, expected, size) != 0) {
		size_t at = 0;

		while (bytes[at] == expected[at])
			at++;
		fail_msg("byte %llu is %02x and not %02x", (unsigned long long)(offset + at), bytes[at], expected[at]);
	}
	free(bytes);
}

void bench_write(struct content *content, const void *bytes, size_t size, uint64_t offset)
{
	size_t done = 0;

	assert_int_equal(content_modify(content), 0);
	assert_int_equal(content_write(content, bytes, size, offset, &done), 0);
	assert_int_equal(done, size);
}

bool bench_file_exists(const struct bench *bench, uint64_t id)
{
	char path[64];
	struct stat found;

	(void)text_format(path, sizeof(path), "content/%02x/%llx", (unsigned)(id & 0xff), (unsigned long long)id);
	return fstatat(bench->folder_fd, path, &found, AT_SYMLINK_NOFOLLOW) == 0;
}

void bench_await(struct bench *bench, bool (*what)(struct bench *bench, uint64_t number), uint64_t number)
{
	uint64_t end = bench_clock() + 20000000000u;

	while (!what(bench, number)) {
		assert_true(bench_clock() < end);
		bench_sleep(2000000);
	}
}

bool bench_is_idle(struct bench *bench, uint64_t unused)
{
	struct content_numbers numbers;
	bool idle;

	(void)unused;
	content_store_numbers(bench->store, &numbers);
	pthread_mutex_lock(&bench->far.lock);
	idle = bench->far.flying == 0 && numbers.fetching == 0;
	pthread_mutex_unlock(&bench->far.lock);
	return idle;
}
