/* SPDX-License-Identifier: MIT */
#include "support/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *level_name(int level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_INFORMATION:
		return "information";
	default:
		return "trace";
	}
}

static size_t write_time(char *out, size_t size)
{
	time_t now = time(NULL);
	struct tm parts;

#ifdef _WIN32
	if (gmtime_s(&parts, &now))
		return 0;
#else
	if (!gmtime_r(&now, &parts))
		return 0;
#endif
	return strftime(out, size, "%Y-%m-%dT%H:%M:%SZ ", &parts);
}

void log_write(const struct log *log, int level, const char *format, ...)
{
	char line[LOG_LINE_MAX + 1];
	size_t length;
	va_list arguments;
	int more;

	if (!log || level > log->level)
		return;
	length = write_time(line, LOG_LINE_MAX);
	more = snprintf(line + length, LOG_LINE_MAX - length, "%s: ", level_name(level));
	length += (size_t)more;
	va_start(arguments, format);
	more = vsnprintf(line + length, LOG_LINE_MAX - length, format, arguments);
	va_end(arguments);
	if (more < 0)
		return;
	length += (size_t)more < LOG_LINE_MAX - length ? (size_t)more : LOG_LINE_MAX - length - 1;
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[length++] = '\n';
	if (write(log->fd, line, (unsigned)length) < 0)
		return;
}
