/* SPDX-License-Identifier: MIT */
/* support.c - reporting, and what many cases do */
#include "suite.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE 65536u

/* Of this process: each case has one of its own. Threads of a case add to it too. */
static _Atomic int failures;

void suite_report(const char *file, int line, const char *format, ...)
{
	const char *base = strrchr(file, '/');
	char text[512];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	printf("  %s:%d: %s\n", base ? base + 1 : file, line, text);
	failures++;
}

int suite_failures(void)
{
	return failures;
}

_Noreturn void suite_end(void)
{
	fflush(stdout);
	_exit(failures ? 1 : 0);
}

_Noreturn void suite_skip(const char *why)
{
	if (failures)
		suite_end();
	printf("  skipped: %s\n", why);
	fflush(stdout);
	_exit(EXIT_SKIPPED);
}

bool suite_check(bool holds, const char *file, int line, const char *what)
{
	if (!holds)
		suite_report(file, line, "%s does not hold", what);
	return holds;
}

static const char *result_name(int result)
{
	static const char *const own[] = {"OFFLINE", "UNKNOWN", "LOGIN", "LATER", "CHANGED", "EXPIRED", "TRASHED"};

	if (result <= DW_REMOTE_OFFLINE && result >= DW_REMOTE_TRASHED)
		return own[DW_REMOTE_OFFLINE - result];
	if (result == 0)
		return "0";
	return strerrorname_np(-result) ? strerrorname_np(-result) : "?";
}

bool suite_check_result(int got, int want, const char *file, int line, const char *what)
{
	if (got != want)
		suite_report(file, line, "%s: %s (%d), expected %s", what, result_name(got), got, result_name(want));
	return got == want;
}

/* --- Items --------------------------------------------------------------------------------------------------- */

static void copy_text(char *out, size_t size, const char *text, const char *what)
{
	if (text == NULL || strlen(text) >= size) {
		suite_report(__FILE__, __LINE__, "an item's %s is %s", what, text == NULL ? "NULL" : "too long");
		text = "";
	}
	snprintf(out, size, "%s", text);
}

static void copy_item(struct item *out, const struct dw_remote_item *item)
{
	memset(out, 0, sizeof(*out));
	EXPECT(item->size >= sizeof(*item));
	EXPECT(item->type >= DW_REMOTE_FILE && item->type <= DW_REMOTE_OTHER);
	out->type = item->type;
	copy_text(out->id, sizeof(out->id), item->id, "id");
	copy_text(out->parent, sizeof(out->parent), item->parent, "parent");
	copy_text(out->name, sizeof(out->name), item->name, "name");
	copy_text(out->etag, sizeof(out->etag), item->etag, "etag");
	EXPECT(out->id[0] != '\0');
	EXPECT(item->modified.nanoseconds < SECOND && item->created.nanoseconds < SECOND);
	EXPECT(item->digest_length <= sizeof(item->digest));
	if (item->type == DW_REMOTE_FILE) {
		copy_text(out->content, sizeof(out->content), item->content, "content name");
		EXPECT(out->content[0] != '\0');
		out->bytes = item->bytes;
		out->digest_length = item->digest_length;
		memcpy(out->digest, item->digest, sizeof(out->digest));
	}
	out->rights = item->rights;
	out->modified = item->modified;
	out->properties_known = item->properties_known;
	out->property_count = item->property_count;
	for (size_t i = 0; i < item->property_count && i < sizeof(out->properties) / sizeof(out->properties[0]); i++) {
		copy_text(out->properties[i].key, sizeof(out->properties[i].key), item->properties[i].key, "key");
		snprintf(out->properties[i].value, sizeof(out->properties[i].value), "%s", item->properties[i].value);
	}
}

static int collect(const struct dw_remote_items *items, const struct dw_remote_item *item)
{
	struct collector *collector = (struct collector *)items; /* it is the first member */
	struct item_list *list = &collector->list;
	struct item *more = reallocarray(list->items, list->count + 1, sizeof(*more));

	NEED(more != NULL);
	list->items = more;
	copy_item(&more[list->count++], item);
	return collector->stop_after != 0 && list->count >= collector->stop_after ? collector->stop_with : 0;
}

struct collector collector_new(void)
{
	return (struct collector){.items = {.item = collect}};
}

void item_list_clear(struct item_list *list)
{
	free(list->items);
	*list = (struct item_list){0};
}

void collector_clear(struct collector *collector)
{
	item_list_clear(&collector->list);
}

const struct item *item_find(const struct item_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].name, name) == 0)
			return &list->items[i];
	return NULL;
}

const char *item_property(const struct item *item, const char *key)
{
	for (size_t i = 0; i < item->property_count && i < sizeof(item->properties) / sizeof(item->properties[0]); i++)
		if (strcmp(item->properties[i].key, key) == 0)
			return item->properties[i].value;
	return NULL;
}

/* --- Calls --------------------------------------------------------------------------------------------------- */

uint64_t now_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

struct dw_remote_call call_new(void)
{
	return (struct dw_remote_call){.size = sizeof(struct dw_remote_call),
				       .deadline = now_monotonic() + CALL_SECONDS * SECOND};
}

bool call_again(const struct dw_remote_call *call, int result)
{
	struct timespec pause = {(time_t)(call->retry_after / SECOND), (long)(call->retry_after % SECOND)};

	EXPECT(memchr(call->message, '\0', sizeof(call->message)) != NULL && strchr(call->message, '\n') == NULL);
	if (result != DW_REMOTE_LATER)
		return false;
	if (pause.tv_sec == 0 && pause.tv_nsec == 0)
		pause.tv_nsec = 100000000;
	nanosleep(&pause, NULL);
	return true;
}

struct dw_remote *suite_open(struct suite *suite)
{
	struct dw_remote *remote = NULL;
	char error[512] = "";
	int err = suite->provider->open(suite->provider, &suite->source, &remote, error, sizeof(error));

	if (err != 0) {
		suite_report(__FILE__, __LINE__, "open: %s: %s", result_name(err), error);
		suite_end();
	}
	return remote;
}

void suite_reopen(struct suite *suite)
{
	if (suite->remote != NULL)
		suite->ops->close(suite->remote);
	suite->remote = suite_open(suite);
	suite->ops = suite->remote->ops;
}

/* What an answer that is one item was; failed calls bring none. */
static int take_one(struct collector *collector, int err, struct item *out)
{
	EXPECT(collector->list.count == (err == 0 ? 1 : 0));
	if (err == 0 && collector->list.count == 1 && out != NULL)
		*out = collector->list.items[0];
	collector_clear(collector);
	return err;
}

#define CALL_ONE(expression)                                                                                           \
	do {                                                                                                           \
		struct collector collector = collector_new();                                                          \
		struct dw_remote_call call;                                                                            \
		int err;                                                                                               \
                                                                                                                       \
		do {                                                                                                   \
			call = call_new();                                                                             \
			err = (expression);                                                                            \
		} while (call_again(&call, err));                                                                      \
		return take_one(&collector, err, out);                                                                 \
	} while (0)

int do_stat(struct suite *suite, const char *id, struct item *out)
{
	CALL_ONE(suite->ops->stat(suite->remote, &call, id, &collector.items));
}

int do_mkdir(struct suite *suite, const char *parent, const char *name, struct item *out)
{
	CALL_ONE(suite->ops->mkdir(suite->remote, &call, parent, name, &collector.items));
}

int do_move(struct suite *suite, const struct item *item, const char *etag, const char *parent, const char *name,
	    struct item *out)
{
	CALL_ONE(suite->ops->move(suite->remote, &call, item->id, item->type, etag, parent, name, &collector.items));
}

int do_copy(struct suite *suite, const struct item *item, const char *parent, const char *name, struct item *out)
{
	CALL_ONE(suite->ops->copy(suite->remote, &call, item->id, item->type, parent, name, &collector.items));
}

static int upload(struct suite *suite, const struct dw_remote_place *place, struct pattern *pattern, struct item *out)
{
	CALL_ONE(suite->ops->upload(suite->remote, &call, place, &pattern->content, &collector.items));
}

int do_upload(struct suite *suite, const char *parent, const char *name, struct pattern *pattern, struct item *out)
{
	struct dw_remote_place place = {.parent = parent, .name = name};

	return upload(suite, &place, pattern, out);
}

int do_replace(struct suite *suite, const char *id, const char *etag, struct pattern *pattern, struct item *out)
{
	struct dw_remote_place place = {.id = id, .etag = etag};

	return upload(suite, &place, pattern, out);
}

int do_list(struct suite *suite, const char *folder, struct item_list *out)
{
	struct collector collector = collector_new();
	char cursor[DW_REMOTE_CURSOR_MAX + 1] = "";
	struct dw_remote_call call;
	int err;

	do {
		call = call_new();
		err = suite->ops->list(suite->remote, &call, folder, cursor, &collector.items);
	} while (call_again(&call, err) || (err == 0 && cursor[0] != '\0'));
	if (err != 0)
		collector_clear(&collector);
	*out = collector.list;
	return err;
}

int do_remove(struct suite *suite, const struct item *item, const char *etag, bool recursive)
{
	struct dw_remote_call call;
	int err;

	do {
		call = call_new();
		err = suite->ops->remove(suite->remote, &call, item->id, item->type, etag, recursive);
	} while (call_again(&call, err));
	return err;
}

/* --- Contents ------------------------------------------------------------------------------------------------- */

void pattern_fill(void *buffer, size_t size, uint64_t offset, uint32_t seed)
{
	uint8_t *bytes = buffer;

	for (size_t i = 0; i < size; i++) {
		uint64_t at = offset + i;
		uint64_t mixed = ((at >> 3) + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)seed * 2654435761u;

		bytes[i] = (uint8_t)((mixed ^ mixed >> 29) >> (8 * (at & 7)));
	}
}

static int pattern_read(const struct dw_remote_content *content, void *buffer, size_t size, uint64_t offset)
{
	struct pattern *pattern = content->context;

	EXPECT(size > 0 && offset <= content->bytes && size <= content->bytes - offset);
	if (pattern->fail_with != 0 && offset + size > pattern->fail_at)
		return pattern->fail_with;
	pattern_fill(buffer, size, offset, pattern->seed);
	pattern->read += size;
	return 0;
}

static void pattern_progress(const struct dw_remote_content *content, uint64_t sent)
{
	struct pattern *pattern = content->context;

	EXPECT(sent <= content->bytes);
	pattern->sent = sent;
}

void pattern_begin(struct suite *suite, struct pattern *pattern, uint64_t bytes, uint32_t seed)
{
	uint32_t kind = suite->remote->digest;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t *buffer = malloc(PIECE);

	memset(pattern, 0, sizeof(*pattern));
	pattern->seed = seed;
	pattern->content = (struct dw_remote_content){.read = pattern_read,
						      .progress = pattern_progress,
						      .bytes = bytes,
						      .modified = {1700000000 + seed, 0},
						      .context = pattern};
	NEED(context != NULL && buffer != NULL);
	if (kind != DW_REMOTE_DIGEST_NONE) {
		NEED(EVP_DigestInit_ex(context,
				       kind == DW_REMOTE_DIGEST_SHA256 ? EVP_sha256()
				       : kind == DW_REMOTE_DIGEST_MD5  ? EVP_md5()
								       : EVP_sha1(),
				       NULL) == 1);
		for (uint64_t at = 0; at < bytes; at += PIECE) {
			size_t size = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;

			pattern_fill(buffer, size, at, seed);
			NEED(EVP_DigestUpdate(context, buffer, size) == 1);
		}
		NEED(EVP_DigestFinal_ex(context, pattern->digest, NULL) == 1);
		pattern->content.digest = pattern->digest;
	}
	EVP_MD_CTX_free(context);
	free(buffer);
}

struct item make_file(struct suite *suite, const char *name, uint64_t bytes, uint32_t seed)
{
	struct pattern pattern;
	struct item item;

	pattern_begin(suite, &pattern, bytes, seed);
	NEED_OK(do_upload(suite, suite->folder, name, &pattern, &item));
	return item;
}

struct item make_folder(struct suite *suite, const char *parent, const char *name)
{
	struct item item;

	NEED_OK(do_mkdir(suite, parent, name, &item));
	return item;
}

struct reading {
	struct dw_remote_sink sink;
	uint64_t at; /* what comes next */
	uint32_t seed;
	bool wrong;
};

static int reading_write(const struct dw_remote_sink *sink, const void *data, size_t size, uint64_t offset)
{
	struct reading *reading = sink->context;
	const uint8_t *bytes = data;
	uint8_t want[PIECE];

	if (offset != reading->at)
		reading->wrong = true;
	for (size_t done = 0; done < size;) {
		size_t part = size - done < sizeof(want) ? size - done : sizeof(want);

		pattern_fill(want, part, offset + done, reading->seed);
		if (memcmp(want, bytes + done, part) != 0)
			reading->wrong = true;
		done += part;
	}
	reading->at = offset + size;
	return 0;
}

int do_read(struct suite *suite, const char *id, const char *content, uint64_t offset, uint64_t bytes, uint64_t size,
	    uint32_t seed)
{
	uint64_t end = offset >= size ? offset : bytes > size - offset ? size : offset + bytes;
	struct reading reading;
	struct dw_remote_call call;
	int err;

	do {
		reading = (struct reading){.sink = {.write = reading_write}, .at = offset, .seed = seed};
		reading.sink.context = &reading;
		call = call_new();
		err = suite->ops->read(suite->remote, &call, id, content, offset, bytes, &reading.sink);
	} while (call_again(&call, err));
	return err != 0 ? err : reading.wrong || reading.at != end ? -EILSEQ : 0;
}
