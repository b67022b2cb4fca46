/* SPDX-License-Identifier: MIT */
/*
 * main.c - runs the conformance cases on a folder
 *
 *    conformance DIR [--features LIST] [--verbose] [--list] [CASE...]
 *    conformance DIR --read-only [--reference DIR]
 *
 * LIST is comma-separated; "all" (as it comes) and "none" are words for what they say, and a name with a '-' before it
 * takes a feature away: --features all,-acl. A CASE is a whole name or a beginning.
 * Exit status 0: all passed; 1: some failed; 2: wrong use; 77: nothing could run.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conformance.h"

#define EXIT_SKIPPED 77

static const struct {
	const char *name;
	unsigned bit;
} feature_names[] = {
	{"xattr", FEATURE_XATTR},
	{"acl", FEATURE_ACL},
	{"nodes", FEATURE_NODES},
	{"other", FEATURE_OTHER},
	{"tmpfile", FEATURE_TMPFILE},
	{"holes", FEATURE_HOLES},
	{"direct", FEATURE_DIRECT},
	{"fallocate", FEATURE_FALLOCATE},
	{"trusted", FEATURE_TRUSTED},
	{"links", FEATURE_LINKS},
	{"names", FEATURE_BYTES},
	{"none", 0},
	{"all", ~0u},
};

static const struct conformance_case *const lists[] = {
	names_cases,	 rename_cases, folder_cases,  data_cases, space_cases,
	attribute_cases, xattr_cases,  mapping_cases, lock_cases, access_cases,
};

static bool parse_features(char *list, unsigned *features)
{
	bool first = true;
	char *rest = list;
	char *word;

	while ((word = strsep(&rest, ",")) != NULL) {
		bool take_away = word[0] == '-';
		size_t i;

		if (first && !take_away)
			*features = 0;
		first = false;
		for (i = 0; i < sizeof(feature_names) / sizeof(feature_names[0]); i++)
			if (strcmp(word + take_away, feature_names[i].name) == 0)
				break;
		if (i == sizeof(feature_names) / sizeof(feature_names[0])) {
			fprintf(stderr, "conformance: no feature is called %s\n", word);
			return false;
		}
		if (take_away)
			*features &= ~feature_names[i].bit;
		else
			*features |= feature_names[i].bit;
	}
	return true;
}

static const char *missing_feature(unsigned missing)
{
	size_t i;

	for (i = 0; i < sizeof(feature_names) / sizeof(feature_names[0]); i++)
		if (missing & feature_names[i].bit)
			return feature_names[i].name;
	return "?";
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (remove(path) != 0 && errno != ENOENT)
		fprintf(stderr, "conformance: cannot remove %s: %s\n", path, strerrorname_np(errno));
	return 0;
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static _Noreturn void run_here(const struct conformance_case *one, const char *folder)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	umask(022);
	if (chdir(folder) != 0) {
		fprintf(stderr, "conformance: cannot enter %s: %s\n", folder, strerrorname_np(errno));
		exit(1);
	}
	alarm(CASE_SECONDS);
	one->run();
	case_end();
}

/* 0: passed, 1: failed, EXIT_SKIPPED. */
static int run_case(const struct conformance_case *one, const char *root)
{
	char folder[PATH_MAX];
	int status;
	pid_t pid;

	if (snprintf(folder, sizeof(folder), "%s/%s.XXXXXX", root, one->name) >= (int)sizeof(folder) ||
	    mkdtemp(folder) == NULL || chmod(folder, 0777) != 0) {
		fprintf(stderr, "conformance: cannot make a folder in %s: %s\n", root, strerrorname_np(errno));
		return 1;
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		perror("conformance: fork");
		remove_tree(folder);
		return 1;
	}
	if (pid == 0)
		run_here(one, folder);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	remove_tree(folder);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (WTERMSIG(status) == SIGALRM)
		printf("  %s: not done after %u s\n", one->name, CASE_SECONDS);
	else
		printf("  %s: ended by SIG%s\n", one->name, sigabbrev_np(WTERMSIG(status)));
	return 1;
}

static bool chosen(const char *name, char **words, int count)
{
	int i;

	for (i = 0; i < count; i++)
		if (strncmp(name, words[i], strlen(words[i])) == 0)
			return true;
	return count == 0;
}

static int run_all(const char *root, unsigned features, bool verbose, char **words, int count)
{
	int results[3] = {0, 0, 0};
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const struct conformance_case *one;

		for (one = lists[i]; one->name; one++) {
			static const char *const said[] = {"passed", "FAILED", "skipped"};
			int result;

			if (!chosen(one->name, words, count))
				continue;
			if (one->needs & ~features) {
				printf("  %s: skipped, %s does not have %s\n", one->name, root,
				       missing_feature(one->needs & ~features));
				results[2]++;
				continue;
			}
			result = run_case(one, root);
			result = result == EXIT_SKIPPED ? 2 : result != 0;
			results[result]++;
			if (verbose || result == 1)
				printf("%s %s\n", one->name, said[result]);
			fflush(stdout);
		}
	}
	printf("conformance of %s: %d passed, %d failed, %d skipped\n", root, results[0], results[1], results[2]);
	if (results[1])
		return 1;
	return results[0] ? 0 : EXIT_SKIPPED;
}

static void list_all(void)
{
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const struct conformance_case *one;

		for (one = lists[i]; one->name; one++)
			puts(one->name);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"features", required_argument, NULL, 'f'},
		{"verbose", no_argument, NULL, 'v'},
		{"list", no_argument, NULL, 'l'},
		{"read-only", no_argument, NULL, 'r'},
		{"reference", required_argument, NULL, 'R'},
		{NULL, 0, NULL, 0},
	};
	unsigned features = ~0u;
	const char *reference = NULL;
	bool verbose = false, list = false, read_only = false;
	char root[PATH_MAX];
	int option;

	while ((option = getopt_long(argc, argv, "f:vlr", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			if (!parse_features(optarg, &features))
				return 2;
			break;
		case 'v':
			verbose = true;
			break;
		case 'l':
			list = true;
			break;
		case 'r':
			read_only = true;
			break;
		case 'R':
			reference = optarg;
			break;
		default:
			return 2;
		}
	}
	if (list) {
		list_all();
		return 0;
	}
	if (optind == argc) {
		fprintf(stderr, "usage: conformance DIR [--features LIST] [--verbose] [CASE...]\n"
				"       conformance DIR --read-only [--reference DIR]\n");
		return 2;
	}
	if (realpath(argv[optind], root) == NULL) {
		fprintf(stderr, "conformance: %s: %s\n", argv[optind], strerror(errno));
		return 2;
	}
	if (read_only) {
		int failures = readonly_check(root, reference);

		printf("conformance of %s, read-only: %s\n", root, failures ? "failed" : "passed");
		return failures != 0;
	}
	if (geteuid() != 0)
		features &= ~(FEATURE_NODES | FEATURE_OTHER | FEATURE_TRUSTED);
	return run_all(root, features, verbose, argv + optind + 1, argc - optind - 1);
}
