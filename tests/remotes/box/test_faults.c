/* SPDX-License-Identifier: MIT */
/*
 * Every fault on every operation: it is sat out, or the right error comes, and nothing is done twice. What a run
 * without a fault leaves behind is what every other run has to leave behind. usage: test_faults EMULATOR
 */
#include "tests/remotes/box/emulated.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND	   1000000000ull
#define FILE_BYTES 300000u
#define LONG_BYTES 20000001u

/* One operation on a folder of its own, which has a file "file" and a folder "sub" in it. */
struct bench {
	struct emulated *emulated;
	struct dw_remote *remote;
	char folder[80], file[80], etag[80], content[160], sub[80];
	char got[80], got_etag[80]; /* of the item that was answered last */
	struct dw_remote_call call;
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
	bench->call = (struct dw_remote_call){.size = sizeof(bench->call), .deadline = now() + 20 * SECOND};
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
} operations[] = {
	{"stat", do_stat, NULL, false},
	{"list", do_list, NULL, false},
	{"read", do_read, NULL, false},
	{"read bytes", do_read, "data", false},
	{"quota", do_quota, NULL, false},
	{"upload", do_upload, NULL, false},
	{"replace", do_replace, NULL, false},
	{"replace any", do_replace_any, NULL, false},
	{"mkdir", do_mkdir, NULL, true},
	{"move", do_move, NULL, false},
	{"move folder", do_move_folder, NULL, false},
	{"copy", do_copy, NULL, false},
	{"remove", do_remove, NULL, false},
	{"properties", do_properties, NULL, false},
	{"properties made", do_properties, "metadata.create", false},
	{"session", do_session, NULL, false},
	{"session part", do_session, "session.part", false},
	{"session commit", do_session, "session.commit", false},
};

static const struct {
	const char *name;
	const char *fault; /* JSON, without its end */
} faults[] = {
	{"none", NULL},
	{"429", "{\"fault\":\"status\",\"status\":429,\"retry_after\":0,\"times\":2"},
	{"500", "{\"fault\":\"status\",\"status\":500,\"times\":1"},
	{"502", "{\"fault\":\"status\",\"status\":502,\"times\":2"},
	{"503", "{\"fault\":\"status\",\"status\":503,\"retry_after\":0,\"times\":2"},
	{"reset before", "{\"fault\":\"reset_before\",\"times\":2"},
	{"reset after", "{\"fault\":\"reset_after\",\"times\":1"},
	{"reset in the answer", "{\"fault\":\"reset_body\",\"at\":7,\"times\":1"},
	{"short answer", "{\"fault\":\"truncate\",\"at\":9,\"times\":2"},
	{"reset in the body", "{\"fault\":\"reset_upload\",\"at\":10,\"times\":2"},
	{"latency", "{\"fault\":\"latency\",\"ms\":30,\"times\":5"},
	{"clock", "{\"fault\":\"skew\",\"seconds\":86400,\"times\":9"},
};

static int one(struct bench *bench, size_t operation, size_t fault, char *wanted, size_t size)
{
	char name[DW_REMOTE_MESSAGE_MAX], body[256];
	int result;

	snprintf(name, sizeof(name), "case %zu %zu", operation, fault);
	prepare(bench, name);
	if (faults[fault].fault) {
		snprintf(body, sizeof(body), "%s,\"match\":{%s%s%s}}", faults[fault].fault,
			 operations[operation].kind ? "\"kind\":\"" : "",
			 operations[operation].kind ? operations[operation].kind : "",
			 operations[operation].kind ? "\"" : "");
		json_decref(emulated_control(bench->emulated, "POST", "faults", body));
	}
	result = operations[operation].run(bench);
	emulated_control(bench->emulated, "DELETE", "faults", NULL);
	snprintf(name, sizeof(name), "%s", bench->call.message);
	look(bench);
	if (!faults[fault].fault)
		snprintf(wanted, size, "%s", bench->summary);
	if ((result == 0 || (result == DW_REMOTE_UNKNOWN && operations[operation].guess)) &&
	    strcmp(bench->summary, wanted) == 0)
		return 0;
	fprintf(stderr, "%s with %s: %d %s\n  there is: %s\n  wanted:   %s\n", operations[operation].name,
		faults[fault].name, result, name, bench->summary, wanted);
	return 1;
}

/* What only reading a file meets. */
static int special(struct bench *bench, const char *name, const char *fault, int wanted)
{
	int result;

	prepare(bench, name);
	json_decref(emulated_control(bench->emulated, "POST", "faults", fault));
	result = do_read(bench);
	emulated_control(bench->emulated, "DELETE", "faults", NULL);
	if (result == wanted)
		return 0;
	fprintf(stderr, "%s: %d instead of %d, %s\n", name, result, wanted, bench->call.message);
	return 1;
}

int main(int count, char **words)
{
	char token[160];
	const char *const more[] = {"auth=token", token, NULL};
	struct emulated emulated;
	struct bench bench = {.emulated = &emulated};
	char error[256] = "", wanted[512] = "";
	int failed = 0, cases = 0;

	if (count != 2)
		return 2;
	emulated_start(&emulated, words[1], "part_size=7000000");
	snprintf(token, sizeof(token), "token=%s", emulated.token);
	if (emulated_open(&emulated, "", more, &bench.remote, error, sizeof(error))) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		for (size_t j = 0; j < sizeof(faults) / sizeof(*faults); j++, cases++)
			failed += one(&bench, i, j, wanted, sizeof(wanted));
	}
	cases += 4;
	failed += special(
		&bench, "not ready",
		"{\"fault\":\"accepted\",\"retry_after\":1,\"times\":1,\"match\":{\"kind\":\"file.content\"}}", 0);
	failed += special(
		&bench, "late to be ready",
		"{\"fault\":\"accepted\",\"retry_after\":900,\"times\":1,\"match\":{\"kind\":\"file.content\"}}",
		DW_REMOTE_LATER);
	failed += special(&bench, "broken in the middle",
			  "{\"fault\":\"reset_body\",\"at\":70000,\"times\":3,\"match\":{\"kind\":\"data\"}}", 0);
	/* What was handed on is wrong, as only the end shows. */
	failed += special(&bench, "damaged",
			  "{\"fault\":\"corrupt\",\"at\":250000,\"times\":1,\"match\":{\"kind\":\"data\"}}", -EBADMSG);
	bench.remote->ops->close(bench.remote);
	emulated_stop(&emulated);
	printf("%d of %d cases failed\n", failed, cases);
	return failed ? 1 : 0;
}
