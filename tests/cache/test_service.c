/* SPDX-License-Identifier: MIT */
/* The drive while the service is away, forgets, or refuses; and what the cache does to need it less. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/cache/drive.h"

#define ROOT	DW_NODE_ROOT
#define SECONDS UINT64_C(1000000000)

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SECONDS + (uint64_t)time.tv_nsec;
}

static bool state_is(struct drive *drive, const char *name, const char *wanted)
{
	char value[64];

	return do_getxattr(drive, node_of(drive, ROOT, name), "user.driveway.state", value, sizeof(value)) == 0 &&
	       strcmp(value, wanted) == 0;
}

static void test_offline(void **state)
{
	uint64_t node, handle, began;
	struct drive drive;
	char text[64];

	(void)state;
	drive_make(&drive, "settle", "0.05", "timeout", "0.5", NULL);
	server_write(&drive, "known", "known bytes");
	server_write(&drive, "unknown", "other bytes");
	assert_true(file_is(&drive, "known", "known bytes"));
	assert_int_not_equal(node = node_of(&drive, ROOT, "unknown"), 0);
	drive_faults(&drive, "*:OFFLINE:times=0\n");
	put_file(&drive, "written", "while away");
	EVENTUALLY(report_has(&drive, "\"connection\":\"offline\""));
	assert_true(file_is(&drive, "known", "known bytes"));
	assert_true(file_is(&drive, "written", "while away"));
	assert_int_equal(do_rename(&drive, ROOT, "known", ROOT, "renamed", 0), 0);
	began = now();
	assert_int_equal(do_open(&drive, node, DW_O_RDONLY, &handle), 0);
	assert_int_equal(do_read(&drive, node, handle, text, sizeof(text)), -EIO);
	do_close(&drive, node, handle);
	assert_true(now() - began < 5 * SECONDS);
	assert_true(state_is(&drive, "written", "waiting"));
	assert_false(server_has(&drive, "written"));
	drive_faults(&drive, "");
	EVENTUALLY(server_is(&drive, "written", "while away"));
	EVENTUALLY(server_has(&drive, "renamed"));
	EVENTUALLY(report_has(&drive, "\"connection\":\"online\""));
	assert_true(file_is(&drive, "unknown", "other bytes"));
	drive_destroy(&drive);
}

/* One call that finds the service away must not keep the drive offline until something changes on the server. */
static void test_short_absence(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	put_file(&drive, "first", "text");
	settle(&drive);
	drive_faults(&drive, "upload:OFFLINE:times=2\n");
	put_file(&drive, "second", "text");
	EVENTUALLY(server_is(&drive, "second", "text"));
	drive_destroy(&drive);
}

static void test_login(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", "timeout", "0.5", NULL);
	put_file(&drive, "first", "text");
	settle(&drive);
	drive_faults(&drive, "*:LOGIN:times=0\n");
	put_file(&drive, "second", "text");
	EVENTUALLY(report_has(&drive, "\"connection\":\"login\""));
	assert_true(file_is(&drive, "first", "text"));
	drive_faults(&drive, "");
	EVENTUALLY(server_is(&drive, "second", "text"));
	EVENTUALLY(report_has(&drive, "\"connection\":\"online\""));
	drive_destroy(&drive);
}

static void test_trouble(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	drive_faults(&drive, "upload:LATER:ms=100\nupload:done-UNKNOWN:after=1\nupload:EIO:after=2\n");
	put_file(&drive, "a", "one");
	EVENTUALLY(server_is(&drive, "a", "one"));
	put_file(&drive, "b", "two");
	EVENTUALLY(server_is(&drive, "b", "two"));
	EVENTUALLY(state_is(&drive, "a", "cached") && state_is(&drive, "b", "cached"));
	assert_int_equal(server_count(&drive), 2);
	drive_destroy(&drive);
}

static void lose(const char *rule)
{
	struct drive drive;
	char path[512];

	drive_make(&drive, "settle", "0.05", NULL);
	put_file(&drive, "stays", "text");
	settle(&drive);
	drive_unmap(&drive);
	server_write(&drive, "came", "text");
	snprintf(path, sizeof(path), "%s/server/stays", drive.folder);
	drive_faults(&drive, rule);
	drive_map(&drive, true);
	EVENTUALLY(file_is(&drive, "came", "text"));
	assert_true(file_is(&drive, "stays", "text"));
	server_write(&drive, "later", "text");
	EVENTUALLY(file_is(&drive, "later", "text"));
	drive_destroy(&drive);
}

static void test_lost_track(void **state)
{
	(void)state;
	lose("changes:EXPIRED\n");
}

/* --- Less calls ----------------------------------------------------------------------------------------- */

static void test_pins(void **state)
{
	uint64_t node;
	struct drive drive;
	char value[64];

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	server_write(&drive, "file", "bytes of it");
	node = node_of(&drive, ROOT, "file");
	assert_true(state_is(&drive, "file", "online"));
	assert_int_equal(do_setxattr(&drive, node, "user.driveway.pinned", "1"), 0);
	EVENTUALLY(state_is(&drive, "file", "cached"));
	server_write(&drive, "file", "other bytes of it");
	EVENTUALLY(state_is(&drive, "file", "cached") && size_of(&drive, node_of(&drive, ROOT, "file")) == 17);
	node = node_of(&drive, ROOT, "file");
	assert_int_equal(do_setxattr(&drive, node, "user.driveway.pinned", "0"), 0);
	assert_int_equal(do_getxattr(&drive, node, "user.driveway.pinned", value, sizeof(value)), 0);
	assert_string_equal(value, "0");
	EVENTUALLY(do_setxattr(&drive, node, "user.driveway.evict", "1") == 0);
	assert_true(state_is(&drive, "file", "online"));
	assert_true(file_is(&drive, "file", "other bytes of it"));
	put_file(&drive, "file", "dirty");
	assert_int_equal(do_setxattr(&drive, node, "user.driveway.evict", "1"), -EBUSY);
	assert_true(file_is(&drive, "file", "dirty"));
	drive_destroy(&drive);
}

static int compare_nodes(const void *one, const void *other)
{
	uint64_t left = *(const uint64_t *)one, right = *(const uint64_t *)other;

	return left < right ? -1 : left > right;
}

/* Whoever reads the files of a folder in turn finds the next ones here. */
static void test_ahead(void **state)
{
	uint64_t nodes[20], handle;
	struct drive drive;
	char name[16];

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "file%02d", i);
		server_write(&drive, name, name);
	}
	/* In the order in which the folder lists them. */
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "file%02d", i);
		nodes[i] = node_of(&drive, ROOT, name);
	}
	qsort(nodes, 20, sizeof(nodes[0]), compare_nodes);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(do_open(&drive, nodes[i], DW_O_RDONLY, &handle), 0);
		assert_int_equal(do_read(&drive, nodes[i], handle, name, sizeof(name)), 6);
		do_close(&drive, nodes[i], handle);
	}
	EVENTUALLY(do_getxattr(&drive, nodes[7], "user.driveway.state", name, sizeof(name)) == 0 &&
		   strcmp(name, "cached") == 0);
	drive_destroy(&drive);
}

static void test_statfs(void **state)
{
	struct dw_statfs out;
	struct request r;
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", "quota", "100m", NULL);
	put_file(&drive, "file", "text");
	settle(&drive);
	EVENTUALLY(drive.calls->quota > 0 && report_has(&drive, "\"total\":104857600"));
	drive_faults(&drive, "*:OFFLINE:times=0\n");
	for (int i = 0; i < 10; i++) {
		assert_int_equal(drive.fs->ops->statfs(drive.fs, request_new(&drive, &r), ROOT, &out), 0);
		assert_true(out.blocks * out.block_size == 104857600);
	}
	assert_int_equal(drive.calls->quota, 1);
	drive_destroy(&drive);
}

static void test_durable_close(void **state)
{
	struct request r;
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "3600", "sync", "yes", NULL);
	put_file(&drive, "file", "text");
	assert_int_equal(drive.fs->ops->syncfs(drive.fs, request_new(&drive, &r)), 0);
	drive_unmap(&drive);
	drive_map(&drive, false);
	assert_true(file_is(&drive, "file", "text"));
	assert_false(server_has(&drive, "file"));
	settle(&drive);
	assert_true(server_is(&drive, "file", "text"));
	drive_destroy(&drive);
}

/* --- Sessions ------------------------------------------------------------------------------------------- */

#define PART  (64u << 10)
#define PARTS 12u

static void write_parts(struct drive *drive, const char *name)
{
	uint64_t node, handle;
	struct request r;
	uint8_t *bytes = malloc(PART);
	size_t done;

	assert_non_null(bytes);
	assert_int_equal(do_create(drive, ROOT, name, &node, &handle), 0);
	for (unsigned i = 0; i < PARTS; i++) {
		memset(bytes, (int)i, PART);
		assert_int_equal(drive->fs->ops->write(drive->fs, request_new(drive, &r), node, handle, bytes, PART,
						       (uint64_t)i * PART, 0, &done),
				 0);
		assert_int_equal(done, PART);
	}
	do_close(drive, node, handle);
	free(bytes);
}

static bool server_has_parts(struct drive *drive, const char *name)
{
	uint8_t *bytes = malloc(PART);
	char path[512];
	bool right = true;
	FILE *file;

	snprintf(path, sizeof(path), "%s/server/%s", drive->folder, name);
	file = fopen(path, "re");
	for (unsigned i = 0; file && right && i < PARTS; i++) {
		right = fread(bytes, 1, PART, file) == PART;
		for (unsigned j = 0; right && j < PART; j++)
			right = bytes[j] == i;
	}
	right = right && file && fgetc(file) == EOF;
	if (file)
		fclose(file);
	free(bytes);
	return right;
}

/* An upload in parts ends in the middle, the process ends, and the next goes on with what is missing. */
static void test_session(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", "upload-max", "128k", "part", "64k", NULL);
	drive_faults(&drive, "session_part:OFFLINE:after=7:times=0\n");
	write_parts(&drive, "large");
	/* Not "offline" alone: parts go out side by side, and one that came through may still be under way by then. */
	EVENTUALLY(drive.calls->session_part == 7);
	drive_unmap(&drive);
	assert_int_equal(drive.calls->session_part, 7);
	drive_faults(&drive, "");
	drive_map(&drive, true);
	settle(&drive);
	assert_true(server_has_parts(&drive, "large"));
	assert_int_equal(drive.calls->session_part, PARTS);
	drive_destroy(&drive);
}

/* What the session was for has become something else meanwhile. */
static void test_session_conflict(void **state)
{
	struct drive drive;
	char command[512];

	(void)state;
	drive_make(&drive, "settle", "0.05", "upload-max", "128k", "part", "64k", NULL);
	put_file(&drive, "large", "base");
	settle(&drive);
	drive_faults(&drive, "session_commit:OFFLINE:times=0\n");
	assert_int_equal(do_unlink(&drive, ROOT, "large"), 0);
	write_parts(&drive, "large");
	EVENTUALLY(drive.calls->session_part == PARTS);
	drive_unmap(&drive);
	server_write(&drive, "large", "theirs");
	drive_faults(&drive, "");
	drive_map(&drive, true);
	EVENTUALLY(file_is(&drive, "large", "theirs"));
	settle(&drive);
	assert_true(server_is(&drive, "large", "theirs"));
	assert_int_equal(server_count(&drive), 2);
	snprintf(command, sizeof(command), "mv '%s/server/large (conf'* '%s/server/mine'", drive.folder, drive.folder);
	assert_int_equal(system(command), 0);
	assert_true(server_has_parts(&drive, "mine"));
	drive_destroy(&drive);
}

/* --- What another machine sees -------------------------------------------------------------------------- */

/* What is on the server is new to the drive, and the feed has nothing to tell of it. */
static void begin_anew(struct drive *drive)
{
	char command[128];

	drive_unmap(drive);
	snprintf(command, sizeof(command), "rm -rf %s/cache", drive->folder);
	assert_int_equal(system(command), 0);
	drive_map(drive, false);
}

static void set_time(struct drive *drive, const char *name, int64_t seconds)
{
	const struct dw_setattr set = {.valid = DW_SET_MTIME, .mtime = {.seconds = seconds, .nanoseconds = 5}};
	struct dw_attr attr;
	struct request r;

	assert_int_equal(drive->fs->ops->setattr(drive->fs, request_new(drive, &r), node_of(drive, ROOT, name),
						 DW_NO_HANDLE, &set, &attr),
			 0);
	assert_int_equal(attr.mtime.seconds, seconds);
}

static int64_t time_of(struct drive *drive, const char *name)
{
	struct dw_attr attr;
	struct request r;
	uint64_t timeout;

	assert_int_equal(drive->fs->ops->getattr(drive->fs, request_new(drive, &r), node_of(drive, ROOT, name),
						 DW_NO_HANDLE, &attr, &timeout),
			 0);
	return attr.mtime.seconds;
}

/* A time that was set by hand is what other machines see, until somebody sends other bytes. */
static void test_times(void **state)
{
	const struct timespec theirs[2] = {{.tv_sec = 1500000000}, {.tv_sec = 1500000000}};
	struct drive drive;
	int64_t began = time(NULL);
	char path[128];

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	put_file(&drive, "here", "one");
	put_file(&drive, "there", "one");
	settle(&drive);
	set_time(&drive, "here", 1000000000);
	set_time(&drive, "there", -5);
	settle(&drive);
	begin_anew(&drive);
	assert_int_equal(time_of(&drive, "here"), 1000000000);
	assert_int_equal(time_of(&drive, "there"), -5);
	put_file(&drive, "here", "two");
	settle(&drive);
	server_write(&drive, "there", "theirs");
	snprintf(path, sizeof(path), "%s/server/there", drive.folder);
	assert_int_equal(utimensat(AT_FDCWD, path, theirs, 0), 0);
	server_look(&drive);
	assert_true(time_of(&drive, "here") >= began);
	begin_anew(&drive);
	assert_true(time_of(&drive, "here") >= began);
	assert_int_equal(time_of(&drive, "there"), 1500000000);
	drive_destroy(&drive);
}

/* Pages are asked for ahead: they come in their order, one that fails ends the listing, and what came before it stays.
 */
static void test_pages(void **state)
{
	struct drive drive;
	uint64_t before = 0;
	unsigned calls;
	char name[8];

	(void)state;
	drive_make(&drive, "page", "2", NULL);
	for (unsigned i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		server_write(&drive, name, "text");
		server_look(&drive);
	}
	begin_anew(&drive);
	calls = drive.calls->list;
	drive_faults(&drive, "list:delay:ms=50:times=0\nlist:EIO:after=3\n");
	assert_int_not_equal(node_of(&drive, ROOT, "f0"), 0);
	assert_true(drive.calls->list - calls < 4);
	assert_int_equal(node_of(&drive, ROOT, "f8"), 0);
	assert_int_equal(drive.calls->list - calls, 4);
	assert_int_not_equal(node_of(&drive, ROOT, "f8"), 0);
	assert_int_equal(drive.calls->list - calls, 4 + 5);
	for (unsigned i = 0; i < 9; i++) {
		uint64_t node;

		snprintf(name, sizeof(name), "f%u", i);
		node = node_of(&drive, ROOT, name);
		assert_true(node > before);
		before = node;
	}
	assert_int_equal(drive.calls->list - calls, 4 + 5);
	drive_destroy(&drive);
}

/* All that was done by hand has been told when the removal of this file has been: it is found last. */
static void await_news(struct drive *drive, const char *mark)
{
	server_remove(drive, mark);
	EVENTUALLY(node_of(drive, ROOT, mark) == 0);
}

static void change_there(void *context)
{
	struct drive *drive = context;

	server_remove(drive, "folder/removed");
	server_rename(drive, "folder/moved", "never/moved");
	server_rename(drive, "folder/stays", "never/stays");
	await_news(drive, "mark1");
	server_rename(drive, "never/stays", "folder/stays");
	await_news(drive, "mark2");
}

/* The feed tells of items that a page has brought and that are not absorbed yet: the page is the older of the two. */
static void test_older_page(void **state)
{
	uint64_t folder;
	struct drive drive;
	char command[512];

	(void)state;
	drive_make(&drive, NULL);
	snprintf(command, sizeof(command),
		 "cd '%s/server' && mkdir folder never && touch mark1 mark2 folder/removed folder/moved folder/stays",
		 drive.folder);
	assert_int_equal(system(command), 0);
	server_look(&drive);
	EVENTUALLY(node_of(&drive, ROOT, "mark2") != 0);
	folder = node_of(&drive, ROOT, "folder");
	assert_int_not_equal(folder, 0);
	drive_at_list(change_there, &drive);
	assert_int_equal(node_of(&drive, folder, "removed"), 0);
	assert_int_equal(node_of(&drive, folder, "moved"), 0);
	assert_int_not_equal(node_of(&drive, folder, "stays"), 0);
	assert_int_not_equal(node_of(&drive, node_of(&drive, ROOT, "never"), "moved"), 0);
	/* Put back, they are there again. */
	server_rename(&drive, "never/moved", "folder/moved");
	EVENTUALLY(node_of(&drive, folder, "moved") != 0);
	drive_destroy(&drive);
}

static bool show_all(struct dw_listing *listing, const char *name, size_t length, uint64_t next,
		     const struct dw_entry *entry)
{
	(void)listing;
	(void)name;
	(void)length;
	(void)next;
	(void)entry;
	return true;
}

/* A program reads the folder, which is called name; so many calls it has cost in the end. */
static unsigned list_one(struct drive *drive, const char *name, unsigned expected)
{
	struct dw_listing listing = {.add = show_all};
	uint64_t node = node_of(drive, ROOT, name);
	unsigned before = drive->calls->list;
	struct request r;

	assert_int_not_equal(node, 0);
	assert_int_equal(drive->fs->ops->readdir(drive->fs, request_new(drive, &r), node, 0, 0, &listing), 0);
	EVENTUALLY(drive->calls->list - before >= expected);
	usleep(50000);
	return drive->calls->list - before;
}

/* Folders are listed ahead for who goes through them, and for nobody else. */
static void test_walk(void **state)
{
	struct drive drive;
	char path[128];

	(void)state;
	drive_make(&drive, NULL);
	for (char i = 'a'; i <= 'j'; i++) {
		snprintf(path, sizeof(path), "%s/server/%c", drive.folder, i);
		assert_int_equal(mkdir(path, 0755), 0);
		server_look(&drive);
	}
	begin_anew(&drive);
	assert_int_equal(list_one(&drive, "a", 1), 1);
	assert_int_equal(list_one(&drive, "a", 0), 0);
	assert_int_equal(list_one(&drive, "c", 1), 1);
	/* The second of two neighbours, and three ahead. */
	assert_int_equal(list_one(&drive, "d", 4), 4);
	assert_int_equal(list_one(&drive, "d", 0), 0);
	assert_int_equal(list_one(&drive, "e", 1), 1);
	assert_int_equal(list_one(&drive, "f", 1), 1);
	/* Somewhere else. */
	assert_int_equal(list_one(&drive, "b", 1), 1);
	assert_int_equal(list_one(&drive, "j", 1), 1);
	drive_destroy(&drive);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offline),
		cmocka_unit_test(test_short_absence),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_trouble),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_older_page),
		cmocka_unit_test(test_lost_track),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_statfs),
		cmocka_unit_test(test_durable_close),
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_session_conflict),
	};

	drive_plugin(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
