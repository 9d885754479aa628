/* Eight puts at a time, each starting the next from its callback, on the library's own thread. */
#include <signet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LANES         8
#define PUTS_PER_LANE 100

struct lane {
    int number, next;
    int failed;
    atomic_int *lanes_left;
};

static void lane_step(struct sgn_request *request, int err, void *user)
{
    struct lane *lane = user;
    char key[40];
    if (err != SGN_OK) {
        fprintf(stderr, "%s\n", sgn_request_error(request));
        lane->failed++;
    }
    while (lane->next < PUTS_PER_LANE) {
        snprintf(key, sizeof(key), "lane-%d/%d", lane->number, lane->next++);
        /* The value must stay until the request is done; a literal does. */
        sgn_request_put(request, sgn_text("default"), sgn_text(key), sgn_text("some value"));
        if (sgn_request_start(request, lane_step, lane) == SGN_OK) {
            return;
        }
        fprintf(stderr, "%s\n", sgn_request_error(request));
        lane->failed++;
    }
    atomic_fetch_sub(lane->lanes_left, 1);
}

int main(void)
{
    struct sgn_options *options = sgn_options_create();
    struct sgn_client *client = NULL;
    struct sgn_request *requests[LANES];
    struct lane lanes[LANES];
    atomic_int lanes_left = LANES;
    int failed = 0;
    if (options == NULL || sgn_options_load_env(options) != SGN_OK ||
        sgn_client_create(&client, options) != SGN_OK) {
        fprintf(stderr, "no client: %s\n", options == NULL ? "" : sgn_options_error(options));
        sgn_options_destroy(options);
        return 1;
    }
    sgn_options_destroy(options);
    for (int i = 0; i < LANES; i++) {
        lanes[i] = (struct lane){.number = i, .lanes_left = &lanes_left};
        requests[i] = sgn_request_create(client);
        if (requests[i] == NULL) {
            abort();
        }
        lane_step(requests[i], SGN_OK, &lanes[i]);
    }
    while (atomic_load(&lanes_left) > 0) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    for (int i = 0; i < LANES; i++) {
        failed += lanes[i].failed;
        sgn_request_destroy(requests[i]);
    }
    sgn_client_destroy(client);
    printf("%d puts, %d failed\n", LANES * PUTS_PER_LANE, failed);
    return failed == 0 ? 0 : 1;
}
