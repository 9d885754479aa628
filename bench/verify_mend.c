/* Whether the ring has mended the disk that was emptied last: it lists the node with another one,
 * and no partition is still moving. */
#include <poll.h>

#include "bench/cpu.h"
#include "bench/verify.h"

#define MS        UINT64_C(1000000)
#define ASK_MS    300u
#define MENDED_MS 30000u /* After all else is healed. */
#define LOOK_MS   50

bool sgn_verify_mend_open(struct sgn_verify_mend *mend,
                          const struct sgn_verify *verify,
                          struct sgn_why *why)
{
    *mend = (struct sgn_verify_mend){.nodes = verify->options.nodes};
    return sgn_verify_client(verify, &mend->client, &mend->request, why);
}

void sgn_verify_mend_close(struct sgn_verify_mend *mend)
{
    sgn_request_destroy(mend->request);
    sgn_client_destroy(mend->client);
    *mend = (struct sgn_verify_mend){.node = 0};
}

/* By the map asked for last. */
static uint64_t disk_of(const struct sgn_verify_mend *mend, uint32_t node)
{
    struct sgn_map_info map = {.struct_bytes = sizeof(map)};
    (void)sgn_request_map_info(mend->request, &map);
    for (uint32_t i = 0; i < map.member_count; i++) {
        struct sgn_member_info member = {.struct_bytes = sizeof(member)};
        if (sgn_request_member(mend->request, i, &member) == SGN_OK && member.node == node) {
            return member.disk;
        }
    }
    return 0;
}

bool sgn_verify_mended(struct sgn_verify_mend *mend)
{
    struct sgn_map_info map = {.struct_bytes = sizeof(map)};
    sgn_request_map(mend->request, 0);
    sgn_request_set_timeout(mend->request, ASK_MS);
    bool mended = sgn_request_run(mend->request) == SGN_OK &&
                  sgn_request_map_info(mend->request, &map) == SGN_OK &&
                  map.member_count == mend->nodes &&
                  (mend->node == 0 || disk_of(mend, mend->node) != mend->disk);
    for (uint32_t i = 0; mended && i < map.partition_count; i++) {
        struct sgn_partition_info line = {.struct_bytes = sizeof(line)};
        mended = sgn_request_partition(mend->request, i, &line) == SGN_OK && !line.is_moving;
    }
    return mended;
}

void sgn_verify_mend_lost(struct sgn_verify_mend *mend, uint32_t node)
{
    mend->node = node;
    mend->disk = disk_of(mend, node);
}

bool sgn_verify_mend_wait(struct sgn_verify_mend *mend, struct sgn_why *why)
{
    uint64_t until_ns = sgn_bench_now_ns() + MENDED_MS * MS;
    bool mended = mend->node == 0 || sgn_verify_mended(mend);
    while (!mended && sgn_bench_now_ns() < until_ns) {
        (void)poll(NULL, 0, LOOK_MS);
        mended = sgn_verify_mended(mend);
    }
    if (!mended) {
        sgn_why_set(why,
                    "all is healed, but %u s later the partitions of node %u, which came back with "
                    "an empty disk, are not whole",
                    MENDED_MS / 1000,
                    mend->node);
    }
    return mended;
}
