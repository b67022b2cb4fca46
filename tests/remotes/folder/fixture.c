/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a test program: set once by main. */
static const struct dw_remote_provider *provider;

void fixture_plugin(const char *path)
{
	void *object = path == NULL ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);

	provider = object == NULL ? NULL : dlsym(object, DW_REMOTE_SYMBOL);
	if (provider == NULL) {
		fprintf(stderr, "the plug-in cannot be loaded: %s\n", dlerror());
		exit(1);
	}
}

static void set_options(struct fixture *fixture, va_list words)
{
	struct dw_remote_source *source = &fixture->suite.source;
	const char *key;

	source->option_count = 1;
	fixture->options[0] = (struct dw_option){.key = "durable", .value = "no"};
	while ((key = va_arg(words, const char *)) != NULL) {
		assert_true(source->option_count <= FIXTURE_OPTIONS);
		fixture->options[source->option_count++] = (struct dw_option){.key = key,
									      .value = va_arg(words, const char *)};
	}
	source->options = fixture->options;
}

void fixture_open(struct fixture *fixture, ...)
{
	va_list words;

	memset(fixture, 0, sizeof(*fixture));
	snprintf(fixture->room, sizeof(fixture->room), "/tmp/driveway-folder.XXXXXX");
	assert_non_null(mkdtemp(fixture->room));
	snprintf(fixture->path, sizeof(fixture->path), "%s/folder", fixture->room);
	assert_int_equal(mkdir(fixture->path, 0700), 0);
	fixture->dir = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fixture->dir >= 0);
	fixture->suite.provider = provider;
	fixture->suite.source = (struct dw_remote_source){
		.size = sizeof(fixture->suite.source), .rest = fixture->path, .state = fixture->room};
	va_start(words, fixture);
	set_options(fixture, words);
	va_end(words);
	suite_reopen(&fixture->suite);
	snprintf(fixture->suite.folder, sizeof(fixture->suite.folder), "%s", fixture->suite.remote->root);
}

void fixture_reopen(struct fixture *fixture, ...)
{
	va_list words;

	va_start(words, fixture);
	set_options(fixture, words);
	va_end(words);
	suite_reopen(&fixture->suite);
}

void fixture_close(struct fixture *fixture)
{
	char command[128];

	if (fixture->suite.remote != NULL)
		fixture->suite.ops->close(fixture->suite.remote);
	close(fixture->dir);
	snprintf(command, sizeof(command), "rm -rf --one-file-system '%s'", fixture->room);
	assert_int_equal(system(command), 0);
	assert_int_equal(suite_failures(), 0);
}

void outside_write(struct fixture *fixture, const char *name, const char *text)
{
	int fd = openat(fixture->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

void outside_move(struct fixture *fixture, const char *from, const char *to)
{
	assert_int_equal(renameat(fixture->dir, from, fixture->dir, to), 0);
}

void outside_remove(struct fixture *fixture, const char *name)
{
	assert_int_equal(unlinkat(fixture->dir, name, 0), 0);
}

struct item item_named(struct fixture *fixture, const char *name)
{
	struct item_list list;
	struct item item;

	assert_int_equal(do_list(&fixture->suite, fixture->suite.folder, &list), 0);
	assert_non_null(item_find(&list, name));
	item = *item_find(&list, name);
	item_list_clear(&list);
	return item;
}

struct text {
	struct dw_remote_sink sink;
	char bytes[256];
	size_t size;
};

static int text_write(const struct dw_remote_sink *sink, const void *data, size_t size, uint64_t offset)
{
	struct text *text = sink->context;

	assert_true(offset + size <= sizeof(text->bytes));
	memcpy(text->bytes + offset, data, size);
	text->size = offset + size;
	return 0;
}

bool text_is(struct fixture *fixture, const char *id, const char *content, const char *text)
{
	struct text read = {.sink = {.write = text_write}};
	struct dw_remote_call call = call_new();

	read.sink.context = &read;
	return fixture->suite.ops->read(fixture->suite.remote, &call, id, content, 0, UINT64_MAX, &read.sink) == 0 &&
	       read.size == strlen(text) && memcmp(read.bytes, text, read.size) == 0;
}
