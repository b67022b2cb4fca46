/* SPDX-License-Identifier: MIT */
#include "cache/rows.h"

#include <errno.h>
#include <stdlib.h>

#define ROWS 8192u /* a power of two; pages of the table that nobody used take no memory */

struct remembered {
	uint64_t state; /* 0: free */
	struct node_row row;
};

struct rows {
	pthread_mutex_t lock;
	struct remembered table[ROWS];
};

int rows_start(struct rows **out)
{
	struct rows *rows = calloc(1, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	pthread_mutex_init(&rows->lock, NULL);
	*out = rows;
	return 0;
}

void rows_stop(struct rows *rows)
{
	pthread_mutex_destroy(&rows->lock);
	free(rows);
}

int rows_read(struct cache *cache, uint64_t id, struct node_row *out)
{
	struct rows *rows = cache->rows;
	struct remembered *place = &rows->table[id % ROWS];
	struct database_connection *connection;
	uint64_t state = database_state(cache->database);
	bool found = false;
	int ret;

	if (state) {
		pthread_mutex_lock(&rows->lock);
		found = place->state == state && place->row.id == id;
		if (found)
			*out = place->row;
		pthread_mutex_unlock(&rows->lock);
	}
	if (found)
		return 0;
	connection = database_glance(cache->database);
	ret = nodes_read(connection, id, out);
	database_read_end(connection);
	if (!ret && state) {
		pthread_mutex_lock(&rows->lock);
		*place = (struct remembered){.state = state, .row = *out};
		pthread_mutex_unlock(&rows->lock);
	}
	return ret;
}
