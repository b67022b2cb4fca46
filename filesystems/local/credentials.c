/* SPDX-License-Identifier: MIT */
/*
 * credentials.c - making files as the one who asks
 *
 * A drive that others may use is served by a privileged process, and the kernel has checked by the modes
 * and ACLs that it shows whether the caller may do what he asks (default_permissions). What is left is that a
 * new file belongs to its caller and has the mode that it would have natively. So around each call
 * that makes a name, and only when the caller is not ourselves, this thread's file system ids become the
 * caller's (setfsuid, setfsgid: a thread's own, which is why the C library's wrappers are not needed). The host's
 * kernel then does owner, group, inheritance from set-group-id folders and default ACLs itself.
 *
 * The caller's supplementary groups are not known, so the host may refuse with EACCES what the drive's
 * kernel has allowed. Then the name is made with our own ids and given to the caller (credentials_give).
 *
 * The umask belongs to a process unless a thread takes its own (unshare(CLONE_FS)); each thread does so once, and
 * then sets it when a caller's differs from the last one's: usually never. The host applies it just where it has to:
 * not below a folder with a default ACL. Where unshare is forbidden the process keeps its umask, and the mode is masked
 * by hand (credentials_mode), in every folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "local.h"

#define UMASK_SHARED  UINT32_MAX
#define UMASK_REFUSED (UINT32_MAX - 1)

/* State of this thread, which is the kernel's idea of it and no more. */
static _Thread_local uint32_t thread_umask = UMASK_SHARED;

static void set_umask(uint32_t mask)
{
	if (thread_umask == mask || thread_umask == UMASK_REFUSED)
		return;
	if (thread_umask == UMASK_SHARED && unshare(CLONE_FS) != 0) {
		thread_umask = UMASK_REFUSED;
		return;
	}
	umask(mask);
	thread_umask = mask;
}

static bool is_other(const struct local *local, const struct dw_request *req)
{
	return local->privileged && req->uid != UINT32_MAX && (req->uid != local->uid || req->gid != local->gid);
}

void credentials_take(struct local *local, const struct dw_request *req, struct credentials *saved)
{
	set_umask(req->umask & 0777);
	saved->changed = is_other(local, req);
	if (saved->changed) {
		syscall(SYS_setfsgid, req->gid);
		syscall(SYS_setfsuid, req->uid);
	}
}

uint32_t credentials_mode(const struct dw_request *req, uint32_t mode)
{
	return thread_umask == UMASK_REFUSED ? mode & ~(req->umask & 0777u) : mode;
}

void credentials_restore(struct local *local, const struct credentials *saved)
{
	if (saved->changed) {
		syscall(SYS_setfsuid, local->uid);
		syscall(SYS_setfsgid, local->gid);
	}
}

int credentials_give(struct local *local, const struct dw_request *req, int folder, int fd, const char *name,
		     uint32_t mode)
{
	struct statx above, made;
	gid_t gid = req->gid;

	if (!is_other(local, req))
		return 0;
	if (local_statx(folder, "", &above) == 0 && (above.stx_mode & S_ISGID))
		gid = (gid_t)-1;
	if (fchownat(fd, name, req->uid, gid, AT_SYMLINK_NOFOLLOW | (name[0] == '\0' ? AT_EMPTY_PATH : 0)) != 0)
		return -errno;
	/* A change of owner clears these bits of a file. */
	mode &= (mode & S_IFMT) == S_IFREG && name[0] != '\0' ? S_ISUID | S_ISGID : 0;
	if (mode == 0)
		return 0;
	int err = local_statx(fd, name, &made);
	if (err == 0 && fchmodat(fd, name, (made.stx_mode & 07777) | mode, 0) != 0)
		err = -errno;
	return err;
}
