/* SPDX-License-Identifier: MIT */
/*
 * main.c - asks a remote what include/driveway/remote.h promises
 *
 *    remote_conformance --plugin FILE.so [--source REST] [--state DIR] [-o KEY=VALUE]... [--session-bytes N] [--many N]
 *                       [--list] [CASE...]
 *
 * The remote has to be logged in to already. Everything is made in one new folder of the remote's root, which is
 * removed at the end. --session-bytes: the size of a file that the service takes in parts (24000000). --many: how many
 * files make a list longer than a page (25). CASE: only those whose names begin so. Exit status 0: all passed; 1: some
 * did not.
 */
#include "suite.h"

#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS_MAX 32

static const struct suite_case *const lists[] = {
	interface_cases, item_cases, read_cases,     upload_cases, session_cases,
	move_cases,	 name_cases, property_cases, change_cases, thread_cases,
};

/* What the processes of the cases share. */
struct shared {
	char folder[DW_REMOTE_ID_MAX + 1]; /* id of the folder that all is made in */
	bool writable;
};

static const char *missing(const struct suite *suite, unsigned needs)
{
	const struct dw_remote_ops *ops = suite->ops;
	bool writable = ops->upload != NULL && (suite->remote->flags & DW_REMOTE_READ_ONLY) == 0;

	if ((needs & NEEDS_WRITE) != 0 && !writable)
		return "it is read-only";
	if ((needs & NEEDS_SESSIONS) != 0 && ops->session_begin == NULL)
		return "it has no sessions";
	if ((needs & NEEDS_CHANGES) != 0 && ops->changes == NULL)
		return "it has no feed";
	if ((needs & NEEDS_PROPERTIES) != 0 && ops->set_properties == NULL)
		return "it keeps no properties";
	if ((needs & NEEDS_COPY) != 0 && ops->copy == NULL)
		return "it does not copy";
	if ((needs & NEEDS_DIGEST) != 0 && suite->remote->digest == DW_REMOTE_DIGEST_NONE)
		return "it has no digest";
	return NULL;
}

static void begin_all(struct suite *suite, struct shared *shared, const char *name)
{
	struct item item;

	suite_reopen(suite);
	shared->writable = missing(suite, NEEDS_WRITE) == NULL;
	if (shared->writable) {
		NEED_OK(do_mkdir(suite, suite->remote->root, name, &item));
		memcpy(shared->folder, item.id, sizeof(shared->folder));
	}
}

static void end_all(struct suite *suite, struct shared *shared, const char *name)
{
	struct item item = {.type = DW_REMOTE_FOLDER};

	suite_reopen(suite);
	memcpy(item.id, shared->folder, sizeof(item.id));
	if (shared->writable)
		EXPECT_RESULT(do_remove(suite, &item, NULL, true), 0);
	suite->ops->close(suite->remote);
}

static void run_case(struct suite *suite, struct shared *shared, const struct suite_case *one)
{
	struct item item;
	const char *lack;

	suite_reopen(suite);
	lack = missing(suite, one->needs);
	if (lack != NULL)
		suite_skip(lack);
	if (shared->writable) {
		NEED_OK(do_mkdir(suite, shared->folder, one->name, &item));
		memcpy(suite->folder, item.id, sizeof(suite->folder));
	}
	one->run(suite);
	if (suite->remote != NULL)
		suite->ops->close(suite->remote);
}

/* Run in a process of its own: a case, or one of the functions above. 0, 1, EXIT_SKIPPED. */
static int in_process(struct suite *suite, struct shared *shared, const struct suite_case *one,
		      void (*other)(struct suite *, struct shared *, const char *), const char *name)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		return 1;
	}
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(CASE_SECONDS);
		if (one != NULL)
			run_case(suite, shared, one);
		else
			other(suite, shared, name);
		if (suite_failures() > 0)
			suite_end();
		exit(0); /* so that a leak checker looks */
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	printf("  %s: ended by SIG%s\n", name, sigabbrev_np(WTERMSIG(status)));
	return 1;
}

static bool chosen(const char *name, char **words, int count)
{
	for (int i = 0; i < count; i++)
		if (strncmp(name, words[i], strlen(words[i])) == 0)
			return true;
	return count == 0;
}

static int run_all(struct suite *suite, char **words, int count)
{
	static const char *const said[] = {"passed", "FAILED", "skipped"};
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int results[3] = {0, 0, 0};
	char name[64];

	if (shared == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	snprintf(name, sizeof(name), "conformance-%ld-%llx", (long)getpid(), (unsigned long long)now_monotonic());
	if (in_process(suite, shared, NULL, begin_all, name) != 0) {
		printf("the remote cannot be used\n");
		return 1;
	}
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (const struct suite_case *one = lists[i]; one->name != NULL; one++) {
			int result;

			if (!chosen(one->name, words, count))
				continue;
			result = in_process(suite, shared, one, NULL, one->name);
			result = result == EXIT_SKIPPED ? 2 : result != 0;
			results[result]++;
			printf("%s %s\n", one->name, said[result]);
			fflush(stdout);
		}
	}
	if (in_process(suite, shared, NULL, end_all, name) != 0)
		results[1]++;
	printf("conformance of %s: %d passed, %d failed, %d skipped\n", suite->provider->name, results[0], results[1],
	       results[2]);
	return results[1] != 0 || results[0] == 0;
}

static const struct dw_remote_provider *load(const char *path)
{
	const struct dw_remote_provider *provider;
	void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	provider = object == NULL ? NULL : dlsym(object, DW_REMOTE_SYMBOL);
	if (provider == NULL)
		fprintf(stderr, "%s: %s\n", path, dlerror());
	return provider;
}

static int usage(void)
{
	fprintf(stderr, "usage: remote_conformance --plugin FILE.so [--source REST] [--state DIR] [-o KEY=VALUE]...\n"
			"                          [--session-bytes N] [--many N] [--list] [CASE...]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"plugin", required_argument, NULL, 'p'},
		{"source", required_argument, NULL, 's'},
		{"state", required_argument, NULL, 't'},
		{"session-bytes", required_argument, NULL, 'b'},
		{"many", required_argument, NULL, 'm'},
		{"list", no_argument, NULL, 'l'},
		{NULL, 0, NULL, 0},
	};
	struct dw_option options[OPTIONS_MAX];
	struct suite suite = {.source = {.size = sizeof(suite.source), .rest = "", .state = "", .options = options},
			      .session_bytes = 24000000,
			      .many = 25};
	const char *plugin = NULL;
	char *equals;
	int c;

	while ((c = getopt_long(argc, argv, "o:", long_options, NULL)) != -1) {
		switch (c) {
		case 'p':
			plugin = optarg;
			break;
		case 's':
			suite.source.rest = optarg;
			break;
		case 't':
			suite.source.state = optarg;
			break;
		case 'b':
			suite.session_bytes = strtoull(optarg, NULL, 10);
			break;
		case 'm':
			suite.many = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'l':
			for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
				for (const struct suite_case *one = lists[i]; one->name != NULL; one++)
					printf("%s\n", one->name);
			return 0;
		case 'o':
			equals = strchr(optarg, '=');
			if (equals == NULL || suite.source.option_count == OPTIONS_MAX)
				return usage();
			*equals = '\0';
			options[suite.source.option_count++] = (struct dw_option){.key = optarg, .value = equals + 1};
			break;
		default:
			return usage();
		}
	}
	if (plugin == NULL)
		return usage();
	suite.provider = load(plugin);
	if (suite.provider == NULL)
		return 1;
	return run_all(&suite, argv + optind, argc - optind);
}
