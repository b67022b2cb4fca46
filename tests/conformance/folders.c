/* SPDX-License-Identifier: MIT */
/* folders.c - mkdir, rmdir, and listing: order, positions, changes while a listing is under way */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conformance.h"

static void mkdir_basics(void)
{
	struct stat before, after;
	nlink_t links;

	before = stat_of(".");
	links = before.st_nlink;
	clock_step();
	EXPECT_OK(mkdir("folder", 0750));
	after = stat_of(".");
	EXPECT(time_less(before.st_mtim, after.st_mtim));
	EXPECT(time_less(before.st_ctim, after.st_ctim));
	EXPECT_EQUAL(stat_of("folder").st_mode & 07777, 0750);
	EXPECT(S_ISDIR(stat_of("folder").st_mode));
	if (links != 1) {
		EXPECT_EQUAL(after.st_nlink, links + 1);
		EXPECT_EQUAL(stat_of("folder").st_nlink, 2);
	}
	make_file("file", "");
	EXPECT_ERRNO(mkdir("folder", 0700), EEXIST);
	EXPECT_ERRNO(mkdir("file", 0700), EEXIST);
	EXPECT_ERRNO(mkdir("file/x", 0700), ENOTDIR);
	EXPECT_ERRNO(mkdir("missing/x", 0700), ENOENT);
	NEED_OK(symlink("nowhere", "dangling"));
	EXPECT_ERRNO(mkdir("dangling", 0700), EEXIST);
	EXPECT_OK(mkdir("slash/", 0700));
}

static void mkdir_inherits_setgid(void)
{
	make_folder("group");
	NEED_OK(chown("group", (uid_t)-1, 4321));
	NEED_OK(chmod("group", 02777));
	NEED_OK(mkdir("group/folder", 0755));
	EXPECT_EQUAL(stat_of("group/folder").st_gid, 4321);
	EXPECT_EQUAL(stat_of("group/folder").st_mode & 07777, 02755);
	make_file("group/file", "");
	EXPECT_EQUAL(stat_of("group/file").st_gid, 4321);
	NEED_OK(symlink("x", "group/link"));
	EXPECT_EQUAL(stat_of("group/link").st_gid, 4321);
}

static void rmdir_basics(void)
{
	nlink_t links = stat_of(".").st_nlink;

	make_folder("full");
	make_file("full/file", "");
	make_folder("empty");
	make_file("file", "");
	NEED_OK(symlink("empty", "link"));
	EXPECT(rmdir("full") == -1 && (errno == ENOTEMPTY || errno == EEXIST));
	EXPECT_ERRNO(rmdir("file"), ENOTDIR);
	EXPECT_ERRNO(rmdir("link"), ENOTDIR);
	EXPECT_ERRNO(rmdir("missing"), ENOENT);
	EXPECT_ERRNO(rmdir("empty/."), EINVAL);
	EXPECT_OK(rmdir("empty"));
	EXPECT_ERRNO(rmdir("empty"), ENOENT);
	EXPECT_OK(unlink("full/file"));
	EXPECT_OK(rmdir("full"));
	EXPECT_EQUAL(stat_of(".").st_nlink, links);
}

static void rmdir_while_open(void)
{
	struct stat st;
	int fd;

	make_folder("folder");
	fd = (int)NEED_OK(open("folder", O_RDONLY | O_DIRECTORY));
	EXPECT_OK(rmdir("folder"));
	EXPECT_ERRNO(openat(fd, "new", O_CREAT | O_RDWR, 0600), ENOENT);
	EXPECT_ERRNO(mkdirat(fd, "new", 0600), ENOENT);
	EXPECT_OK(fstat(fd, &st));
	make_folder("folder");
	make_file("folder/other", "");
	EXPECT_ERRNO(fstatat(fd, "other", &st, 0), ENOENT);
	EXPECT_OK(close(fd));
}

static void folder_times(void)
{
	static const char *const steps[] = {"create", "link", "rename", "symlink", "mkdir", "rmdir", "unlink", "fifo"};
	size_t i;

	make_folder("folder");
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct stat before = stat_of("folder"), after;

		clock_step();
		switch (i) {
		case 0:
			make_file("folder/file", "");
			break;
		case 1:
			NEED_OK(link("folder/file", "folder/second"));
			break;
		case 2:
			NEED_OK(rename("folder/second", "folder/third"));
			break;
		case 3:
			NEED_OK(symlink("x", "folder/link"));
			break;
		case 4:
			NEED_OK(mkdir("folder/sub", 0777));
			break;
		case 5:
			NEED_OK(rmdir("folder/sub"));
			break;
		case 6:
			NEED_OK(unlink("folder/file"));
			break;
		default:
			NEED_OK(mkfifo("folder/fifo", 0600));
			break;
		}
		after = stat_of("folder");
		if (!time_less(before.st_mtim, after.st_mtim))
			case_report(__FILE__, __LINE__, steps[i], "mtime of the folder did not change");
		if (!time_less(before.st_ctim, after.st_ctim))
			case_report(__FILE__, __LINE__, steps[i], "ctime of the folder did not change");
	}
}

static void readdir_types(void)
{
	struct dirent *entry;
	int seen = 0;
	DIR *dir;

	make_file("file", "");
	make_folder("folder");
	NEED_OK(symlink("x", "link"));
	NEED_OK(mkfifo("fifo", 0600));
	dir = opendir(".");
	NEED(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		struct stat st = stat_of(entry->d_name);

		if (strcmp(entry->d_name, "..") != 0)
			EXPECT_EQUAL(entry->d_ino, st.st_ino);
		EXPECT(entry->d_type == DT_UNKNOWN || entry->d_type == IFTODT(st.st_mode));
		seen++;
	}
	EXPECT_OK(closedir(dir));
	EXPECT_EQUAL(seen, 6);
}

#define MANY 10000

static void make_many(int count)
{
	char name[64];
	int i;

	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "entry-number-%06d", i);
		NEED_OK(close((int)NEED_OK(open(name, O_CREAT | O_EXCL | O_WRONLY, 0600))));
	}
}

static int entry_number(const struct dirent *entry)
{
	if (strncmp(entry->d_name, "entry-number-", 13) != 0)
		return -1;
	return (int)strtol(entry->d_name + 13, NULL, 10);
}

static void readdir_many(void)
{
	static uint8_t seen[MANY];
	struct dirent *entry;
	int total = 0;
	DIR *dir;

	make_many(MANY);
	dir = opendir(".");
	NEED(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		int number = entry_number(entry);

		if (number < 0)
			continue;
		NEED(number < MANY);
		seen[number]++;
		total++;
	}
	EXPECT_EQUAL(total, MANY);
	for (int i = 0; i < MANY; i++)
		if (seen[i] != 1)
			case_report(__FILE__, __LINE__, "readdir", "entry %d was listed %d times", i, seen[i]);
	rewinddir(dir);
	for (total = 0; readdir(dir) != NULL; total++)
		;
	EXPECT_EQUAL(total, MANY + 2);
	EXPECT_OK(closedir(dir));
}

static void readdir_positions(void)
{
	enum { COUNT = 700 };
	static long positions[COUNT + 2];
	static char names[COUNT + 2][64];
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	make_many(COUNT);
	dir = opendir(".");
	NEED(dir != NULL);
	for (;;) {
		long position = telldir(dir);

		entry = readdir(dir);
		if (entry == NULL)
			break;
		NEED(count < COUNT + 2);
		positions[count] = position;
		snprintf(names[count], sizeof(names[count]), "%.63s", entry->d_name);
		count++;
	}
	EXPECT_EQUAL(count, COUNT + 2);
	for (int i = 0; i < count; i++) {
		int at = (i * 379) % count;

		seekdir(dir, positions[at]);
		entry = readdir(dir);
		if (entry == NULL || strcmp(entry->d_name, names[at]) != 0)
			case_report(__FILE__, __LINE__, "seekdir", "to entry %d: found %s, expected %s", at,
				    entry ? entry->d_name : "the end", names[at]);
	}
	EXPECT_OK(closedir(dir));
}

/* Removing what was listed, as rm -r does, neither skips nor repeats. */
static void readdir_removing(void)
{
	struct dirent *entry;
	int removed = 0;
	DIR *dir;

	make_many(3000);
	dir = opendir(".");
	NEED(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		if (entry_number(entry) < 0)
			continue;
		EXPECT_OK(unlink(entry->d_name));
		removed++;
	}
	EXPECT_EQUAL(removed, 3000);
	EXPECT_OK(closedir(dir));
	EXPECT_EQUAL(count_entries("."), 0);
}

/* What exists throughout is listed exactly once, whatever else comes and goes. */
static void readdir_stable(void)
{
	enum { COUNT = 2000 };
	static uint8_t seen[COUNT];
	struct dirent *entry;
	int steps = 0;
	DIR *dir;

	make_many(COUNT);
	dir = opendir(".");
	NEED(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		int number = entry_number(entry);
		char name[64];

		if (number >= 0 && number < COUNT)
			seen[number]++;
		snprintf(name, sizeof(name), "come-and-go-%d", steps % 50);
		if (steps % 100 < 50)
			NEED_OK(close((int)NEED_OK(open(name, O_CREAT | O_EXCL | O_WRONLY, 0600))));
		else
			NEED_OK(unlink(name));
		if (steps % 10 == 0) {
			/* An odd one goes: it may or may not be listed, but not twice. */
			snprintf(name, sizeof(name), "entry-number-%06d", (steps * 2 + 1) % COUNT);
			unlink(name);
		}
		steps++;
		NEED(steps < 20 * COUNT);
	}
	EXPECT_OK(closedir(dir));
	for (int i = 0; i < COUNT; i++)
		if (seen[i] > 1 || (i % 2 == 0 && seen[i] == 0))
			case_report(__FILE__, __LINE__, "readdir", "entry %d was listed %d times", i, seen[i]);
}

static void readdir_sees_changes(void)
{
	DIR *dir;
	int count = 0;

	make_file("before", "");
	dir = opendir(".");
	NEED(dir != NULL);
	while (readdir(dir) != NULL)
		count++;
	EXPECT_EQUAL(count, 3);
	make_file("after", "");
	NEED_OK(unlink("before"));
	make_file("later", "");
	rewinddir(dir);
	for (count = 0; readdir(dir) != NULL; count++)
		;
	EXPECT_EQUAL(count, 4);
	EXPECT_OK(closedir(dir));
}

static void readdir_of_removed(void)
{
	DIR *dir;

	make_folder("folder");
	dir = opendir("folder");
	NEED(dir != NULL);
	NEED_OK(rmdir("folder"));
	errno = 0;
	while (readdir(dir) != NULL)
		;
	EXPECT(errno == 0 || errno == ENOENT);
	EXPECT_OK(closedir(dir));
}

static void readdir_errors(void)
{
	make_file("file", "");
	EXPECT(opendir("missing") == NULL && errno == ENOENT);
	EXPECT(opendir("file") == NULL && errno == ENOTDIR);
}

struct churn {
	int number;
	int failed;
};

static void *churn_run(void *argument)
{
	struct churn *churn = argument;
	char name[64], moved[64];

	for (int i = 0; i < 300 && churn->failed == 0; i++) {
		struct stat st;
		int fd;

		snprintf(name, sizeof(name), "t%d-%d", churn->number, i);
		snprintf(moved, sizeof(moved), "m%d-%d", churn->number, i);
		fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
		if (fd < 0 || write(fd, name, strlen(name)) != (ssize_t)strlen(name) || close(fd) != 0 ||
		    rename(name, moved) != 0 || stat(name, &st) == 0 || errno != ENOENT || stat(moved, &st) != 0 ||
		    st.st_size != (off_t)strlen(name) || mkdir(name, 0700) != 0 || rmdir(name) != 0 ||
		    unlink(moved) != 0)
			churn->failed = errno ? errno : EPROTO;
	}
	return NULL;
}

static void threads_in_one_folder(void)
{
	pthread_t threads[8];
	struct churn churns[8];

	for (int i = 0; i < 8; i++) {
		churns[i] = (struct churn){.number = i};
		NEED(pthread_create(&threads[i], NULL, churn_run, &churns[i]) == 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		if (churns[i].failed)
			case_report(__FILE__, __LINE__, "thread", "%s", strerrorname_np(churns[i].failed));
	}
	EXPECT_EQUAL(count_entries("."), 0);
}

struct race {
	pthread_barrier_t *barrier;
	int round_wins[200];
	int unexpected;
};

static void *race_run(void *argument)
{
	struct race *race = argument;
	char name[32];

	for (int i = 0; i < 200; i++) {
		int result;

		snprintf(name, sizeof(name), "race-%d", i);
		pthread_barrier_wait(race->barrier);
		if (i % 2)
			result = mkdir(name, 0700);
		else
			result = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (result >= 0) {
			race->round_wins[i] = 1;
			if (i % 2 == 0)
				close(result);
		} else if (errno != EEXIST) {
			race->unexpected = errno;
		}
	}
	return NULL;
}

/* Of several that make the same name, exactly one succeeds. */
static void threads_race_for_names(void)
{
	pthread_barrier_t barrier;
	static struct race races[4];
	pthread_t threads[4];

	NEED(pthread_barrier_init(&barrier, NULL, 4) == 0);
	for (int i = 0; i < 4; i++) {
		races[i].barrier = &barrier;
		NEED(pthread_create(&threads[i], NULL, race_run, &races[i]) == 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQUAL(races[i].unexpected, 0);
	}
	for (int i = 0; i < 200; i++) {
		int wins = 0;

		for (int j = 0; j < 4; j++)
			wins += races[j].round_wins[i];
		if (wins != 1)
			case_report(__FILE__, __LINE__, i % 2 ? "mkdir" : "O_EXCL", "%d of 4 succeeded", wins);
	}
	EXPECT_EQUAL(count_entries("."), 200);
}

const struct conformance_case folder_cases[] = {
	{"mkdir_basics", mkdir_basics, 0},
	{"mkdir_inherits_setgid", mkdir_inherits_setgid, FEATURE_OTHER},
	{"rmdir_basics", rmdir_basics, 0},
	{"rmdir_while_open", rmdir_while_open, 0},
	{"folder_times", folder_times, FEATURE_LINKS},
	{"readdir_types", readdir_types, 0},
	{"readdir_many", readdir_many, 0},
	{"readdir_positions", readdir_positions, 0},
	{"readdir_removing", readdir_removing, 0},
	{"readdir_stable", readdir_stable, 0},
	{"readdir_sees_changes", readdir_sees_changes, 0},
	{"readdir_of_removed", readdir_of_removed, 0},
	{"readdir_errors", readdir_errors, 0},
	{"threads_in_one_folder", threads_in_one_folder, 0},
	{"threads_race_for_names", threads_race_for_names, 0},
	{NULL, NULL, 0},
};
