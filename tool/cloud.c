/* SPDX-License-Identifier: MIT */
/*
 * cloud.c - what status prints of a drive whose files live on a server
 *
 * The facts are the drive's own (member "provider_status" of a drive in status --json): the connection, how full
 * account and cache are, what is under way to the server with its progress, conflicts and failures.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/text.h"
#include "tool/command.h"

#define BAR 24 /* columns of a progress bar */

static json_int_t number(json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

static const char *text(json_t *object, const char *member, char *out, size_t size)
{
	const char *value = json_string_value(json_object_get(object, member));

	text_printable(out, size, value ? value : "");
	return out;
}

static void print_connection(json_t *facts)
{
	char connection[32], message[512], since[64] = "";
	time_t at = (time_t)number(facts, "since");
	struct tm parts;

	(void)text(facts, "connection", connection, sizeof(connection));
	(void)text(facts, "message", message, sizeof(message));
	if (at && localtime_r(&at, &parts))
		(void)strftime(since, sizeof(since), " since %Y-%m-%d %H:%M:%S", &parts);
	if (strcmp(connection, "online") == 0 || strcmp(connection, "unknown") == 0)
		printf("  %-14s%s\n", "server", strcmp(connection, "online") == 0 ? "online" : "not asked yet");
	else if (strcmp(connection, "login") == 0)
		printf("  %-14sneeds a login%s: %s\n", "server", since, message);
	else
		printf("  %-14soffline%s, served from the cache: %s\n", "server", since, message);
}

static void print_amounts(json_t *facts)
{
	json_t *quota = json_object_get(facts, "quota"), *cache = json_object_get(facts, "cache");
	json_t *pending = json_object_get(facts, "pending");
	char first[32], second[32];

	if (quota && number(quota, "total") > 0) {
		write_bytes(first, sizeof(first), number(quota, "used"));
		write_bytes(second, sizeof(second), number(quota, "total"));
		printf("  %-14s%s of %s used\n", "account", first, second);
	}
	write_bytes(first, sizeof(first), number(cache, "bytes"));
	write_bytes(second, sizeof(second), number(cache, "fetching"));
	printf("  %-14s%s", "cached", first);
	printf(number(cache, "fetching") > 0 ? ", %s being fetched\n" : "\n", second);
	if (number(pending, "count") == 0) {
		printf("  %-14snothing\n", "to send");
		return;
	}
	write_bytes(first, sizeof(first), number(pending, "bytes"));
	printf("  %-14s%" JSON_INTEGER_FORMAT " change%s, %s", "to send", number(pending, "count"),
	       number(pending, "count") == 1 ? "" : "s", first);
	if (number(pending, "failing") > 0)
		printf(", %" JSON_INTEGER_FORMAT " failing", number(pending, "failing"));
	putchar('\n');
}

static void print_transfer(json_t *transfer)
{
	json_int_t bytes = number(transfer, "bytes"), sent = number(transfer, "sent");
	char path[512], whole[32], done[32], bar[BAR + 1];
	int part;

	sent = sent > bytes ? bytes : sent;
	part = bytes > 0 ? (int)((double)sent / (double)bytes * 100) : 100;
	write_bytes(whole, sizeof(whole), bytes);
	write_bytes(done, sizeof(done), sent);
	memset(bar, '-', BAR);
	memset(bar, '#', (size_t)(part * BAR / 100));
	bar[BAR] = '\0';
	(void)text(transfer, "path", path, sizeof(path));
	if (isatty(STDOUT_FILENO))
		printf("    [%s] %3d %%  %s of %s  %s\n", bar, part, done, whole, path);
	else
		printf("    %3d %%  %s of %s  %s\n", part, done, whole, path);
}

static void print_list(json_t *list, const char *title, const char *member, const char *between)
{
	char path[512], other[512];
	json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		if (i == 0)
			printf("  %s\n", title);
		printf("    %s%s%s\n", text(entry, "path", path, sizeof(path)), between,
		       text(entry, member, other, sizeof(other)));
	}
}

void cloud_print(json_t *facts)
{
	json_t *transfer;
	size_t i;

	print_connection(facts);
	print_amounts(facts);
	json_array_foreach(json_object_get(facts, "transfers"), i, transfer) print_transfer(transfer);
	print_list(json_object_get(facts, "conflicts"), "conflicts", "original", ", beside ");
	print_list(json_object_get(facts, "failures"), "failures", "reason", ": ");
}
