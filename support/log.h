/* SPDX-License-Identifier: MIT */
/*
 * log.h - lines in a log
 *
 * A log is a descriptor and the least important level that is written to it. A line is
 *     2031-05-17T08:30:00Z warning: what happened
 * and is written with one write(2), so lines of several threads and processes never mix. Lines longer than
 * LOG_LINE_MAX are cut; control characters become '?'. Writing never fails as far as the caller can see:
 * a log that cannot be written is no reason to stop serving.
 *
 * Threads: log_write may be called from any thread; the struct is filled in once, before that.
 */
#ifndef SUPPORT_LOG_H
#define SUPPORT_LOG_H

#define LOG_LINE_MAX 1024

/* As the levels of dw_host.log. */
enum log_level {
	LOG_LEVEL_ERROR = 0,
	LOG_LEVEL_WARNING = 1,
	LOG_LEVEL_INFORMATION = 2,
	LOG_LEVEL_TRACE = 3,
};

struct log {
	int fd;	   /* where lines go; stays the caller's */
	int level; /* the least important level that is written, enum log_level */
};

/* log may be NULL: then nothing is written. */
void log_write(const struct log *log, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
