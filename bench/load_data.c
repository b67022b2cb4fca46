/* SPDX-License-Identifier: MIT */
/*
 * load_data.c - workloads on the data of one large file a thread, data<i> in the given folder
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "load.h"

static int data_open(struct load_thread *thread, int flags)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/data%u", thread->options->folder, thread->index);
	if (thread->options->direct)
		flags |= O_DIRECT;
	thread->file = open(path, flags | O_CLOEXEC, 0644);
	return thread->file < 0 ? -errno : 0;
}

static int open_read(struct load_thread *thread)
{
	return data_open(thread, O_RDONLY);
}

static int open_write(struct load_thread *thread)
{
	return data_open(thread, O_WRONLY);
}

static int open_new(struct load_thread *thread)
{
	return data_open(thread, O_WRONLY | O_CREAT | O_TRUNC);
}

static int data_close(struct load_thread *thread)
{
	return thread->file >= 0 && close(thread->file) != 0 ? -errno : 0;
}

static int data_sync(struct load_thread *thread)
{
	return fsync(thread->file) != 0 ? -errno : 0;
}

static int transfer(struct load_thread *thread, bool out, size_t size, uint64_t offset)
{
	ssize_t done = out ? pwrite(thread->file, thread->buffer, size, (off_t)offset)
			   : pread(thread->file, thread->buffer, size, (off_t)offset);

	if (done < 0)
		return -errno;
	return (size_t)done == size ? 0 : -EIO;
}

static int step_read_again(struct load_thread *thread)
{
	uint64_t offset = thread->next;

	thread->next = (offset + LOAD_LARGE) % thread->options->size;
	return transfer(thread, false, LOAD_LARGE, offset);
}

static int step_once(struct load_thread *thread, bool out)
{
	uint64_t offset = thread->next;

	if (offset == thread->options->size)
		return LOAD_DONE;
	thread->next += LOAD_LARGE;
	return transfer(thread, out, LOAD_LARGE, offset);
}

static int step_read_once(struct load_thread *thread)
{
	return step_once(thread, false);
}

static int step_write_once(struct load_thread *thread)
{
	return step_once(thread, true);
}

static int step_read_random(struct load_thread *thread)
{
	return transfer(thread, false, LOAD_SMALL,
			load_random(thread, thread->options->size / LOAD_SMALL) * LOAD_SMALL);
}

static int step_write_random(struct load_thread *thread)
{
	return transfer(thread, true, LOAD_SMALL, load_random(thread, thread->options->size / LOAD_SMALL) * LOAD_SMALL);
}

/* The kernel gives up the pages of the file, clean ones only: sync first. */
static int step_evict(struct load_thread *thread)
{
	if (thread->next++ != 0)
		return LOAD_DONE;
	return -posix_fadvise(thread->file, 0, 0, POSIX_FADV_DONTNEED);
}

const struct load_work load_data_works[] = {
	{"seq-read", "read 1 MiB after the other, again and again", false, LOAD_LARGE, open_read, step_read_again, NULL,
	 data_close},
	{"seq-read-once", "read the file once, 1 MiB at a time", true, LOAD_LARGE, open_read, step_read_once, NULL,
	 data_close},
	{"seq-write", "write over the file once, 1 MiB at a time, and fsync", true, LOAD_LARGE, open_write,
	 step_write_once, data_sync, data_close},
	{"seq-write-new", "write a new file, 1 MiB at a time, and fsync", true, LOAD_LARGE, open_new, step_write_once,
	 data_sync, data_close},
	{"random-read", "read 4 KiB anywhere", false, LOAD_SMALL, open_read, step_read_random, NULL, data_close},
	{"random-write", "write 4 KiB anywhere", false, LOAD_SMALL, open_write, step_write_random, NULL, data_close},
	{"evict", "drop the file from the page cache", true, 0, open_read, step_evict, NULL, data_close},
	{NULL, NULL, false, 0, NULL, NULL, NULL, NULL},
};
