/* SPDX-License-Identifier: MIT */
/*
 * Every fault on every operation: it is sat out, or an error comes that fits, in time, and nothing is done twice or by
 * half. What a run without a fault leaves behind is what every other run that works has to leave behind; one that fails
 * leaves that or what was there before, and in that case works when it is asked again. usage: test_faults EMULATOR
 */
#include "tests/remotes/box/emulated.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND	   1000000000ull
#define FILE_BYTES 300000u
#define LONG_BYTES 250001u /* in parts: the emulator takes small files, too */
#define PATIENCE   (20 * SECOND)
#define IMPATIENCE (SECOND / 16)
#define MARGIN	   (2 * SECOND) /* that a busy machine may need */
#define ERRORS_MAX 4

/* One operation on a folder of its own, which has a file "file" and a folder "sub" in it. */
struct bench {
	struct emulated *emulated;
	struct dw_remote *remote;
	char folder[80], file[80], etag[80], content[160], sub[80];
	char got[80], got_etag[80]; /* of the item that was answered last */
	struct dw_remote_call call;
	uint64_t patience; /* nanoseconds a call */
	char summary[512]; /* of what the folder holds */
	unsigned long seen, wrong;
};

static uint64_t now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * SECOND + (uint64_t)at.tv_nsec;
}

static struct dw_remote_call *fresh(struct bench *bench)
{
	bench->call = (struct dw_remote_call){.size = sizeof(bench->call), .deadline = now() + bench->patience};
	return &bench->call;
}

static int take_item(const struct dw_remote_items *items, const struct dw_remote_item *item)
{
	struct bench *bench = items->context;

	snprintf(bench->got, sizeof(bench->got), "%s", item->id);
	snprintf(bench->got_etag, sizeof(bench->got_etag), "%s", item->etag);
	snprintf(bench->content, sizeof(bench->content), "%s", item->content);
	return 0;
}

static int read_pattern(const struct dw_remote_content *content, void *buffer, size_t size, uint64_t offset)
{
	unsigned char *bytes = buffer;
	uintptr_t seed = (uintptr_t)content->context;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)((offset + i) * 7 + ((offset + i) >> 9) + seed);
	return 0;
}

static struct dw_remote_content pattern(uint64_t bytes, uintptr_t seed)
{
	return (struct dw_remote_content){
		.read = read_pattern, .bytes = bytes, .modified = {.seconds = 1500000000}, .context = (void *)seed};
}

static int check_pattern(const struct dw_remote_sink *sink, const void *data, size_t size, uint64_t offset)
{
	struct bench *bench = sink->context;
	struct dw_remote_content content = pattern(FILE_BYTES, 1);
	char *wanted = malloc(size);
	bool same;

	content.read(&content, wanted, size, offset);
	same = offset == bench->seen && memcmp(wanted, data, size) == 0;
	bench->seen += size;
	free(wanted);
	bench->wrong += !same;
	return 0;
}

static struct dw_remote_items to_bench(struct bench *bench)
{
	return (struct dw_remote_items){.item = take_item, .context = bench};
}

static int do_stat(struct bench *bench)
{
	struct dw_remote_items items = to_bench(bench);

	return bench->remote->ops->stat(bench->remote, fresh(bench), bench->file, &items);
}

static int do_list(struct bench *bench)
{
	struct dw_remote_items items = to_bench(bench);
	char cursor[DW_REMOTE_CURSOR_MAX + 1] = "";

	return bench->remote->ops->list(bench->remote, fresh(bench), bench->folder, cursor, &items);
}

static int do_read(struct bench *bench)
{
	struct dw_remote_sink sink = {.write = check_pattern, .context = bench};
	int result;

	bench->seen = bench->wrong = 0;
	result = bench->remote->ops->read(bench->remote, fresh(bench), bench->file, bench->content, 0, UINT64_MAX,
					  &sink);
	return result ? result : bench->seen == FILE_BYTES && !bench->wrong ? 0 : -ENODATA;
}

static int do_quota(struct bench *bench)
{
	struct dw_remote_quota quota;

	return bench->remote->ops->quota(bench->remote, fresh(bench), &quota);
}

static int do_upload(struct bench *bench)
{
	struct dw_remote_place place = {.parent = bench->folder, .name = "new"};
	struct dw_remote_content content = pattern(FILE_BYTES, 2);
	struct dw_remote_items items = to_bench(bench);

	return bench->remote->ops->upload(bench->remote, fresh(bench), &place, &content, &items);
}

static int replace(struct bench *bench, const char *etag)
{
	struct dw_remote_place place = {.id = bench->file, .etag = etag};
	struct dw_remote_content content = pattern(FILE_BYTES, 3);
	struct dw_remote_items items = to_bench(bench);

	return bench->remote->ops->upload(bench->remote, fresh(bench), &place, &content, &items);
}

static int do_replace(struct bench *bench)
{
	return replace(bench, bench->etag);
}

static int do_replace_any(struct bench *bench)
{
	return replace(bench, NULL);
}

static int do_mkdir(struct bench *bench)
{
	struct dw_remote_items items = to_bench(bench);

	return bench->remote->ops->mkdir(bench->remote, fresh(bench), bench->folder, "made", &items);
}

static int do_move(struct bench *bench)
{
	struct dw_remote_items items = to_bench(bench);

	return bench->remote->ops->move(bench->remote, fresh(bench), bench->file, DW_REMOTE_FILE, bench->etag,
					bench->folder, "moved", &items);
}

static int do_move_folder(struct bench *bench)
{
	struct dw_remote_items items = to_bench(bench);

	return bench->remote->ops->move(bench->remote, fresh(bench), bench->sub, DW_REMOTE_FOLDER, NULL, bench->folder,
					"moved", &items);
}

static int do_copy(struct bench *bench)
{
	struct dw_remote_items items = to_bench(bench);

	return bench->remote->ops->copy(bench->remote, fresh(bench), bench->file, DW_REMOTE_FILE, bench->folder, "copy",
					&items);
}

static int do_remove(struct bench *bench)
{
	return bench->remote->ops->remove(bench->remote, fresh(bench), bench->file, DW_REMOTE_FILE, bench->etag, false);
}

static int do_properties(struct bench *bench)
{
	struct dw_remote_property properties[] = {{.key = "mode", .value = "0644"}, {.key = "other", .value = NULL}};

	return bench->remote->ops->set_properties(bench->remote, fresh(bench), bench->file, DW_REMOTE_FILE, properties,
						  2);
}

/* A whole upload in parts, as the cache does it: what is not known is asked for again. */
static int do_session(struct bench *bench)
{
	const struct dw_remote_ops *ops = bench->remote->ops;
	struct dw_remote_place place = {.parent = bench->folder, .name = "long"};
	struct dw_remote_content content = pattern(LONG_BYTES, 4);
	struct dw_remote_items items = to_bench(bench);
	struct dw_remote_session *session = calloc(1, sizeof(*session));
	struct dw_remote_part parts[8];
	size_t count = 0;
	int result;

	result = ops->session_begin(bench->remote, fresh(bench), &place, &content, session);
	for (uint64_t at = 0; !result && at < LONG_BYTES && count < 8; at += session->part_bytes)
		result = ops->session_part(bench->remote, fresh(bench), session, &content, at, &parts[count++]);
	if (!result)
		result = ops->session_commit(bench->remote, fresh(bench), session, &place, &content, parts, count,
					     &items);
	free(session);
	return result;
}

static int summarize(const struct dw_remote_items *items, const struct dw_remote_item *item)
{
	struct bench *bench = items->context;
	size_t used = strlen(bench->summary);

	snprintf(bench->summary + used, sizeof(bench->summary) - used, "%s:%d:%s:%llu ", item->name, (int)item->type,
		 item->etag, (unsigned long long)item->bytes);
	return 0;
}

static void must(int result, struct bench *bench, const char *what)
{
	if (!result)
		return;
	fprintf(stderr, "%s: %d %s\n", what, result, bench->call.message);
	exit(1);
}

static void prepare(struct bench *bench, const char *name)
{
	struct dw_remote_place place = {.name = "file"};
	struct dw_remote_content content = pattern(FILE_BYTES, 1);
	struct dw_remote_items items = to_bench(bench);
	char etag[80], held[160];

	must(bench->remote->ops->mkdir(bench->remote, fresh(bench), bench->remote->root, name, &items), bench, "mkdir");
	memcpy(bench->folder, bench->got, sizeof(bench->folder));
	place.parent = bench->folder;
	must(bench->remote->ops->upload(bench->remote, fresh(bench), &place, &content, &items), bench, "upload");
	memcpy(bench->file, bench->got, sizeof(bench->file));
	memcpy(etag, bench->got_etag, sizeof(etag));
	memcpy(held, bench->content, sizeof(held));
	must(bench->remote->ops->mkdir(bench->remote, fresh(bench), bench->folder, "sub", &items), bench, "mkdir");
	memcpy(bench->sub, bench->got, sizeof(bench->sub));
	memcpy(bench->etag, etag, sizeof(bench->etag));
	memcpy(bench->content, held, sizeof(bench->content));
}

static void look(struct bench *bench)
{
	struct dw_remote_items items = {.item = summarize, .context = bench};
	char cursor[DW_REMOTE_CURSOR_MAX + 1] = "";

	bench->summary[0] = 0;
	must(bench->remote->ops->list(bench->remote, fresh(bench), bench->folder, cursor, &items), bench, "list");
}

static const struct {
	const char *name;
	int (*run)(struct bench *bench);
	const char *kind; /* NULL: the fault strikes the first call */
	bool guess;	  /* whether the outcome can stay unknown */
	bool twice;	  /* whether nobody can tell twice from once: the etag does not count */
} operations[] = {
	{"stat", do_stat, NULL, false, false},
	{"list", do_list, NULL, false, false},
	{"read", do_read, NULL, false, false},
	{"read bytes", do_read, "data", false, false},
	{"quota", do_quota, NULL, false, false},
	{"upload", do_upload, NULL, false, false},
	{"replace", do_replace, NULL, false, false},
	{"replace any", do_replace_any, NULL, false, true},
	{"mkdir", do_mkdir, NULL, true, false},
	{"move", do_move, NULL, false, false},
	{"move folder", do_move_folder, NULL, false, false},
	{"copy", do_copy, NULL, false, false},
	{"remove", do_remove, NULL, false, false},
	{"properties", do_properties, NULL, false, false},
	{"properties made", do_properties, "metadata.create", false, false},
	{"session", do_session, NULL, false, false},
	{"session part", do_session, "session.part", false, false},
	{"session commit", do_session, "session.commit", false, false},
};

#define OUT_OF_REACH                                                                                                   \
	{                                                                                                              \
		-ETIMEDOUT, DW_REMOTE_UNKNOWN, DW_REMOTE_OFFLINE, -EIO                                                 \
	}

static const struct {
	const char *name;
	const char *fault;	/* JSON, without its end */
	uint64_t patience;	/* nanoseconds; 0: PATIENCE */
	int errors[ERRORS_MAX]; /* with which a call may fail; zeros: it may not */
} faults[] = {
	{"none", NULL, 0, {0}},
	{"429", "{\"fault\":\"status\",\"status\":429,\"retry_after\":0,\"times\":2", 0, {0}},
	{"500", "{\"fault\":\"status\",\"status\":500,\"times\":1", 0, {0}},
	{"502", "{\"fault\":\"status\",\"status\":502,\"times\":2", 0, {0}},
	{"503", "{\"fault\":\"status\",\"status\":503,\"retry_after\":0,\"times\":2", 0, {0}},
	{"503 for ever", "{\"fault\":\"status\",\"status\":503,\"retry_after\":60", 0, {DW_REMOTE_LATER, -EBUSY}},
	{"token refused", "{\"fault\":\"expired_token\",\"times\":1", 0, {0}},
	{"token refused for ever", "{\"fault\":\"expired_token\"", 0, {DW_REMOTE_LOGIN, -EIO}},
	{"reset before", "{\"fault\":\"reset_before\",\"times\":2", 0, {0}},
	{"reset after", "{\"fault\":\"reset_after\",\"times\":1", 0, {0}},
	{"reset behind the head", "{\"fault\":\"reset_body\",\"at\":0,\"times\":1", 0, {0}},
	{"reset in the answer", "{\"fault\":\"reset_body\",\"at\":7,\"times\":1", 0, {0}},
	{"reset late in the answer", "{\"fault\":\"reset_body\",\"at\":200,\"times\":1", 0, {0}},
	{"no answer but a head", "{\"fault\":\"truncate\",\"at\":0,\"times\":1", 0, {0}},
	{"short answer", "{\"fault\":\"truncate\",\"at\":9,\"times\":2", 0, {0}},
	{"answer cut late", "{\"fault\":\"truncate\",\"at\":200,\"times\":1", 0, {0}},
	{"reset in the body", "{\"fault\":\"reset_upload\",\"at\":10,\"times\":2", 0, {0}},
	{"reset late in the body", "{\"fault\":\"reset_upload\",\"at\":60000,\"times\":2", 0, {0}},
	{"no body gets through", "{\"fault\":\"reset_upload\",\"at\":3000", 0, OUT_OF_REACH},
	{"latency", "{\"fault\":\"latency\",\"ms\":30,\"times\":5", 0, {0}},
	{"stall", "{\"fault\":\"stall\",\"seconds\":60,\"times\":1", IMPATIENCE, OUT_OF_REACH},
	{"stall in the answer", "{\"fault\":\"stall\",\"seconds\":60,\"at\":5,\"times\":1", IMPATIENCE, OUT_OF_REACH},
	{"drop", "{\"fault\":\"drop\"", IMPATIENCE, OUT_OF_REACH},
	{"wrong digest", "{\"fault\":\"status\",\"status\":400,\"code\":\"bad_digest\",\"times\":1", 0, {-EBADMSG}},
	{"answer damaged", "{\"fault\":\"corrupt\",\"at\":1,\"times\":1", 0, {-EPROTO, -EBADMSG, -ENODATA}},
	{"clock ahead", "{\"fault\":\"skew\",\"seconds\":86400,\"times\":9", 0, {0}},
	{"clock behind", "{\"fault\":\"skew\",\"seconds\":-86400,\"times\":9", 0, {0}},
	{"202", "{\"fault\":\"accepted\",\"retry_after\":0,\"times\":1", 0, {0}},
};

static bool may_fail(size_t operation, size_t fault, int result)
{
	for (size_t i = 0; i < ERRORS_MAX; i++) {
		if (faults[fault].errors[i] == result)
			return true;
	}
	return result == DW_REMOTE_UNKNOWN && operations[operation].guess;
}

/* Every request that the fault may strike: those for tokens are left alone, or nothing would be known of the calls. */
static void strike(struct bench *bench, size_t operation, size_t fault)
{
	const char *kind = operations[operation].kind;
	char body[256];

	snprintf(body, sizeof(body), "%s,\"match\":{\"%s\":\"%s\"}}", faults[fault].fault, kind ? "kind" : "path",
		 kind ? kind : "^/(2.0|api/2.0)/");
	json_decref(emulated_control(bench->emulated, "POST", "faults", body));
}

static int one(struct bench *bench, size_t operation, size_t fault, char *wanted, size_t size)
{
	char name[DW_REMOTE_MESSAGE_MAX], before[sizeof(bench->summary)];
	uint64_t patience = faults[fault].patience ? faults[fault].patience : PATIENCE, began;
	bool right, late;
	int result, again = 0;

	snprintf(name, sizeof(name), "case %zu %zu", operation, fault);
	prepare(bench, name);
	look(bench);
	memcpy(before, bench->summary, sizeof(before));
	if (faults[fault].fault)
		strike(bench, operation, fault);
	bench->patience = patience;
	began = now();
	result = operations[operation].run(bench);
	late = now() - began > patience + MARGIN;
	bench->patience = PATIENCE;
	emulated_control(bench->emulated, "DELETE", "faults", NULL);
	snprintf(name, sizeof(name), "%s", bench->call.message);
	look(bench);
	if (!faults[fault].fault)
		snprintf(wanted, size, "%s", bench->summary);
	if (result && strcmp(bench->summary, before) == 0) {
		again = operations[operation].run(bench);
		look(bench);
	}
	/* The first one may come to be done behind the second: what it left is then in the way, and is what was wanted.
	 */
	right = !late && (!again || result != 0) &&
		(strcmp(bench->summary, wanted) == 0 || (result && operations[operation].twice));
	if (right && (!result || may_fail(operation, fault, result)))
		return 0;
	fprintf(stderr, "%s with %s: %d %s%s, again: %d\n  before:   %s\n  there is: %s\n  wanted:   %s\n",
		operations[operation].name, faults[fault].name, result, name, late ? ", too late" : "", again, before,
		bench->summary, wanted);
	return 1;
}

/* What one operation alone meets. */
static int special(struct bench *bench, const char *name, int (*run)(struct bench *bench), const char *fault,
		   int wanted)
{
	int result;

	prepare(bench, name);
	json_decref(emulated_control(bench->emulated, "POST", "faults", fault));
	result = run(bench);
	emulated_control(bench->emulated, "DELETE", "faults", NULL);
	if (result == wanted)
		return 0;
	fprintf(stderr, "%s: %d instead of %d, %s\n", name, result, wanted, bench->call.message);
	return 1;
}

static int specials(struct bench *bench)
{
	static const struct {
		const char *name;
		int (*run)(struct bench *bench);
		const char *fault;
		int wanted;
	} cases[] = {
		{"not ready", do_read,
		 "{\"fault\":\"accepted\",\"retry_after\":1,\"times\":1,\"match\":{\"kind\":\"file.content\"}}", 0},
		{"late to be ready", do_read,
		 "{\"fault\":\"accepted\",\"retry_after\":900,\"times\":1,\"match\":{\"kind\":\"file.content\"}}",
		 DW_REMOTE_LATER},
		{"broken in the middle", do_read,
		 "{\"fault\":\"reset_body\",\"at\":70000,\"times\":3,\"match\":{\"kind\":\"data\"}}", 0},
		/* What was handed on is wrong, as only the end shows. */
		{"damaged", do_read, "{\"fault\":\"corrupt\",\"at\":250000,\"times\":1,\"match\":{\"kind\":\"data\"}}",
		 -EBADMSG},
		{"put together slowly", do_session,
		 "{\"fault\":\"accepted\",\"retry_after\":1,\"times\":1,\"match\":{\"kind\":\"session.commit\"}}", 0},
		{"put together late", do_session,
		 "{\"fault\":\"accepted\",\"retry_after\":900,\"times\":1,\"match\":{\"kind\":\"session.commit\"}}",
		 DW_REMOTE_LATER},
	};
	int failed = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		failed += special(bench, cases[i].name, cases[i].run, cases[i].fault, cases[i].wanted);
	return failed;
}

int main(int count, char **words)
{
	static const char *const more[] = {"auth=ccg", "client-id=driveway-demo", "client-secret=driveway-secret",
					   "enterprise=900001", NULL};
	struct emulated emulated;
	struct bench bench = {.emulated = &emulated, .patience = PATIENCE};
	char error[256] = "", wanted[512] = "";
	int failed = 0, cases = 0;

	if (count != 2)
		return 2;
	emulated_start(&emulated, words[1], "part_size=70000");
	json_decref(emulated_control(&emulated, "PUT", "settings", "{\"session_least\":1}"));
	if (emulated_open(&emulated, "", more, &bench.remote, error, sizeof(error))) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		for (size_t j = 0; j < sizeof(faults) / sizeof(*faults); j++, cases++)
			failed += one(&bench, i, j, wanted, sizeof(wanted));
	}
	failed += specials(&bench);
	bench.remote->ops->close(bench.remote);
	emulated_stop(&emulated);
	printf("%d of %d cases failed\n", failed, cases);
	return failed ? 1 : 0;
}
