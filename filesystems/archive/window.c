/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/window.h"

#include <string.h>

void window_open(struct window *window, struct space *space)
{
	window->space = space;
	window->offset = 0;
	window->size = 0;
}

bool window_read(struct window *window, void *buffer, size_t size, uint64_t offset)
{
	uint64_t end = window->offset + window->size;

	if (size > WINDOW_SIZE)
		return false;
	if (offset < window->offset || offset > end || size > end - offset) {
		/* A decoded space reads what it has; more of it would mean decoding. */
		bool near = offset >= window->offset && offset - window->offset < 2 * WINDOW_SIZE &&
			    space_size(window->space) != UINT64_MAX;

		window->offset = offset;
		window->size = 0;
		if (space_read(window->space, window->bytes, near ? WINDOW_SIZE : size, offset, false, NULL,
			       &window->size)) {
			window->size = 0;
			return false;
		}
		if (size > window->size)
			return false;
	}
	memcpy(buffer, window->bytes + (offset - window->offset), size);
	return true;
}
