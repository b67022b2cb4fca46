/* SPDX-License-Identifier: MIT */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "restart.h"

void start_child(struct world *w)
{
	w->child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (w->child == 0) {
		child_main(w);
	}
	assert_true(w->child > 0);
}

void kill_child(struct world *w)
{
	kill(w->child, SIGKILL);
	waitpid(w->child, NULL, 0);
	close_range((unsigned)w->first_fd, KEPT_LOW - 1, 0);
	w->kills++;
}

unsigned draw(struct world *w, unsigned below)
{
	w->random = w->random * 1103515245u + 12345u;
	return (w->random >> 8) % below;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Have the command done; now and then by several processes. */
struct command *perform(struct world *w)
{
	struct command *c = w->command;
	uint32_t flags = 0;

	w->operations++;
	memset(&c->entry, 0xff, sizeof(c->entry));
	test_request(&c->request, 0);
	c->request.request.id = w->operations;
	for (;;) {
		bool deadly = w->kills < w->wanted_kills && draw(w, 3) == 0;
		uint64_t moment = now() + draw(w, 40000);

		c->request.request.flags = flags;
		atomic_store(&c->state, 1);
		while (atomic_load(&c->state) != 2) {
			if (deadly && now() >= moment)
				break;
			if (waitpid(w->child, NULL, WNOHANG) == w->child)
				fail_msg("the process died by itself in operation %d", c->op);
			if (!deadly)
				sched_yield();
		}
		if (atomic_load(&c->state) == 2 && !(deadly && draw(w, 4) == 0))
			return c;
		kill_child(w);
		bool answered = atomic_load(&c->state) == 2;
		if (!answered)
			w->kills_in_flight++;
		/* The next one begins when its request is complete again. */
		atomic_store(&c->state, 0);
		if (answered) {
			start_child(w);
			return c;
		}
		flags = DW_REQUEST_REPLAYED;
		start_child(w);
	}
}
