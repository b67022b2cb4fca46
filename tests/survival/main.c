/* SPDX-License-Identifier: MIT */
/*
 * main.c - kill the service again and again under programs that must not notice
 *
 *    survival --driveway PROGRAM [--kills N] [--transport plain|io_uring] [--drive memory|local] [--seed N]
 *             [--option KEY=VALUE]... [--load NAME]... [--without NAME]... [--life MILLISECONDS]
 *    survival FOLDER --driveway PROGRAM [--kills N] [--life MILLISECONDS] [--seed N] [--load NAME]... [--without
 * NAME]...
 *
 * With FOLDER, on the drive that is mapped there, which is left as the programs leave it; DRIVEWAY_RUNTIME_DIR says
 * where its service is. Otherwise a drive is mapped and unmapped. Works in a folder of its own below the working
 * directory: the mirrored folder of a local drive, the mount point. The runtime folder is below /tmp, as a socket's
 * path is short. Exit status 0: nobody noticed anything and requests were under way when the service died; 1:
 * otherwise; 2: wrong use; 77: the drive cannot be mapped on that transport here.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "survival.h"

#define EXIT_SKIPPED  77
#define STALL_SECONDS 60 /* no load did anything for so long: the drive hangs */
#define RESTART_MS    20000
#define OPTIONS_MAX   8
#define STATUS_ROOM   65536

struct arguments {
	const char *driveway;
	uint64_t kills;
	uint32_t life; /* milliseconds, see struct killer */
	const char *transport;
	const char *drive;
	const char *options[OPTIONS_MAX];
	int option_count;
	const char *only[LOADS_MAX];
	int only_count;
	const char *without[LOADS_MAX];
	int without_count;
	const char *mapped; /* folder of a drive; NULL: map one */
	uint64_t seed;
};

struct shared {
	_Atomic bool stop;
	struct load loads[LOADS_MAX];
};

struct session {
	const struct arguments *arguments;
	char base[PATH_MAX - 64];
	char runtime[64];
	char target[PATH_MAX];
	struct shared *shared;
	pid_t pids[LOADS_MAX];
	int load_count;
	struct killer killer;
	bool mapped;
};

/* Run the driveway command; what it says goes to text. Returns its exit status. */
static int run_driveway(const struct session *session, char *text, size_t room, const char *const *words)
{
	const char *line[32] = {session->arguments->driveway};
	int pipes[2], status = -1, count = 1;
	size_t got = 0;
	pid_t pid;

	while (*words && count < 31)
		line[count++] = *words++;
	line[count] = NULL;
	if (pipe2(pipes, O_CLOEXEC) != 0)
		return -1;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		execv(line[0], (char *const *)(uintptr_t)line);
		dprintf(2, "%s: %s\n", line[0], strerror(errno));
		_exit(127);
	}
	close(pipes[1]);
	while (pid > 0 && got < room - 1) {
		ssize_t n = read(pipes[0], text + got, room - 1 - got);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	text[got] = 0;
	close(pipes[0]);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		return WEXITSTATUS(status);
	return -1;
}

/* The sum of all numbers named key in a JSON text, or -1 if there is none. */
static int64_t json_sum(const char *text, const char *key)
{
	char quoted[64];
	int64_t sum = -1;

	snprintf(quoted, sizeof(quoted), "\"%s\"", key);
	for (const char *at = strstr(text, quoted); at; at = strstr(at + 1, quoted)) {
		const char *value = at + strlen(quoted);

		value += strspn(value, " \t\n:");
		if (*value >= '0' && *value <= '9')
			sum = (sum < 0 ? 0 : sum) + strtoll(value, NULL, 10);
	}
	return sum;
}

static bool status_text(const struct session *session, char *text)
{
	static const char *const words[] = {"status", "--json", NULL};

	for (int tries = 0; tries < 5; tries++) {
		if (run_driveway(session, text, STATUS_ROOM, words) == 0)
			return true;
		usleep(200000);
	}
	printf("survival: driveway status says: %s\n", text);
	return false;
}

static int map_drive(struct session *session)
{
	static char text[STATUS_ROOM];
	const struct arguments *arguments = session->arguments;
	char source[PATH_MAX + 16], transport[64], mirrored[PATH_MAX];
	const char *words[8 + 2 * OPTIONS_MAX] = {"map", session->target, source, "-o", transport};
	int count = 5;

	snprintf(transport, sizeof(transport), "transport=%s", arguments->transport);
	snprintf(mirrored, sizeof(mirrored), "%s/mirrored", session->base);
	if (strcmp(arguments->drive, "memory") == 0)
		snprintf(source, sizeof(source), "memory:");
	else if (mkdir(mirrored, 0700) == 0)
		snprintf(source, sizeof(source), "local:%s", mirrored);
	else
		return 1;
	for (int i = 0; i < arguments->option_count; i++) {
		words[count++] = "-o";
		words[count++] = arguments->options[i];
	}
	if (run_driveway(session, text, sizeof(text), words) != 0) {
		printf("survival: driveway map says: %s", text);
		return 1;
	}
	session->mapped = true;
	if (!status_text(session, text))
		return 1;
	snprintf(source, sizeof(source), "\"%s\"", arguments->transport);
	if (!strstr(text, source)) {
		printf("skipped: the drive is not on transport %s here: %s\n", arguments->transport, text);
		return EXIT_SKIPPED;
	}
	return 0;
}

static bool is_among(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static bool wanted(const struct arguments *arguments, const char *name)
{
	return (arguments->only_count == 0 || is_among(arguments->only, arguments->only_count, name)) &&
	       !is_among(arguments->without, arguments->without_count, name);
}

static _Noreturn void load_process(struct session *session, struct load *load, const struct load_kind *kind)
{
	char folder[PATH_MAX];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(folder, sizeof(folder), "%.3000s/%s", session->target, kind->name);
	if (mkdir(folder, 0700) != 0 || chdir(folder) != 0)
		load_wrong(load, "its folder");
	else
		kind->run(load);
	fflush(stdout);
	_exit(0);
}

static void start_loads(struct session *session, const struct load_kind *kinds)
{
	for (const struct load_kind *kind = kinds; kind->name && session->load_count < LOADS_MAX; kind++) {
		struct load *load = &session->shared->loads[session->load_count];

		if (!wanted(session->arguments, kind->name))
			continue;
		load->name = kind->name;
		load->stop = &session->shared->stop;
		load->state = session->arguments->seed + (uint64_t)session->load_count * 1000003;
		fflush(NULL);
		session->pids[session->load_count] = fork();
		if (session->pids[session->load_count] == 0)
			load_process(session, load, kind);
		session->load_count++;
	}
}

static uint64_t operations_of(const struct session *session)
{
	uint64_t sum = 0;

	for (int i = 0; i < session->load_count; i++)
		sum += session->shared->loads[i].operations;
	return sum;
}

static uint64_t errors_of(const struct session *session)
{
	uint64_t sum = 0;

	for (int i = 0; i < session->load_count; i++)
		sum += session->shared->loads[i].errors;
	return sum;
}

static time_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static int kill_all(struct session *session)
{
	uint64_t before = operations_of(session);
	time_t moved = seconds_now();

	while (session->killer.kills < session->arguments->kills && !errors_of(session)) {
		int error = killer_strike(&session->killer, RESTART_MS);

		if (error) {
			printf("survival: after %" PRIu64 " kills %s\n", session->killer.kills,
			       error == -ESRCH ? "the keeper is gone" : "no new service came");
			return 1;
		}
		if (operations_of(session) != before) {
			before = operations_of(session);
			moved = seconds_now();
		} else if (seconds_now() - moved > STALL_SECONDS) {
			printf("survival: no program got an answer for %d s\n", STALL_SECONDS);
			return 1;
		}
	}
	return 0;
}

/* Let the loads finish and check what they left. A load that does not end hangs on the drive. */
static int end_loads(struct session *session)
{
	time_t deadline = seconds_now() + STALL_SECONDS;
	int failures = 0;

	session->shared->stop = true;
	for (int i = 0; i < session->load_count; i++) {
		int status = 0;
		pid_t got;

		while ((got = waitpid(session->pids[i], &status, WNOHANG)) == 0 && seconds_now() < deadline)
			usleep(10000);
		if (got == 0) {
			printf("survival: %s hangs\n", session->shared->loads[i].name);
			kill(session->pids[i], SIGKILL);
			failures++;
		} else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			printf("survival: %s ended with status %#x\n", session->shared->loads[i].name,
			       (unsigned)status);
			failures++;
		}
	}
	return failures;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int clean_up(struct session *session)
{
	static char text[STATUS_ROOM];
	const char *unmap[] = {"unmap", session->target, NULL};
	const char *force[] = {"unmap", "--force", session->target, NULL};
	int failures = 0;

	if (session->mapped && run_driveway(session, text, sizeof(text), unmap) != 0) {
		printf("survival: driveway unmap says: %s", text);
		failures = 1;
		if (run_driveway(session, text, sizeof(text), force) != 0)
			umount2(session->target, MNT_FORCE | MNT_DETACH);
		for (int i = 0; i < session->load_count; i++)
			waitpid(session->pids[i], NULL, 0);
	}
	if (session->base[0])
		nftw(session->base, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	nftw(session->runtime, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	return failures;
}

static void report(const struct session *session, int64_t replays)
{
	for (int i = 0; i < session->load_count; i++)
		printf("  %-10s %10" PRIu64 " operations, %" PRIu64 " errors\n", session->shared->loads[i].name,
		       session->shared->loads[i].operations, session->shared->loads[i].errors);
	printf("survival of %s over %s: %" PRIu64 " kills, %" PRIu64 " operations, %" PRIu64
	       " errors, %lld requests taken up, seed %" PRIu64 "\n",
	       session->arguments->mapped ? "a mapped drive" : session->arguments->drive,
	       session->arguments->mapped ? "its transport" : session->arguments->transport, session->killer.kills,
	       operations_of(session), errors_of(session), (long long)replays, session->arguments->seed);
}

static int run(struct session *session)
{
	static char text[STATUS_ROOM];
	int64_t replays_before, replays = -1;
	int result = session->arguments->mapped ? 0 : map_drive(session);

	if (result)
		return result;
	if (!status_text(session, text))
		return 1;
	session->killer.keeper_pid = (int)json_sum(text, "keeper_pid");
	if (session->killer.keeper_pid <= 0) {
		printf("survival: status names no keeper_pid: %s\n", text);
		return 1;
	}
	replays_before = json_sum(text, "replays");
	start_loads(session, data_loads);
	start_loads(session, name_loads);
	start_loads(session, saved_loads);
	result = kill_all(session);
	result += end_loads(session);
	if (status_text(session, text))
		replays = json_sum(text, "replays");
	report(session, replays - replays_before);
	if (replays_before < 0 || replays <= replays_before) {
		printf("survival: no request was under way when the service died: this proved nothing\n");
		result++;
	}
	return result + (errors_of(session) > 0);
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {
		{"kills", required_argument, NULL, 'k'},    {"transport", required_argument, NULL, 't'},
		{"drive", required_argument, NULL, 'd'},    {"seed", required_argument, NULL, 's'},
		{"driveway", required_argument, NULL, 'D'}, {"option", required_argument, NULL, 'o'},
		{"load", required_argument, NULL, 'l'},	    {"without", required_argument, NULL, 'w'},
		{"life", required_argument, NULL, 'L'},	    {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "k:t:d:s:D:o:l:w:L:", options, NULL)) != -1) {
		if (option == 'k')
			arguments->kills = strtoull(optarg, NULL, 10);
		else if (option == 'L')
			arguments->life = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 't')
			arguments->transport = optarg;
		else if (option == 'd')
			arguments->drive = optarg;
		else if (option == 's')
			arguments->seed = strtoull(optarg, NULL, 10);
		else if (option == 'D')
			arguments->driveway = optarg;
		else if (option == 'o' && arguments->option_count < OPTIONS_MAX)
			arguments->options[arguments->option_count++] = optarg;
		else if (option == 'l' && arguments->only_count < LOADS_MAX)
			arguments->only[arguments->only_count++] = optarg;
		else if (option == 'w' && arguments->without_count < LOADS_MAX)
			arguments->without[arguments->without_count++] = optarg;
		else
			return false;
	}
	if (optind < argc)
		arguments->mapped = argv[optind++];
	return optind == argc && arguments->driveway && arguments->kills && arguments->life &&
	       arguments->life < 100000 &&
	       (strcmp(arguments->drive, "memory") == 0 || strcmp(arguments->drive, "local") == 0);
}

int main(int argc, char **argv)
{
	struct arguments arguments = {.kills = 100, .life = 30, .transport = "plain", .drive = "memory"};
	struct session session = {.arguments = &arguments, .runtime = "/tmp/driveway-survival-XXXXXX"};
	int result;

	if (getrandom(&arguments.seed, 4, 0) != 4)
		arguments.seed = (uint64_t)getpid();
	if (!parse(argc, argv, &arguments)) {
		fprintf(stderr,
			"usage: survival --driveway PROGRAM [--kills N] [--transport plain|io_uring]\n"
			"                [--drive memory|local] [--seed N] [--option KEY=VALUE]... [--load NAME]...\n"
			"                [--without NAME]... [--life MILLISECONDS] [FOLDER]\n");
		return 2;
	}
	session.killer.state = arguments.seed * 2 + 1;
	session.killer.life = arguments.life;
	session.shared = mmap(NULL, sizeof(*session.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (session.shared == MAP_FAILED) {
		perror("survival");
		return 1;
	}
	if (arguments.mapped) {
		snprintf(session.target, sizeof(session.target), "%s", arguments.mapped);
		return run(&session) ? 1 : 0;
	}
	if (!getcwd(session.base, sizeof(session.base) - 32)) {
		perror("survival");
		return 1;
	}
	snprintf(session.base + strlen(session.base), 32, "/survival.XXXXXX");
	if (!mkdtemp(session.base)) {
		perror(session.base);
		return 1;
	}
	snprintf(session.target, sizeof(session.target), "%s/drive", session.base);
	if (mkdir(session.target, 0700) != 0 || !mkdtemp(session.runtime) ||
	    setenv("DRIVEWAY_RUNTIME_DIR", session.runtime, 1) != 0) {
		perror(session.base);
		return 1;
	}
	result = run(&session);
	if (result == EXIT_SKIPPED)
		return clean_up(&session) ? 1 : EXIT_SKIPPED;
	return result + clean_up(&session) ? 1 : 0;
}
