/* SPDX-License-Identifier: MIT */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "filesystems/local/local.h"

static struct test_host *test_host_of(struct dw_host *host)
{
	return (struct test_host *)host;
}

static void host_log(struct dw_host *host, int level, const char *message)
{
	fprintf(stderr, "log %d: %s\n", level, message);
}

static int host_backing_open(struct dw_host *host, int fd, uint32_t *id)
{
	struct host_shared *shared = test_host_of(host)->shared;

	if (!shared->backing_wanted)
		return -EOPNOTSUPP;
	uint32_t fresh = __atomic_add_fetch(&shared->backing_last, 1, __ATOMIC_SEQ_CST);
	if (fresh >= HOST_BACKING_MAX)
		return -ENOMEM;
	__atomic_store_n(&shared->backing[fresh], 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&shared->backing_now, 1, __ATOMIC_SEQ_CST);
	*id = fresh;
	return 0;
}

static int host_backing_close(struct dw_host *host, uint32_t id)
{
	struct host_shared *shared = test_host_of(host)->shared;

	if (id >= HOST_BACKING_MAX || __atomic_exchange_n(&shared->backing[id], 0, __ATOMIC_SEQ_CST) == 0)
		return -ENOENT;
	__atomic_sub_fetch(&shared->backing_now, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int host_keep(struct dw_host *host, const char *name, uint64_t size, void **address, bool *fresh, int *fd)
{
	struct test_host *test = test_host_of(host);

	*fresh = test->region == NULL;
	if (test->region == NULL) {
		test->region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1,
				    0);
		if (test->region == MAP_FAILED)
			return -ENOSPC;
		test->region_size = size;
	}
	if (size != test->region_size)
		return -EINVAL;
	*address = test->region;
	return 0;
}

static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;

static int kept_fd_put(struct dw_host *host, uint64_t key, int fd)
{
	struct host_shared *shared = test_host_of(host)->shared;
	int slot = -1;

	for (int i = 0; i < HOST_KEPT_MAX; i++) {
		if (shared->kept[i].key == key)
			return -EEXIST;
		if (shared->kept[i].key == 0)
			slot = i;
	}
	if (slot < 0)
		return -ENFILE;
	/* High numbers are spared when a dead child's descriptors are closed. */
	shared->kept[slot].fd = fcntl(fd, F_DUPFD_CLOEXEC, 700);
	if (shared->kept[slot].fd < 0)
		return -errno;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	shared->kept[slot].key = key;
	return 0;
}

static int kept_fd_get(struct dw_host *host, uint64_t key, int *fd)
{
	struct host_shared *shared = test_host_of(host)->shared;

	for (int i = 0; i < HOST_KEPT_MAX; i++) {
		if (shared->kept[i].key == key) {
			*fd = dup(shared->kept[i].fd);
			return *fd < 0 ? -errno : 0;
		}
	}
	return -ENOENT;
}

static int kept_fd_drop(struct dw_host *host, uint64_t key)
{
	struct host_shared *shared = test_host_of(host)->shared;

	for (int i = 0; i < HOST_KEPT_MAX; i++) {
		if (shared->kept[i].key == key) {
			shared->kept[i].key = 0;
			close(shared->kept[i].fd);
			return 0;
		}
	}
	return -ENOENT;
}

static int host_kept_fd_put(struct dw_host *host, uint64_t key, int fd)
{
	pthread_mutex_lock(&kept_lock);
	int err = kept_fd_put(host, key, fd);
	pthread_mutex_unlock(&kept_lock);
	return err;
}

static int host_kept_fd_get(struct dw_host *host, uint64_t key, int *fd)
{
	pthread_mutex_lock(&kept_lock);
	int err = kept_fd_get(host, key, fd);
	pthread_mutex_unlock(&kept_lock);
	return err;
}

static int host_kept_fd_drop(struct dw_host *host, uint64_t key)
{
	pthread_mutex_lock(&kept_lock);
	int err = kept_fd_drop(host, key);
	pthread_mutex_unlock(&kept_lock);
	return err;
}

void test_host_make(struct test_host *host)
{
	*host = (struct test_host){
		.host = {.size = sizeof(host->host),
			 .log = host_log,
			 .backing_open = host_backing_open,
			 .backing_close = host_backing_close,
			 .keep = host_keep,
			 .kept_fd_put = host_kept_fd_put,
			 .kept_fd_get = host_kept_fd_get,
			 .kept_fd_drop = host_kept_fd_drop},
		.shared = mmap(NULL, sizeof(struct host_shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			       0),
	};
	if (host->shared == MAP_FAILED)
		abort();
}

void test_host_free(struct test_host *host)
{
	for (int i = 0; i < HOST_KEPT_MAX; i++) {
		if (host->shared->kept[i].key != 0)
			close(host->shared->kept[i].fd);
	}
	if (host->region != NULL)
		munmap(host->region, host->region_size);
	munmap(host->shared, sizeof(*host->shared));
}

struct dw_filesystem *test_open(struct test_host *host, const char *path, bool restarted)
{
	struct dw_source source = {.size = sizeof(source), .rest = path, .restarted = restarted};
	struct dw_filesystem *fs = NULL;
	char error[256] = "";
	int err = local_provider.open(&local_provider, &source, &host->host, &fs, error, sizeof(error));

	if (err != 0)
		fprintf(stderr, "open %s: %d %s\n", path, err, error);
	return fs;
}

const struct dw_request *test_request(struct test_request *request, uint32_t flags)
{
	*request = (struct test_request){.request = {.size = sizeof(request->request),
						     .id = 1,
						     .uid = geteuid(),
						     .gid = getegid(),
						     .pid = (uint32_t)getpid(),
						     .umask = 022,
						     .flags = flags}};
	request->request.notes = &request->notes;
	request->request.interrupted = &request->interrupted;
	return &request->request;
}
