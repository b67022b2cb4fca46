/* SPDX-License-Identifier: MIT */
/*
 * load_names.c - workloads on names: stat, open, rename, create, unlink, listing
 *
 * Every workload leaves the tree as it found it, but for those whose whole point is a change (make, create,
 * fill, unlink), so they can follow one another in any order.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

#define NAME_SIZE 32

static void name_format(char *out, char kind, uint64_t number)
{
	snprintf(out, NAME_SIZE, "%c%llu", kind, (unsigned long long)number);
}

static int make_folder(int parent, const char *name)
{
	return mkdirat(parent, name, 0755) != 0 && errno != EEXIST ? -errno : 0;
}

static int open_folder(int parent, const char *name, int *out)
{
	*out = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *out < 0 ? -errno : 0;
}

static int folders_close(struct load_thread *thread)
{
	for (unsigned i = 0; i < thread->options->folders; i++)
		if (thread->folders[i] >= 0)
			close(thread->folders[i]);
	return 0;
}

static int folders_open_or_make(struct load_thread *thread, bool make)
{
	char name[NAME_SIZE];
	int top, own, rc;

	rc = open_folder(AT_FDCWD, thread->options->folder, &top);
	if (rc != 0)
		return rc;
	name_format(name, 't', thread->index);
	rc = make ? make_folder(top, name) : 0;
	if (rc == 0)
		rc = open_folder(top, name, &own);
	close(top);
	if (rc != 0)
		return rc;
	for (unsigned i = 0; i < thread->options->folders && rc == 0; i++) {
		name_format(name, 'd', i);
		rc = make ? make_folder(own, name) : 0;
		if (rc == 0)
			rc = open_folder(own, name, &thread->folders[i]);
	}
	close(own);
	return rc;
}

static int folders_make(struct load_thread *thread)
{
	return folders_open_or_make(thread, true);
}

static int folders_open(struct load_thread *thread)
{
	return folders_open_or_make(thread, false);
}

/* Also looks every file up once, so that the timed part starts from the same state everywhere. */
static int files_open(struct load_thread *thread)
{
	struct stat status;
	char name[NAME_SIZE];
	int rc = folders_open(thread);

	for (unsigned i = 0; i < thread->options->folders && rc == 0; i++)
		for (unsigned k = 0; k < thread->options->files && rc == 0; k++) {
			name_format(name, 'f', k);
			if (fstatat(thread->folders[i], name, &status, AT_SYMLINK_NOFOLLOW) != 0)
				rc = -errno;
		}
	return rc;
}

/* The folder and number of some file. */
static int pick(struct load_thread *thread, uint64_t *number)
{
	uint64_t any = load_random(thread, (uint64_t)thread->options->folders * thread->options->files);

	*number = any / thread->options->folders;
	return thread->folders[any % thread->options->folders];
}

/* The folder and number of the next file, folder by folder; LOAD_DONE behind the last one. */
static int next(struct load_thread *thread, int *folder, uint64_t *number)
{
	uint64_t at = thread->next / thread->options->files;

	if (at == thread->options->folders)
		return LOAD_DONE;
	*folder = thread->folders[at];
	*number = thread->next % thread->options->files;
	thread->next++;
	return 0;
}

static int step_stat(struct load_thread *thread)
{
	struct stat status;
	char name[NAME_SIZE];
	uint64_t number;
	int folder = pick(thread, &number);

	name_format(name, 'f', number);
	return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 ? -errno : 0;
}

static int step_missing(struct load_thread *thread)
{
	struct stat status;
	char name[NAME_SIZE];
	uint64_t number;
	int folder = pick(thread, &number);

	name_format(name, 'x', number);
	if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return errno == ENOENT ? 0 : -errno;
}

static int step_read(struct load_thread *thread)
{
	char name[NAME_SIZE];
	uint64_t number;
	int folder = pick(thread, &number);
	ssize_t done;
	int file, rc = 0;

	name_format(name, 'f', number);
	file = openat(folder, name, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return -errno;
	done = pread(file, thread->buffer, LOAD_SMALL, 0);
	if (done != (ssize_t)LOAD_SMALL)
		rc = done < 0 ? -errno : -EIO;
	if (close(file) != 0 && rc == 0)
		rc = -errno;
	return rc;
}

/* Each file goes to another name and, one round of all files later, back again. */
static int step_rename(struct load_thread *thread)
{
	uint64_t total = (uint64_t)thread->options->folders * thread->options->files;
	uint64_t any = thread->next % total;
	bool back = thread->next / total % 2 != 0;
	int folder = thread->folders[any % thread->options->folders];
	char here[NAME_SIZE], there[NAME_SIZE];

	name_format(here, 'f', any / thread->options->folders);
	name_format(there, 'r', any / thread->options->folders);
	thread->next++;
	return renameat(folder, back ? there : here, folder, back ? here : there) != 0 ? -errno : 0;
}

/* Goes on to the end of the round, and through the next one if names are not back yet. */
static int rename_close(struct load_thread *thread)
{
	uint64_t total = (uint64_t)thread->options->folders * thread->options->files;
	int rc = 0;

	while (thread->next % (2 * total) != 0 && rc == 0)
		rc = step_rename(thread);
	folders_close(thread);
	return rc;
}

static int write_file(struct load_thread *thread, int folder, const char *name)
{
	int file, rc = 0;
	ssize_t done;

	file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (file < 0)
		return -errno;
	done = write(file, thread->buffer, LOAD_SMALL);
	if (done != (ssize_t)LOAD_SMALL)
		rc = done < 0 ? -errno : -EIO;
	if (close(file) != 0 && rc == 0)
		rc = -errno;
	return rc;
}

static int step_create(struct load_thread *thread)
{
	char name[NAME_SIZE];
	uint64_t number = thread->next++;

	name_format(name, 'c', number / thread->options->folders);
	return write_file(thread, thread->folders[number % thread->options->folders], name);
}

static int step_make(struct load_thread *thread)
{
	char name[NAME_SIZE];
	uint64_t number;
	int folder, rc = next(thread, &folder, &number);

	if (rc != 0)
		return rc;
	name_format(name, 'f', number);
	return write_file(thread, folder, name);
}

static int step_make_empty(struct load_thread *thread)
{
	char name[NAME_SIZE];
	uint64_t number;
	int folder, rc = next(thread, &folder, &number);

	if (rc != 0)
		return rc;
	name_format(name, 'f', number);
	return mknodat(folder, name, S_IFREG | 0644, 0) != 0 ? -errno : 0;
}

static int step_unlink(struct load_thread *thread)
{
	char name[NAME_SIZE];
	uint64_t number;
	int folder, rc = next(thread, &folder, &number);

	if (rc != 0)
		return rc;
	name_format(name, 'f', number);
	return unlinkat(folder, name, 0) != 0 ? -errno : 0;
}

static int top_open(struct load_thread *thread)
{
	return open_folder(AT_FDCWD, thread->options->folder, &thread->file);
}

static int top_close(struct load_thread *thread)
{
	if (thread->file >= 0)
		close(thread->file);
	return 0;
}

static int step_fill(struct load_thread *thread)
{
	char name[NAME_SIZE];

	if (thread->next == thread->options->files)
		return LOAD_DONE;
	name_format(name, (char)('a' + thread->index), thread->next++);
	return mknodat(thread->file, name, S_IFREG | 0644, 0) != 0 ? -errno : 0;
}

/* The whole listing is one call of step; operations are names. */
static int step_list(struct load_thread *thread)
{
	const struct dirent *entry;
	uint64_t found = 0;
	DIR *folder;

	if (thread->next != 0)
		return LOAD_DONE;
	folder = opendir(thread->options->folder);
	if (folder == NULL)
		return -errno;
	errno = 0;
	while ((entry = readdir(folder)) != NULL)
		found += entry->d_ino != 0;
	if (errno != 0) {
		closedir(folder);
		return -errno;
	}
	closedir(folder);
	thread->next = found;
	atomic_store_explicit(&thread->operations, found - 1, memory_order_relaxed);
	return 0;
}

const struct load_work load_names_works[] = {
	{"stat", "stat of a known file", false, 0, files_open, step_stat, NULL, folders_close},
	{"missing", "stat of a name that is not there", false, 0, files_open, step_missing, NULL, folders_close},
	{"read", "open, read 4 KiB, close", false, 0, files_open, step_read, NULL, folders_close},
	{"rename", "rename within a folder", false, 0, files_open, step_rename, NULL, rename_close},
	{"create", "create, write 4 KiB, close", false, 0, folders_make, step_create, NULL, folders_close},
	{"unlink", "unlink of every file that make made", true, 0, folders_open, step_unlink, NULL, folders_close},
	{"make", "make the files of 4 KiB", true, 0, folders_make, step_make, NULL, folders_close},
	{"make-empty", "make the files, empty", true, 0, folders_make, step_make_empty, NULL, folders_close},
	{"fill", "make empty files in the one folder", true, 0, top_open, step_fill, NULL, top_close},
	{"list", "readdir of the one folder", true, 0, NULL, step_list, NULL, NULL},
	{NULL, NULL, false, 0, NULL, NULL, NULL, NULL},
};
