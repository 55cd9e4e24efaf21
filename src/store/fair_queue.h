/* src/store/fair_queue.h -- whose report starts next, in memory: of the user with the fewest
 * running; among equals, whose last start is longest ago (who never had one comes first); then the
 * oldest. A choice takes a time that grows with the logarithm of the number of waiting users, and
 * not with what they have queued. No thread may change it while another one looks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fair_queue;

struct fair_queue *fair_queue_new(void); /* NULL: no memory */
void fair_queue_free(struct fair_queue *queue);

/* What calls return: false: no memory, nothing has changed. */

/* A user's last start, as numbered by fair_queue_start() (0: none), and how many of the user's
 * reports may run (0: as many as fair_queue_next() says). Before anything else of the user. */
bool fair_queue_user(struct fair_queue *queue, int64_t user_id, int64_t turn, int running_limit);
/* A report of the type `name` is queued. `seq` is the order of reports of one user. */
bool fair_queue_add(struct fair_queue *queue, int64_t user_id, const char *name, int64_t seq);
/* It is not queued any more. */
void fair_queue_remove(struct fair_queue *queue, int64_t user_id, int64_t seq);
/* So many more of the user's reports run, or fewer. */
bool fair_queue_run(struct fair_queue *queue, int64_t user_id, int change);
/* The user has a start; returns its number. 0: no memory. */
int64_t fair_queue_start(struct fair_queue *queue, int64_t user_id);

/* Is nothing queued? */
bool fair_queue_is_empty(const struct fair_queue *queue);

/* May reports of that type start now? */
typedef bool fair_open_fn(void *context, const char *name);
/* The seq of the next report; 0: none may start. `running_limit` is that of users who have none of
 * their own; 0: no limit. `open`: NULL: all may. */
int64_t fair_queue_next(const struct fair_queue *queue, int running_limit, fair_open_fn *open,
                        void *context);

/* An estimate of how many reports start until this one, with it, if nothing is submitted and all
 * take equally long; 1 for one that is not queued. */
int64_t fair_queue_position(const struct fair_queue *queue, int64_t user_id, int64_t seq);
