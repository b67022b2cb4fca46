/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define AGAIN_SECONDS 20 /* for how long a service that ends in the middle is asked again */

struct wish {
	const char *target_text; /* as it was typed */
	char target[PATH_MAX];
	char *source;
	const char *label;
	char cache[PATH_MAX]; /* "": not given */
	bool read_only;
	bool foreground;
	bool json;
	json_t *options; /* [[key, value], ...] */
};

/* EXIT_SUCCESS, or the exit status after complaining; -1: help was printed. */
static int read_arguments(struct wish *wish, int argc, char **argv)
{
	enum { LABEL = 256, CACHE, READ_ONLY, FOREGROUND, JSON };
	static const struct option known[] = {
		{"label", required_argument, NULL, LABEL},   {"cache", required_argument, NULL, CACHE},
		{"read-only", no_argument, NULL, READ_ONLY}, {"foreground", no_argument, NULL, FOREGROUND},
		{"json", no_argument, NULL, JSON},	     {"help", no_argument, NULL, 'h'},
		{"options", required_argument, NULL, 'o'},   {NULL, 0, NULL, 0},
	};
	const char *cache = NULL;
	int c, ret;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "o:h", known, NULL)) != -1) {
		switch (c) {
		case 'o':
			if (!options_add(wish->options, optarg))
				return usage("map", "the option %s is not valid UTF-8", optarg);
			break;
		case LABEL:
			wish->label = optarg;
			break;
		case CACHE:
			cache = optarg;
			break;
		case READ_ONLY:
			wish->read_only = true;
			break;
		case FOREGROUND:
			wish->foreground = true;
			break;
		case JSON:
			wish->json = true;
			break;
		case 'h':
			help_print("map");
			return -1;
		default:
			return usage("map", "%s is not an option of map, or lacks its value", argv[optind - 1]);
		}
	}
	if (argc - optind != 2)
		return usage("map", "map takes a folder and a source, as in driveway map DIR memory:");
	wish->target_text = argv[optind];
	ret = paths_target(argv[optind], wish->target);
	if (ret == -ENOENT)
		return complain("there is no folder %s: make it first, mkdir -p %s", argv[optind], argv[optind]);
	if (ret)
		return complain("cannot use the target %s: %s", argv[optind], strerror(-ret));
	wish->source = paths_source(argv[optind + 1]);
	if (cache && *cache == '/')
		snprintf(wish->cache, sizeof(wish->cache), "%s", cache);
	else if (cache && getcwd(wish->cache, sizeof(wish->cache)))
		snprintf(wish->cache + strlen(wish->cache), sizeof(wish->cache) - strlen(wish->cache), "/%s", cache);
	return wish->source ? EXIT_SUCCESS : complain("out of memory");
}

static json_t *make_params(const struct wish *wish)
{
	char folder[PATH_MAX];

	return json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:b, s:O}", "target", wish->target, "source", wish->source,
			 "label", wish->label, "cache", *wish->cache ? wish->cache : NULL, "folder",
			 getcwd(folder, sizeof(folder)), "read_only", wish->read_only, "options", wish->options);
}

/* The state of our target, to a buffer; false: it is not mapped or nobody answers. */
static bool find_state(const struct wish *wish, json_t **out)
{
	struct jsonrpc_error error;
	json_t *result, *drive;
	size_t i;

	*out = NULL;
	if (client_call("list", json_object(), true, &result, &error))
		return false;
	json_array_foreach(json_object_get(result, "drives"), i, drive)
	{
		const char *target = json_string_value(json_object_get(drive, "target"));

		if (target && strcmp(target, wish->target) == 0)
			*out = json_incref(drive);
	}
	json_decref(result);
	return *out != NULL;
}

/*
 * The service ended while it was mapping for us. The keeper may know the drive already, and then the next service
 * brings it up; only when it does not is the map asked for again. 0: mapped; -EAGAIN: ask again.
 */
static int see_what_became(const struct wish *wish, time_t deadline, json_t **result, struct jsonrpc_error *error)
{
	const struct timespec pause = {.tv_nsec = 20000000};

	while (time(NULL) < deadline) {
		const char *state;
		json_t *drive;

		if (!find_state(wish, &drive))
			return -EAGAIN;
		state = json_string_value(json_object_get(drive, "state"));
		if (state && strcmp(state, "ready") == 0) {
			*result = drive;
			return 0;
		}
		if (state && strcmp(state, "failed") == 0) {
			jsonrpc_fault(error, -EIO, "%s", json_string_value(json_object_get(drive, "error")));
			json_decref(drive);
			return -EREMOTEIO;
		}
		json_decref(drive);
		nanosleep(&pause, NULL);
	}
	jsonrpc_fault(error, -ETIMEDOUT, "%s does not begin to answer: see driveway status", wish->target);
	return -ETIMEDOUT;
}

static int ask_to_map(const struct wish *wish, json_t **result, struct jsonrpc_error *error)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	time_t deadline = time(NULL) + AGAIN_SECONDS;
	int ret;

	do {
		ret = client_call("map", make_params(wish), true, result, error);
		if (ret == -ECONNRESET)
			ret = see_what_became(wish, deadline, result, error);
		else if (ret == -EREMOTEIO && error->error == -ESHUTDOWN)
			ret = -EAGAIN;
		if (ret == -EAGAIN)
			nanosleep(&pause, NULL);
	} while (ret == -EAGAIN && time(NULL) < deadline);
	return ret;
}

static int unmap_again(const struct wish *wish)
{
	struct jsonrpc_error error;
	json_t *result = NULL;
	char users[512];
	int ret = client_call("unmap", json_pack("{s:s}", "target", wish->target), false, &result, &error);

	json_decref(result);
	if (ret == -EREMOTEIO && error.error == -EBUSY) {
		if (users_describe(wish->target, users, sizeof(users)))
			return complain("%s stays mapped, it is in use by %s: close them, then driveway unmap %s",
					wish->target_text, users, wish->target_text);
		return complain("%s stays mapped, it is in use: driveway unmap --force %s", wish->target_text,
				wish->target_text);
	}
	if (ret == -EREMOTEIO && error.error != -ENOENT)
		return complain("%s", error.message);
	return EXIT_SUCCESS;
}

/* Until a signal comes or somebody else unmaps the drive. The mount table tells of changes by POLLERR. */
static int wait_in_foreground(const struct wish *wish, const sigset_t *set)
{
	struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLPRI}};
	struct mount_entry entry;
	int ret = EXIT_SUCCESS;

	fds[0].fd = signalfd(-1, set, SFD_CLOEXEC);
	fds[1].fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (fds[0].fd < 0)
		ret = complain("cannot wait for signals: %s", strerror(errno));
	while (ret == EXIT_SUCCESS && mounts_find(wish->target, &entry)) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents) {
			ret = unmap_again(wish);
			break;
		}
	}
	close(fds[0].fd);
	close(fds[1].fd);
	return ret;
}

static int map(const struct wish *wish)
{
	struct jsonrpc_error error;
	json_t *result = NULL;
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (wish->foreground)
		sigprocmask(SIG_BLOCK, &set, NULL);
	if (ask_to_map(wish, &result, &error))
		return complain("%s", error.message);
	ret = wish->json ? print_json(json_incref(result)) : EXIT_SUCCESS;
	json_decref(result);
	return wish->foreground && ret == EXIT_SUCCESS ? wait_in_foreground(wish, &set) : ret;
}

int command_map(int argc, char **argv)
{
	static struct wish wish;
	int ret;

	wish.options = json_array();
	if (!wish.options)
		return complain("out of memory");
	ret = read_arguments(&wish, argc, argv);
	if (ret == EXIT_SUCCESS)
		ret = map(&wish);
	json_decref(wish.options);
	free(wish.source);
	return ret < 0 ? EXIT_SUCCESS : ret;
}
