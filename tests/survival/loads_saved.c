/* SPDX-License-Identifier: MIT */
/*
 * loads_saved.c - a program that works on a small tree of documents and leaves it behind
 *
 * A fixed number of documents lies in a fixed number of folders. What each holds, or that it is not there, is known
 * beforehand and compared whenever it is used; at the end every folder must list exactly the documents that are in it.
 * Nothing is cleared away, so that what comes later (a server to which the drive brings this) can be compared, too.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "survival.h"

enum { FOLDERS = 4, DOCUMENTS = 24, PATH = 64, SIZE_MAX_OF_ONE = 60000 };

struct document {
	bool there;
	uint32_t folder;
	uint32_t size;
	uint32_t seed;
};

struct documents {
	struct load *load;
	struct document all[DOCUMENTS];
	bool renamed[FOLDERS]; /* the folder has its other name */
	uint8_t *bytes;
	uint32_t seeds;
};

static void folder_path(const struct documents *documents, uint32_t folder, char path[PATH])
{
	snprintf(path, PATH, "%s-%u", documents->renamed[folder] ? "projects" : "papers", folder);
}

static void document_path(const struct documents *documents, uint32_t folder, uint32_t number, char path[PATH])
{
	char below[PATH / 2];

	snprintf(below, sizeof(below), "%s-%u", documents->renamed[folder] ? "projects" : "papers", folder);
	snprintf(path, PATH, "%s/document %u", below, number);
}

static void document_check(struct documents *documents, uint32_t number)
{
	const struct document *document = &documents->all[number];
	struct load *load = documents->load;
	struct stat st;
	char path[PATH];
	int fd;

	document_path(documents, document->folder, number, path);
	if (!document->there) {
		LOAD_CHECK(load, stat(path, &st) == -1 && errno == ENOENT);
		return;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (!LOAD_CHECK(load, fd >= 0))
		return;
	LOAD_CHECK(load, pread(fd, documents->bytes, SIZE_MAX_OF_ONE + 1, 0) == (ssize_t)document->size);
	LOAD_CHECK(load, load_filled(documents->bytes, document->size, 0, document->seed));
	LOAD_CHECK(load, close(fd) == 0);
}

/* All of it anew under path, with these flags of open(2). */
static void document_write(struct documents *documents, struct document *document, const char *path, int flags,
			   bool sync)
{
	struct load *load = documents->load;
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);

	if (!LOAD_CHECK(load, fd >= 0))
		return;
	document->seed = documents->seeds++;
	load_fill(documents->bytes, document->size, 0, document->seed);
	LOAD_CHECK(load, load_write_all(fd, documents->bytes, document->size, -1));
	if (sync)
		LOAD_CHECK(load, fsync(fd) == 0);
	LOAD_CHECK(load, close(fd) == 0);
	document->there = true;
}

static void document_append(struct documents *documents, uint32_t number, const char *path)
{
	struct document *document = &documents->all[number];
	struct load *load = documents->load;
	uint32_t more = 1 + load_random(load, 3000);
	int fd;

	if (!document->there || document->size + more > SIZE_MAX_OF_ONE)
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (!LOAD_CHECK(load, fd >= 0))
		return;
	load_fill(documents->bytes, more, document->size, document->seed);
	LOAD_CHECK(load, write(fd, documents->bytes, more) == (ssize_t)more);
	LOAD_CHECK(load, close(fd) == 0);
	document->size += more;
}

/* To another folder, under the same name. */
static void document_move(struct documents *documents, uint32_t number, const char *path)
{
	struct document *document = &documents->all[number];
	uint32_t folder = load_random(documents->load, FOLDERS);
	char target[PATH];

	if (!document->there || folder == document->folder)
		return;
	document_path(documents, folder, number, target);
	LOAD_CHECK(documents->load, renameat2(AT_FDCWD, path, AT_FDCWD, target, RENAME_NOREPLACE) == 0);
	document->folder = folder;
}

/* Over another one, which is gone then. */
static void document_replace(struct documents *documents, uint32_t number, const char *path)
{
	struct document *document = &documents->all[number];
	uint32_t other = load_random(documents->load, DOCUMENTS);
	char target[PATH];

	if (!document->there || other == number || !documents->all[other].there)
		return;
	document_path(documents, documents->all[other].folder, other, target);
	LOAD_CHECK(documents->load, rename(path, target) == 0);
	documents->all[other].size = document->size;
	documents->all[other].seed = document->seed;
	document->there = false;
	document_check(documents, other);
}

static void folder_rename(struct documents *documents)
{
	uint32_t folder = load_random(documents->load, FOLDERS);
	char path[PATH], target[PATH];

	folder_path(documents, folder, path);
	documents->renamed[folder] = !documents->renamed[folder];
	folder_path(documents, folder, target);
	LOAD_CHECK(documents->load, rename(path, target) == 0);
	LOAD_CHECK(documents->load, access(path, F_OK) == -1 && errno == ENOENT);
}

static void step(struct documents *documents)
{
	struct load *load = documents->load;
	uint32_t number = load_random(load, DOCUMENTS);
	struct document *document = &documents->all[number];
	char path[PATH], temporary[PATH + 8];

	document_path(documents, document->folder, number, path);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	switch (load_random(load, 9)) {
	case 0:
	case 1:
		document->size = load_random(load, SIZE_MAX_OF_ONE);
		document_write(documents, document, path, O_CREAT | O_TRUNC, false);
		break;
	case 2:
	case 3: /* as editors save */
		document->size = load_random(load, SIZE_MAX_OF_ONE);
		document_write(documents, document, temporary, O_CREAT | O_EXCL, true);
		LOAD_CHECK(load, rename(temporary, path) == 0);
		break;
	case 4:
		document_append(documents, number, path);
		break;
	case 5:
		if (document->there)
			document_write(documents, document, path, 0, true); /* in place */
		break;
	case 6:
		document_move(documents, number, path);
		break;
	case 7:
		if (load_random(load, 4) == 0)
			folder_rename(documents);
		else
			document_replace(documents, number, path);
		break;
	default:
		if (document->there)
			LOAD_CHECK(load, unlink(path) == 0);
		document->there = false;
		break;
	}
	document_check(documents, number);
}

/* The folder lists the documents that are in it, each once, and nothing else. */
static void folder_check(struct documents *documents, uint32_t folder)
{
	struct load *load = documents->load;
	uint8_t seen[DOCUMENTS] = {0};
	struct dirent *entry;
	char path[PATH];
	DIR *dir;

	folder_path(documents, folder, path);
	dir = opendir(path);
	if (!LOAD_CHECK(load, dir != NULL))
		return;
	while ((entry = readdir(dir)) != NULL) {
		unsigned number;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (sscanf(entry->d_name, "document %u", &number) != 1 || number >= DOCUMENTS ||
		    strchr(entry->d_name, '.'))
			load_wrong(load, "%s holds %s", path, entry->d_name);
		else
			seen[number]++;
	}
	closedir(dir);
	for (uint32_t i = 0; i < DOCUMENTS; i++) {
		int wanted = documents->all[i].there && documents->all[i].folder == folder;

		if (seen[i] != wanted)
			load_wrong(load, "%s lists document %u %d times, not %d times", path, i, seen[i], wanted);
	}
	load_did(load);
}

static void load_saved(struct load *load)
{
	struct documents documents = {.load = load, .bytes = malloc(SIZE_MAX_OF_ONE + 1)};
	char path[PATH];

	for (uint32_t i = 0; i < FOLDERS; i++) {
		folder_path(&documents, i, path);
		LOAD_CHECK(load, mkdir(path, 0700) == 0);
	}
	for (uint32_t i = 0; i < DOCUMENTS; i++)
		documents.all[i].folder = i % FOLDERS;
	while (documents.bytes && load_going(load))
		step(&documents);
	for (uint32_t i = 0; i < DOCUMENTS; i++)
		document_check(&documents, i);
	for (uint32_t i = 0; i < FOLDERS; i++)
		folder_check(&documents, i);
	free(documents.bytes);
}

const struct load_kind saved_loads[] = {
	{"saved", load_saved},
	{NULL, NULL},
};
