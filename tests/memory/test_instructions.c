/* SPDX-License-Identifier: MIT */
/*
 * Death of the process at any instruction. A child runs one operation instruction by instruction. What its memory holds
 * after an instruction is what a kill there would leave: it is copied, opened, checked, and the request replayed
 * with its notes. The drive must then be as if nothing had happened, whatever the instruction.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filesystems/memory/memory.h"
#include "tests/memory/check.h"
#include "tests/memory/slot.h"

#define STATES_PER_STEP 150 /* about how many instructions of an operation are looked at */
#define DRIVE_SIZE	"8M"

/* A copy of the drive's memory as it is now. */
static void host_copy(struct host *to, const struct host *from)
{
	for (unsigned i = 0; i < from->count; i++) {
		const struct host_region *source = &from->regions[i];
		struct host_region *target = host_find(to, source->name);
		if (!target) {
			void *address;
			bool fresh;
			assert_int_equal(to->host.keep(&to->host, source->name, source->size, &address, &fresh, NULL),
					 0);
			target = host_find(to, source->name);
		}
		assert_int_equal(ftruncate(target->fd, 0), 0);
		assert_int_equal(ftruncate(target->fd, (off_t)target->size), 0);
		for (off_t start = 0, end;; start = end) {
			start = lseek(source->fd, start, SEEK_DATA);
			if (start < 0)
				break;
			end = lseek(source->fd, start, SEEK_HOLE);
			memcpy((char *)target->address + start, (char *)source->address + start, (size_t)(end - start));
		}
	}
}

/* Something to work on: files of several sizes, folders, links, orphans. */
static void populate(struct dw_filesystem *fs, uint64_t seed, unsigned steps)
{
	struct request r;

	for (unsigned i = 0; i < steps; i++) {
		struct step step = step_random(fs, STEP_COUNT, &seed);
		step_run(fs, request_new(&r), &step);
	}
}

static bool single_step(pid_t child)
{
	int status;

	assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

/* A child that stops before the step and after it. 0: this place does not let us trace. */
static pid_t start_traced(struct dw_filesystem *fs, struct slot *slot)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		raise(SIGSTOP);
		slot->result = (uint64_t)step_run(fs, &slot->request.req, &slot->step);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSTOPPED(status) ? child : 0;
}

static void finish_traced(pid_t child)
{
	int status;

	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
}

/* The memory as it is, in a process of its own time: recover, replay, compare. */
static void check_state(struct host *copy, const struct host *host, const struct slot *slot, uint64_t before,
			uint64_t after, int64_t result, bool atomic)
{
	struct request again = slot->request;

	host_copy(copy, host);
	struct dw_filesystem *fs = host_open(copy, NULL);
	check_drive(fs);
	uint64_t found = drive_fingerprint(fs);
	if (atomic && found != before && found != after)
		fail_msg("a state that is neither before nor after");
	again.req.notes = &again.notes;
	again.req.flags |= DW_REQUEST_REPLAYED;
	assert_int_equal(step_run(fs, &again.req, &slot->step), result);
	check_drive(fs);
	assert_int_equal(drive_fingerprint(fs), after);
	fs->ops->close(fs);
}

/* These are more than one transaction. */
static bool is_atomic(enum step_kind kind)
{
	switch (kind) {
	case STEP_WRITE:
	case STEP_WRITE_LARGE:
	case STEP_TRUNCATE:
	case STEP_ALLOCATE:
	case STEP_PUNCH:
	case STEP_COPY:
		return false;
	default:
		return true;
	}
}

static void step_through(enum step_kind kind, uint64_t seed)
{
	struct host host, copy, model;
	struct slot *slot = slot_create();
	struct request r;
	unsigned instructions = 0, checked = 0;

	host_create(&host);
	host_create(&copy);
	host_create(&model);
	struct dw_filesystem *fs = host_open(&host, "size", DRIVE_SIZE, NULL);
	populate(fs, seed, 120);
	for (int i = 0; i < 40 && kind == STEP_REMOVEXATTR; i++) {
		slot->step = step_random(fs, STEP_SETXATTR, &seed);
		step_run(fs, request_new(&r), &slot->step);
	}

	/* A step that does something, and what it leads to. */
	uint64_t before = drive_fingerprint(fs), after;
	int64_t result;
	unsigned tries = 0;
	do {
		assert_true(tries++ < 400);
		slot->step = step_random(fs, kind, &seed);
		host_copy(&model, &host);
		struct dw_filesystem *peaceful = host_open(&model, NULL);
		result = step_run(peaceful, request_new(&r), &slot->step);
		after = drive_fingerprint(peaceful);
		peaceful->ops->close(peaceful);
	} while (result < 0 || (after == before && tries < 200));

	slot->request = (struct request){.req = *request_new(&r)};
	slot->request.req.notes = &slot->request.notes;
	pid_t child = start_traced(fs, slot);
	if (!child) {
		print_message("ptrace is not permitted here\n");
		skip();
	}
	for (uint64_t next = 0; single_step(child); instructions++) {
		if (instructions < next)
			continue;
		check_state(&copy, &host, slot, before, after, result, is_atomic(kind));
		checked++;
		/* Closer at first, as most operations are short; random, to hit all kinds of instructions. */
		next = instructions + 1 + random_next(&seed) % (20 + instructions / (STATES_PER_STEP / 8));
	}
	assert_int_equal(slot->result, (uint64_t)result);
	check_state(&copy, &host, slot, before, after, result, is_atomic(kind));
	finish_traced(child);
	print_message("kind %d: %u instructions, %u states\n", (int)kind, instructions, checked);
	assert_true(checked > 10);
	fs->ops->close(fs);
	host_destroy(&host);
	host_destroy(&copy);
	host_destroy(&model);
	munmap(slot, sizeof(*slot));
}

static void test_every_instruction(void **state)
{
	for (int kind = 0; kind < STEP_COUNT; kind++)
		step_through((enum step_kind)kind, 1000 + (uint64_t)kind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_instruction),
	};

	return cmocka_run_group_tests_name("memory: every instruction", tests, NULL, NULL);
}
