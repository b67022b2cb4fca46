/* SPDX-License-Identifier: MIT */
/* The keeper without drives: one instance, sockets, restarting, stopping, nonsense from the service. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/keeper/harness.h"
#include "tests/keeper/usage.h"

static struct harness_programs programs;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Run drivewayd with arguments, collect what it prints; its exit status. */
static int run(const struct harness *h, char *output, size_t size, const char *arguments)
{
	char command[512];
	size_t got;
	FILE *pipe;

	snprintf(command, sizeof(command), "DRIVEWAY_RUNTIME_DIR=%s timeout 20 %s %s 2>&1", h->runtime,
		 programs.drivewayd, arguments);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	got = fread(output, 1, size - 1, pipe);
	output[got] = 0;
	return WEXITSTATUS(pclose(pipe));
}

static void test_options(void **state)
{
	struct harness h;
	char output[4096];

	harness_open(&h);
	assert_int_equal(run(&h, output, sizeof(output), "--version"), 0);
	assert_true(strncmp(output, "drivewayd ", 10) == 0);
	assert_int_equal(run(&h, output, sizeof(output), "--help"), 0);
	assert_non_null(strstr(output, "--stay"));
	assert_int_equal(run(&h, output, sizeof(output), "--nonsense"), 2);
	assert_int_equal(run(&h, output, sizeof(output), "nonsense"), 2);
	assert_int_equal(run(&h, output, sizeof(output), "--service /nonexistent"), 1);
	assert_non_null(strstr(output, "/nonexistent"));
	harness_close(&h);
}

static void test_hello(void **state)
{
	struct harness h;
	struct stat st;
	char path[128];

	harness_open(&h);
	harness_start(&h, &programs, NULL);
	assert_int_equal(harness_number(&h, "services="), 1);
	assert_int_equal(harness_number(&h, "status="), 0);
	assert_int_equal(harness_number(&h, "drives="), 0);
	assert_int_equal(harness_number(&h, "stay="), 0);
	assert_int_equal(harness_number(&h, "keeper="), h.keeper);
	assert_int_equal(stat(h.runtime, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	snprintf(path, sizeof(path), "%s/control.sock", h.runtime);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(!usage_memory_counts() || usage_resident(h.keeper) < 2048);
	harness_close(&h);
}

static void test_restarts_at_once_after_sigkill(void **state)
{
	struct harness h;
	pid_t service;
	double start;

	harness_open(&h);
	harness_start(&h, &programs, NULL);
	service = harness_service(&h, 0);
	start = now();
	for (int i = 0; i < 20; i++) {
		kill(service, SIGKILL);
		service = harness_service(&h, service);
		assert_int_equal(harness_number(&h, "status="), SIGKILL);
		assert_int_equal(harness_number(&h, "services="), 2 + i);
	}
	assert_true(now() - start < 5);
	harness_close(&h);
}

static void test_pauses_after_own_faults(void **state)
{
	struct harness h;
	pid_t service;
	double start;

	harness_open(&h);
	harness_start(&h, &programs, "--stay");
	service = harness_service(&h, 0);
	start = now();
	for (int i = 0; i < 5; i++) {
		harness_say(&h, "abort");
		service = harness_service(&h, service);
		assert_true(WIFSIGNALED(harness_number(&h, "status=")));
		assert_int_equal(WTERMSIG(harness_number(&h, "status=")), SIGABRT);
	}
	/* 0, 100, 200, 400, 800 ms */
	assert_true(now() - start >= 1.4);
	harness_say(&h, "exit 9");
	service = harness_service(&h, service);
	assert_true(WIFEXITED(harness_number(&h, "status=")));
	assert_int_equal(WEXITSTATUS(harness_number(&h, "status=")), 9);
	/* one that has lived for a while starts again at once */
	harness_pause(1100);
	start = now();
	harness_say(&h, "abort");
	service = harness_service(&h, service);
	assert_true(now() - start < 0.9);
	harness_close(&h);
}

static void test_gives_up(void **state)
{
	struct harness h;
	char output[4096], arguments[300];

	harness_open(&h);
	setenv("FAKE_SERVICE_DIES", "1", 1);
	snprintf(arguments, sizeof(arguments), "--foreground --service %s", programs.service);
	assert_int_equal(run(&h, output, sizeof(output), arguments), 1);
	unsetenv("FAKE_SERVICE_DIES");
	assert_non_null(strstr(output, "giving up"));
	harness_close(&h);
}

static void test_second_instance_and_stale_socket(void **state)
{
	struct harness h;
	char output[4096], arguments[300];
	pid_t service;

	harness_open(&h);
	harness_start(&h, &programs, NULL);
	service = harness_service(&h, 0);
	snprintf(arguments, sizeof(arguments), "--foreground --service %s", programs.service);
	assert_int_equal(run(&h, output, sizeof(output), arguments), 0);
	assert_string_equal(output, "");
	assert_int_equal(harness_service(&h, 0), service);
	/* a keeper that was killed leaves its socket; the service goes with it */
	kill(h.keeper, SIGKILL);
	assert_true(harness_wait(&h, 5) >= 0);
	for (int i = 0; i < 200 && !kill(service, 0); i++)
		harness_pause(10);
	harness_start(&h, &programs, NULL);
	assert_true(harness_service(&h, 0) != service);
	harness_close(&h);
}

static void test_daemon(void **state)
{
	struct harness h;
	struct stat st;
	char output[4096], arguments[300], path[128];
	pid_t keeper;

	harness_open(&h);
	snprintf(arguments, sizeof(arguments), "--service %s", programs.service);
	assert_int_equal(run(&h, output, sizeof(output), arguments), 0);
	assert_string_equal(output, "");
	/* it listens as soon as the command has returned */
	assert_true(strncmp(harness_say(&h, "hello"), "0 ", 2) == 0);
	keeper = (pid_t)harness_number(&h, "keeper=");
	assert_int_equal(getsid(keeper), keeper);
	snprintf(path, sizeof(path), "%s/service.log", h.runtime);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* nothing to do any more */
	assert_int_equal((harness_say(&h, "stop"), harness_number(&h, NULL)), 0);
	snprintf(path, sizeof(path), "%s/control.sock", h.runtime);
	assert_int_equal(stat(path, &st), -1);
	kill(keeper, SIGTERM);
	for (int i = 0; i < 500 && !kill(keeper, 0); i++)
		harness_pause(10);
	assert_int_equal(kill(keeper, 0), -1);
	harness_close(&h);
}

static void test_stop(void **state)
{
	struct harness h;

	harness_open(&h);
	harness_start(&h, &programs, NULL);
	harness_say(&h, "stop");
	assert_int_equal(harness_number(&h, NULL), 0);
	/* The fake service does not end by itself; its socket's name is gone already, so a new keeper can wait for it.
	 */
	kill(h.keeper, SIGTERM);
	assert_int_equal(harness_wait(&h, 5), 0);

	harness_start(&h, &programs, "--stay");
	assert_int_equal(harness_number(&h, "stay="), 1);
	harness_say(&h, "stop");
	assert_int_equal(harness_number(&h, NULL), -EBUSY);
	kill(h.keeper, SIGTERM);
	assert_int_equal(harness_wait(&h, 5), 0);
	harness_close(&h);
}

static void test_upgrade(void **state)
{
	struct harness h;
	pid_t service;
	double start;

	harness_open(&h);
	harness_start(&h, &programs, NULL);
	service = harness_service(&h, 0);
	start = now();
	for (int i = 0; i < 3; i++) {
		kill(h.keeper, SIGHUP);
		service = harness_service(&h, service);
		assert_int_equal(harness_number(&h, "status="), SIGTERM);
	}
	assert_true(now() - start < 2);
	harness_close(&h);
}

/* A service that hangs up but lives on is replaced. */
static void test_deaf_service(void **state)
{
	struct harness h;
	pid_t service;

	harness_open(&h);
	harness_start(&h, &programs, NULL);
	service = harness_service(&h, 0);
	harness_say(&h, "deaf");
	assert_int_equal(harness_number(&h, NULL), 0);
	assert_true(harness_service(&h, service) != service);
	harness_close(&h);
}

static void test_runtime_folder_is_checked(void **state)
{
	struct harness h;
	char output[4096];

	harness_open(&h);
	assert_int_equal(mkdir(h.runtime, 0755), 0);
	assert_int_equal(chmod(h.runtime, 0755), 0);
	assert_int_equal(run(&h, output, sizeof(output), "--foreground"), 1);
	assert_non_null(strstr(output, "chmod 700"));
	assert_int_equal(rmdir(h.runtime), 0);
	assert_int_equal(symlink("/", h.runtime), 0);
	assert_int_equal(run(&h, output, sizeof(output), "--foreground"), 1);
	harness_close(&h);
}

static void test_nonsense_from_the_service(void **state)
{
	struct harness h;
	pid_t service;
	int descriptors, threads;
	long heap;

	harness_open(&h);
	harness_start(&h, &programs, "--stay");
	service = harness_service(&h, 0);
	descriptors = usage_descriptors(h.keeper);
	threads = usage_threads(h.keeper);
	heap = usage_heap(h.keeper);
	for (int seed = 1; seed <= 8; seed++) {
		harness_say(&h, "garbage %d 2000", seed);
		service = harness_service(&h, service);
		assert_int_equal(kill(h.keeper, 0), 0);
	}
	assert_int_equal(usage_descriptors(h.keeper), descriptors);
	assert_int_equal(usage_threads(h.keeper), threads);
	assert_true(!usage_memory_counts() || usage_heap(h.keeper) == heap);
	assert_true(!usage_memory_counts() || usage_resident(h.keeper) < 2048);
	harness_close(&h);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_restarts_at_once_after_sigkill),
		cmocka_unit_test(test_pauses_after_own_faults),
		cmocka_unit_test(test_gives_up),
		cmocka_unit_test(test_second_instance_and_stale_socket),
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_deaf_service),
		cmocka_unit_test(test_runtime_folder_is_checked),
		cmocka_unit_test(test_nonsense_from_the_service),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s DRIVEWAYD SERVICE\n", argv[0]);
		return 2;
	}
	programs = (struct harness_programs){argv[1], argv[2]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
