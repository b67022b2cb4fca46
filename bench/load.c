/* SPDX-License-Identifier: MIT */
/*
 * load.c - run one workload (load.h) and print one line of JSON
 *
 *    load [options] WORKLOAD FOLDER
 *    {"work": "stat", "threads": 2, "operations": 104312, "seconds": 2.000102, "bytes": 0}
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "load.h"

/* All threads of one run. */
struct load_run {
	const struct load_work *work;
	pthread_barrier_t ready;   /* threads and main: everything is open */
	_Atomic bool stop;	   /* timed: enough */
	_Atomic int error;	   /* the first one, negative errno */
	_Atomic uint64_t started;  /* when the first thread began to step, nanoseconds */
	_Atomic uint64_t finished; /* when the last thread was done */
	struct load_thread threads[LOAD_THREADS_MAX];
};

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void pause_for(double seconds)
{
	struct timespec time = {.tv_sec = (time_t)seconds,
				.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &time) == EINTR)
		;
}

static void run_fail(struct load_run *run, int error)
{
	int none = 0;

	if (error < 0)
		atomic_compare_exchange_strong(&run->error, &none, error);
	if (error < 0)
		atomic_store(&run->stop, true);
}

static void run_started(struct load_run *run, uint64_t time)
{
	uint64_t first = atomic_load(&run->started);

	while ((first == 0 || first > time) && !atomic_compare_exchange_weak(&run->started, &first, time))
		;
}

static void run_finished(struct load_run *run, uint64_t time)
{
	uint64_t latest = atomic_load(&run->finished);

	while (latest < time && !atomic_compare_exchange_weak(&run->finished, &latest, time))
		;
}

struct load_start {
	struct load_run *run;
	struct load_thread *thread;
};

static void *thread_main(void *argument)
{
	struct load_start *start = argument;
	struct load_run *run = start->run;
	struct load_thread *thread = start->thread;
	const struct load_work *work = run->work;
	uint64_t count;
	int rc = 0;

	if (thread->options->pin) {
		cpu_set_t cpus;

		CPU_ZERO(&cpus);
		CPU_SET(thread->index, &cpus);
		rc = -pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	}
	if (rc == 0 && work->open != NULL)
		rc = work->open(thread);
	run_fail(run, rc);
	pthread_barrier_wait(&run->ready);
	run_started(run, now());
	while (rc == 0 && !atomic_load_explicit(&run->stop, memory_order_relaxed)) {
		rc = work->step(thread);
		if (rc == 0) {
			count = atomic_load_explicit(&thread->operations, memory_order_relaxed);
			atomic_store_explicit(&thread->operations, count + 1, memory_order_relaxed);
		}
	}
	if (rc == LOAD_DONE)
		rc = work->finish != NULL ? work->finish(thread) : 0;
	run_finished(run, now());
	run_fail(run, rc);
	if (work->close != NULL)
		run_fail(run, work->close(thread));
	return NULL;
}

static int thread_prepare(struct load_thread *thread, const struct load_options *options, unsigned index)
{
	thread->options = options;
	thread->index = index;
	thread->random = 0x9e3779b97f4a7c15u * (index + 1);
	thread->file = -1;
	thread->folders = malloc(options->folders * sizeof(int));
	if (thread->folders == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < options->folders; i++)
		thread->folders[i] = -1;
	if (posix_memalign((void **)&thread->buffer, 4096, LOAD_LARGE) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < LOAD_LARGE; i += sizeof(uint64_t)) {
		uint64_t word = load_random(thread, UINT64_MAX);

		memcpy(thread->buffer + i, &word, sizeof(word));
	}
	return 0;
}

static uint64_t run_operations(struct load_run *run, unsigned threads)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < threads; i++)
		sum += atomic_load_explicit(&run->threads[i].operations, memory_order_relaxed);
	return sum;
}

static void run_release(struct load_run *run, unsigned threads)
{
	for (unsigned i = 0; i < threads; i++) {
		free(run->threads[i].folders);
		free(run->threads[i].buffer);
	}
	pthread_barrier_destroy(&run->ready);
}

static int run_work(struct load_run *run, const struct load_options *options)
{
	pthread_t ids[LOAD_THREADS_MAX];
	struct load_start starts[LOAD_THREADS_MAX];
	uint64_t before = 0, after = 0, begin = 0, end = 0;
	int rc = 0;

	pthread_barrier_init(&run->ready, NULL, options->threads + 1);
	for (unsigned i = 0; i < options->threads && rc == 0; i++)
		rc = thread_prepare(&run->threads[i], options, i);
	if (rc != 0)
		goto out;
	for (unsigned i = 0; i < options->threads; i++) {
		starts[i] = (struct load_start){.run = run, .thread = &run->threads[i]};
		if (pthread_create(&ids[i], NULL, thread_main, &starts[i]) != 0)
			exit(EXIT_FAILURE); /* those that run wait for ever for this one */
	}
	pthread_barrier_wait(&run->ready);
	if (!run->work->counted) {
		pause_for(options->warmup);
		begin = now();
		before = run_operations(run, options->threads);
		pause_for(options->seconds);
		end = now();
		after = run_operations(run, options->threads);
		atomic_store(&run->stop, true);
	}
	for (unsigned i = 0; i < options->threads; i++)
		pthread_join(ids[i], NULL);
	if (run->work->counted) {
		begin = atomic_load(&run->started);
		end = atomic_load(&run->finished);
		after = run_operations(run, options->threads);
	}
	rc = atomic_load(&run->error);
	if (rc == 0)
		printf("{\"work\": \"%s\", \"threads\": %u, \"operations\": %llu, \"seconds\": %.6f, \"bytes\": "
		       "%llu}\n",
		       run->work->name, options->threads, (unsigned long long)(after - before),
		       (double)(end - begin) / 1e9, (unsigned long long)((after - before) * run->work->bytes));
out:
	run_release(run, options->threads);
	return rc;
}

static const struct load_work *find_work(const struct load_work *works, const char *name)
{
	for (; works->name != NULL; works++)
		if (strcmp(works->name, name) == 0)
			return works;
	return NULL;
}

static void list_works(FILE *out, const struct load_work *works)
{
	for (; works->name != NULL; works++)
		fprintf(out, "  %-14s %s%s\n", works->name, works->summary, works->counted ? " (counted)" : "");
}

static void usage(FILE *out)
{
	fprintf(out, "Usage: load [options] WORKLOAD FOLDER\n"
		     "  --threads N   client threads (2)\n"
		     "  --seconds S   length of a timed measurement (2)\n"
		     "  --warmup S    before it (0.5)\n"
		     "  --folders N   sub-folders a thread (8)\n"
		     "  --files N     files a sub-folder (500)\n"
		     "  --size MIB    of a data file (256)\n"
		     "  --direct      open data files with O_DIRECT\n"
		     "  --pin         thread i on CPU i only\n"
		     "Workloads; timed ones run for --seconds, counted ones until all is done:\n");
	list_works(out, load_names_works);
	list_works(out, load_data_works);
	list_works(out, load_tree_works);
}

/* A whole number from 1 to most. */
static bool parse_number(const char *text, uint64_t most, uint64_t *out)
{
	char *rest;

	errno = 0;
	*out = strtoull(text, &rest, 10);
	return errno == 0 && *text >= '0' && *text <= '9' && *rest == '\0' && *out >= 1 && *out <= most;
}

static bool parse_seconds(const char *text, double *out)
{
	char *rest;

	*out = strtod(text, &rest);
	return rest != text && *rest == '\0' && *out >= 0 && *out <= 3600;
}

static bool parse_options(int argc, char **argv, struct load_options *options)
{
	static const struct option known[] = {
		{"threads", required_argument, NULL, 't'}, {"seconds", required_argument, NULL, 's'},
		{"warmup", required_argument, NULL, 'w'},  {"folders", required_argument, NULL, 'd'},
		{"files", required_argument, NULL, 'f'},   {"size", required_argument, NULL, 'm'},
		{"direct", no_argument, NULL, 'D'},	   {"pin", no_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},	   {NULL, 0, NULL, 0},
	};
	uint64_t number = 0;
	bool good = true;
	int option;

	while (good && (option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (option) {
		case 't':
			good = parse_number(optarg, LOAD_THREADS_MAX, &number);
			options->threads = (unsigned)number;
			break;
		case 's':
			good = parse_seconds(optarg, &options->seconds);
			break;
		case 'w':
			good = parse_seconds(optarg, &options->warmup);
			break;
		case 'd':
			good = parse_number(optarg, 100000, &number);
			options->folders = (unsigned)number;
			break;
		case 'f':
			good = parse_number(optarg, 100000000, &number);
			options->files = (unsigned)number;
			break;
		case 'm':
			good = parse_number(optarg, 1u << 20, &number);
			options->size = number << 20;
			break;
		case 'D':
			options->direct = true;
			break;
		case 'p':
			options->pin = true;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			good = false;
		}
	}
	return good && argc - optind == 2;
}

int main(int argc, char **argv)
{
	struct load_options options = {
		.threads = 2, .folders = 8, .files = 500, .size = 256u << 20, .seconds = 2, .warmup = 0.5};
	struct load_run *run;
	int rc;

	if (!parse_options(argc, argv, &options)) {
		usage(stderr);
		return 2;
	}
	options.folder = argv[optind + 1];
	run = aligned_alloc(_Alignof(struct load_run), sizeof(*run));
	if (run == NULL)
		return EXIT_FAILURE;
	memset(run, 0, sizeof(*run));
	run->work = find_work(load_names_works, argv[optind]);
	if (run->work == NULL)
		run->work = find_work(load_data_works, argv[optind]);
	if (run->work == NULL)
		run->work = find_work(load_tree_works, argv[optind]);
	if (run->work == NULL) {
		fprintf(stderr, "load: no workload is named '%s'; load --help lists them\n", argv[optind]);
		return 2;
	}
	rc = run_work(run, &options);
	if (rc != 0)
		fprintf(stderr, "load: %s in %s: %s\n", run->work->name, options.folder, strerror(-rc));
	free(run);
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
