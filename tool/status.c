/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/text.h"

static void print_text(json_t *object, const char *member, const char *title)
{
	const char *text = json_string_value(json_object_get(object, member));
	char clean[4352];

	if (!text || !*text)
		return;
	text_printable(clean, sizeof(clean), text);
	printf("  %-14s%s\n", title, clean);
}

static void print_number(json_t *object, const char *member, const char *title)
{
	printf("  %-14s%" JSON_INTEGER_FORMAT "\n", title, json_integer_value(json_object_get(object, member)));
}

static void print_size(json_t *size)
{
	char total[32], left[32];

	if (!json_is_object(size))
		return;
	write_bytes(total, sizeof(total), json_integer_value(json_object_get(size, "total")));
	write_bytes(left, sizeof(left), json_integer_value(json_object_get(size, "free")));
	printf("  %-14s%s, %s free\n", "size", total, left);
}

static void print_since(json_t *drive)
{
	time_t since = (time_t)json_integer_value(json_object_get(drive, "since"));
	char text[64];
	struct tm parts;

	if (localtime_r(&since, &parts) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts))
		printf("  %-14s%s\n", "since", text);
}

static void print_transport(json_t *drive)
{
	const char *transport = json_string_value(json_object_get(drive, "transport"));
	const char *reason = json_string_value(json_object_get(drive, "transport_reason"));
	const char *protocol = json_string_value(json_object_get(drive, "protocol"));

	printf("  %-14s%s", "transport", transport ? transport : "");
	if (protocol && *protocol)
		printf(", protocol %s", protocol);
	if (reason && *reason)
		printf(" (not io_uring: %s)", reason);
	putchar('\n');
}

static void print_drive(json_t *drive)
{
	char target[4352];

	text_printable(target, sizeof(target), json_string_value(json_object_get(drive, "target")));
	printf("\n%s\n", target);
	print_text(drive, "source", "source");
	print_text(drive, "label", "label");
	print_text(drive, "state", "state");
	print_text(drive, "error", "error");
	print_transport(drive);
	printf("  %-14s%s\n", "passthrough", json_is_true(json_object_get(drive, "passthrough")) ? "yes" : "no");
	if (json_is_true(json_object_get(drive, "read_only")))
		printf("  %-14syes\n", "read only");
	print_size(json_object_get(drive, "size"));
	print_number(drive, "requests", "requests");
	print_number(drive, "in_flight", "in flight");
	print_number(drive, "replays", "replays");
	print_number(drive, "errors", "errors");
	print_text(drive, "cache", "cache");
	if (json_is_object(json_object_get(drive, "provider_status")))
		cloud_print(json_object_get(drive, "provider_status"));
	print_since(drive);
}

static void print_status(json_t *status)
{
	json_t *drives = json_object_get(status, "drives");
	json_t *drive;
	size_t i;

	printf("Driveway %s, keeper %" JSON_INTEGER_FORMAT ", service %" JSON_INTEGER_FORMAT
	       ", restarted %" JSON_INTEGER_FORMAT " times\n",
	       json_string_value(json_object_get(status, "version")),
	       json_integer_value(json_object_get(status, "keeper_pid")),
	       json_integer_value(json_object_get(status, "service_pid")),
	       json_integer_value(json_object_get(status, "restarts")));
	json_array_foreach(drives, i, drive) print_drive(drive);
	if (json_array_size(drives) == 0)
		puts("No drive is mapped. To map one: driveway map DIR memory:");
}

int command_status(int argc, char **argv)
{
	struct jsonrpc_error error;
	char target[PATH_MAX];
	json_t *result = NULL;
	bool json;
	int ret;

	if (!read_options(argc, argv, "h", "json", &json, &ret))
		return ret;
	if (argc - optind > 1)
		return usage("status", "status takes at most one folder");
	if (optind < argc) {
		ret = paths_target(argv[optind], target);
		if (ret)
			return complain("%s is not mapped: %s", argv[optind], strerror(-ret));
	}
	ret = client_ask("status", optind < argc ? target : NULL, &result, &error);
	if (ret == -ENOENT)
		return complain("no service runs, so no drive is mapped: driveway map DIR memory: starts it");
	if (ret)
		return complain("%s", error.message);
	if (json)
		return print_json(result);
	print_status(result);
	json_decref(result);
	return EXIT_SUCCESS;
}
