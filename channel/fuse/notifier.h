/* SPDX-License-Identifier: MIT */
/*
 * notifier.h - messages to the kernel that we begin: what it shall forget, and who shall look at a file again
 *
 * Sending one can block until a request on the same folder or file is answered (the kernel takes its locks), so
 * messages are queued and sent in order by a thread of their own, which starts with the first message. It has them
 * delivered by a process of their own (courier.h).
 *
 * The queue lies in the drive's region, so a message that was queued is sent whatever happens to this process: the next
 * one finds it and sends it. A message that was being sent when the process died is sent twice, which does no harm: the
 * kernel then forgets what it has just learnt, or finds nothing to forget.
 *
 *    region_notices:   | sent | start: the oldest that waits | ... | end: room for the next |
 *
 *    append   the message is written at end, then end moves on
 *    sent     start moves on; where it meets end, both go back to 0, end first, so that a death between the
 *             two leaves start behind end, which means nothing waits
 *
 *    message life:   append -> waits -> being sent -> gone
 *                                ^          |
 *                                +--- ENOMEM, no courier: after a pause, up to some times
 *
 * Any other error means that there is nothing to forget: the kernel does not know the name or file (ENOENT), a folder
 * that is said to be deleted is in use (EBUSY, ENOTEMPTY), or the drive is going away.
 *
 * A notifier lives from before the file system is opened until after it is closed, and takes messages all that time.
 * They are sent while a channel serves. One notifier a region at a time.
 *
 * Threads: all functions from any thread; serve and stop not at the same time. Its lock is a leaf.
 */
#ifndef CHANNEL_FUSE_NOTIFIER_H
#define CHANNEL_FUSE_NOTIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include "region.h"

struct notifier;

/* Takes up what an earlier process left in region, which stays the caller's. -ENOMEM. */
int notifier_create(struct notifier **out, struct region *region);
/* Not while it serves. What waits stays in the region. NULL is fine. */
void notifier_destroy(struct notifier *notifier);

/* The drive answers: send what waits and what comes. */
void notifier_serve(struct notifier *notifier, int fuse_fd);
/* Wait up to milliseconds until nothing waits any more. -ETIMEDOUT. */
int notifier_drain(struct notifier *notifier, int milliseconds);
/* Stop sending; what waits is kept. -ETIMEDOUT after milliseconds: the message under way does not come back. */
int notifier_stop(struct notifier *notifier, int milliseconds);

/* The parts of dw_host that are messages. -ENOMEM (too many wait), -EINVAL (no name, or one that is too long). */
int notifier_invalidate_node(struct notifier *notifier, uint64_t node, uint64_t offset, uint64_t length);
int notifier_invalidate_entry(struct notifier *notifier, uint64_t parent, const char *name, bool expire_only);
int notifier_entry_deleted(struct notifier *notifier, uint64_t parent, uint64_t child, const char *name);
int notifier_poll_wake(struct notifier *notifier, uint64_t wake);

#endif
