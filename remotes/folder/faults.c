/* SPDX-License-Identifier: MIT */
#include "faults.h"

#include <driveway/remote.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLAN_MAX    65536
#define ANY	    FAULT_OPERATIONS
#define MILLISECOND UINT64_C(1000000)

struct rule {
	enum fault_operation operation; /* or ANY */
	struct fault fault;
	bool delay;
	uint64_t after;
	uint64_t times; /* 0: without end */
	uint64_t seen;
};

struct plan {
	struct rule *rules;
	size_t count;
};

struct faults {
	pthread_mutex_t lock; /* guards what follows */
	struct plan fixed;    /* from options */
	struct plan watched;  /* from the file */
	char *path;
	struct timespec stamp;
	uint64_t inode;
	int64_t bytes;
};

static const char *const operations[FAULT_OPERATIONS] = {
	[FAULT_STAT] = "stat",
	[FAULT_LIST] = "list",
	[FAULT_READ] = "read",
	[FAULT_QUOTA] = "quota",
	[FAULT_CHANGES] = "changes",
	[FAULT_UPLOAD] = "upload",
	[FAULT_MKDIR] = "mkdir",
	[FAULT_MOVE] = "move",
	[FAULT_COPY] = "copy",
	[FAULT_REMOVE] = "remove",
	[FAULT_SET_PROPERTIES] = "set_properties",
	[FAULT_SESSION_BEGIN] = "session_begin",
	[FAULT_SESSION_PART] = "session_part",
	[FAULT_SESSION_PARTS] = "session_parts",
	[FAULT_SESSION_COMMIT] = "session_commit",
	[FAULT_SESSION_ABORT] = "session_abort",
};

static const struct {
	const char *name;
	int error;
	const char *text;
} errors[] = {
	{"OFFLINE", DW_REMOTE_OFFLINE, "the folder cannot be reached"},
	{"UNKNOWN", DW_REMOTE_UNKNOWN, "whether the change was made is not known"},
	{"LOGIN", DW_REMOTE_LOGIN, "somebody has to log in"},
	{"LATER", DW_REMOTE_LATER, "the folder is busy; try again later"},
	{"CHANGED", DW_REMOTE_CHANGED, "the item has changed meanwhile"},
	{"EXPIRED", DW_REMOTE_EXPIRED, "this session or position is no longer known"},
	{"TRASHED", DW_REMOTE_TRASHED, "the item is in the trash"},
	{"EACCES", -EACCES, "permission denied"},
	{"EPERM", -EPERM, "operation not permitted"},
	{"ENOENT", -ENOENT, "there is no such item"},
	{"EEXIST", -EEXIST, "the name is taken"},
	{"ENOTDIR", -ENOTDIR, "the item is no folder"},
	{"EISDIR", -EISDIR, "the item is a folder"},
	{"ENOTEMPTY", -ENOTEMPTY, "the folder is not empty"},
	{"EINVAL", -EINVAL, "the folder does not take this"},
	{"ENAMETOOLONG", -ENAMETOOLONG, "the name is too long"},
	{"ENOSPC", -ENOSPC, "there is no room"},
	{"EROFS", -EROFS, "the folder is read-only"},
	{"EFBIG", -EFBIG, "the file is too large for one upload"},
	{"E2BIG", -E2BIG, "too many or too large properties"},
	{"EBADMSG", -EBADMSG, "the bytes do not fit their digest"},
	{"EBUSY", -EBUSY, "the item is in use"},
	{"ELOOP", -ELOOP, "a folder cannot go into itself"},
	{"EPROTO", -EPROTO, "the answer makes no sense"},
	{"ETIMEDOUT", -ETIMEDOUT, "the time is over"},
	{"ECANCELED", -ECANCELED, "the call was cancelled"},
	{"ENOMEM", -ENOMEM, "out of memory"},
	{"EIO", -EIO, "input/output error"},
};

const char *fault_operation_name(enum fault_operation operation)
{
	return operations[operation];
}

const char *fault_error_text(int error)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].error == error)
			return errors[i].text;
	return "unexpected error";
}

int faults_open(struct faults **out)
{
	struct faults *faults = calloc(1, sizeof(*faults));

	if (faults == NULL)
		return -ENOMEM;
	if (pthread_mutex_init(&faults->lock, NULL) != 0) {
		free(faults);
		return -ENOMEM;
	}
	*out = faults;
	return 0;
}

void faults_close(struct faults *faults)
{
	if (faults == NULL)
		return;
	pthread_mutex_destroy(&faults->lock);
	free(faults->fixed.rules);
	free(faults->watched.rules);
	free(faults->path);
	free(faults);
}

static int parse_number(const char *text, uint64_t *out)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno != 0 || *end != '\0' || *out > UINT64_MAX / MILLISECOND ? -EINVAL : 0;
}

static int parse_operation(const char *word, enum fault_operation *out)
{
	*out = ANY;
	if (strcmp(word, "*") == 0)
		return 0;
	for (int i = 0; i < FAULT_OPERATIONS; i++) {
		if (strcmp(word, operations[i]) == 0) {
			*out = (enum fault_operation)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_what(const char *word, struct rule *rule)
{
	struct fault *fault = &rule->fault;

	fault->when = FAULT_BEFORE;
	if (strcmp(word, "delay") == 0) {
		rule->delay = true;
		return 0;
	}
	if (strncmp(word, "done-", 5) == 0) {
		fault->when = FAULT_DONE;
		word += 5;
	} else if (strcmp(word, "middle-crash") == 0) {
		fault->when = FAULT_MIDDLE;
		word += 7;
	}
	fault->crash = strcmp(word, "crash") == 0;
	if (fault->crash)
		return 0;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (strcmp(word, errors[i].name) == 0) {
			fault->error = errors[i].error;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_key(char *word, struct rule *rule)
{
	char *equals = strchr(word, '=');
	uint64_t number;

	if (equals == NULL || parse_number(equals + 1, &number) != 0)
		return -EINVAL;
	*equals = '\0';
	if (strcmp(word, "after") == 0) {
		rule->after = number;
	} else if (strcmp(word, "times") == 0) {
		rule->times = number;
	} else if (strcmp(word, "bytes") == 0) {
		rule->fault.partial = true;
		rule->fault.bytes = number;
	} else if (strcmp(word, "ms") == 0) {
		rule->fault.delay = rule->delay ? number * MILLISECOND : 0;
		rule->fault.retry = number * MILLISECOND;
	} else {
		return -EINVAL;
	}
	return 0;
}

/* One rule; line is cut up. */
static int parse_rule(char *line, bool delay, struct rule *rule)
{
	char *word = strsep(&line, ":");
	int err;

	*rule = (struct rule){.times = 1, .delay = delay};
	err = parse_operation(word, &rule->operation);
	word = strsep(&line, ":");
	if (err != 0 || word == NULL)
		return -EINVAL;
	if (delay) {
		err = parse_number(word, &rule->fault.delay);
		rule->fault.delay *= MILLISECOND;
		rule->times = 0;
	} else {
		err = parse_what(word, rule);
	}
	while (err == 0 && (word = strsep(&line, ":")) != NULL)
		err = parse_key(word, rule);
	return err;
}

static int plan_add(struct plan *plan, const char *text, bool delay)
{
	char *copy = strdup(text);
	char *rest = copy;
	char *line;
	int err = 0;

	if (copy == NULL)
		return -ENOMEM;
	while (err == 0 && (line = strsep(&rest, ";\n")) != NULL) {
		struct rule *more;

		if (line[0] == '\0' || line[0] == '#')
			continue;
		more = reallocarray(plan->rules, plan->count + 1, sizeof(*more));
		if (more == NULL) {
			err = -ENOMEM;
			break;
		}
		plan->rules = more;
		err = parse_rule(line, delay, &more[plan->count]);
		if (err == 0)
			plan->count++;
	}
	free(copy);
	return err;
}

int faults_add(struct faults *faults, const char *text, bool delay)
{
	int err;

	pthread_mutex_lock(&faults->lock);
	err = plan_add(&faults->fixed, text, delay);
	pthread_mutex_unlock(&faults->lock);
	return err;
}

int faults_watch(struct faults *faults, const char *path)
{
	char *copy = strdup(path);

	if (copy == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&faults->lock);
	free(faults->path);
	faults->path = copy;
	pthread_mutex_unlock(&faults->lock);
	return 0;
}

/* Read the file again where it has changed. */
static int plan_look(struct faults *faults)
{
	struct plan plan = {0};
	char *text = NULL;
	struct stat state;
	ssize_t got = 0;
	int err = 0;
	int fd;

	fd = open(faults->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		faults->watched.count = 0;
		faults->inode = 0;
		return errno == ENOENT ? 0 : -errno;
	}
	if (fstat(fd, &state) != 0) {
		err = -errno;
		goto out;
	}
	if (state.st_ino == faults->inode && state.st_size == faults->bytes &&
	    state.st_mtim.tv_sec == faults->stamp.tv_sec && state.st_mtim.tv_nsec == faults->stamp.tv_nsec)
		goto out;
	text = malloc(PLAN_MAX + 1);
	if (text == NULL) {
		err = -ENOMEM;
		goto out;
	}
	got = read(fd, text, PLAN_MAX);
	if (got < 0) {
		err = -errno;
		goto out;
	}
	text[got] = '\0';
	err = plan_add(&plan, text, false);
	if (err != 0) {
		free(plan.rules);
		goto out;
	}
	free(faults->watched.rules);
	faults->watched = plan;
	faults->inode = state.st_ino;
	faults->bytes = state.st_size;
	faults->stamp = state.st_mtim;
out:
	free(text);
	close(fd);
	return err;
}

static void plan_apply(struct plan *plan, enum fault_operation operation, struct fault *out)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct rule *rule = &plan->rules[i];
		uint64_t number;
		bool due;

		if (rule->operation != ANY && rule->operation != operation)
			continue;
		number = rule->seen++;
		due = number >= rule->after && (rule->times == 0 || number - rule->after < rule->times);
		if (due && rule->delay) {
			out->delay += rule->fault.delay;
		} else if (due && out->when == FAULT_NEVER) {
			uint64_t delay = out->delay;

			*out = rule->fault;
			out->delay = delay;
		}
	}
}

int faults_next(struct faults *faults, enum fault_operation operation, struct fault *out)
{
	int err = 0;

	*out = (struct fault){0};
	pthread_mutex_lock(&faults->lock);
	if (faults->path != NULL)
		err = plan_look(faults);
	if (err == 0) {
		plan_apply(&faults->fixed, operation, out);
		plan_apply(&faults->watched, operation, out);
	}
	pthread_mutex_unlock(&faults->lock);
	return err;
}
