/* Ordered buckets as the client library speaks of them, against made-up nodes that share one record
 * per key: versions, conditions and their rejections, misuse, the modes of reads, the map. What
 * happens when tries are lost is in test_client_once.c. Plain main, for TSan. */
#include <string.h>

#include "client/signet.h"
#include "ring/core/map.h"
#include "tests/lib/client_help.h"
#include "tests/lib/fake_nodes.h"
#include "tests/lib/fake_ordered.h"

/* ---- Versions as text ------------------------------------------------------------------------ */

static void test_version_text(void)
{
    static const char *const good[] = {"0-0.0.0.0",
                                       "1-1.1.1.0",
                                       "12-6743a2b1c0000001.3ff.1.7",
                                       "1-ffffffffffffffff.ffffffff.ffffffff.ffffffff"};
    static const char *const bad[] = {"",
                                      "12",
                                      "12-",
                                      "0-1.0.0.0", /* Never written, yet written by somebody. */
                                      "1-0.0.0.0",
                                      "01-1.1.1.0",
                                      "1-01.1.1.0",
                                      "1-1.1.1",
                                      "1-1.1.1.",
                                      "1-1.1.1.0 ",
                                      "1-1.1.1.0.0",
                                      "1-1.1.1.G",
                                      "1-A.1.1.0",
                                      "-1-1.1.1.0",
                                      "18446744073709551616-1.1.1.0",
                                      "1-10000000000000000.1.1.0",
                                      "1-1.100000000.1.0",
                                      "1-1.1.100000000.0",
                                      "1-1.1.1.100000000"};
    struct sgn_key_version version;
    struct sgn_key_version kept;
    char text[SGN_KEY_VERSION_TEXT_BYTES];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK_ERR(sgn_key_version_parse(&version, good[i]), SGN_OK);
        sgn_key_version_text(&version, text);
        CHECK(strcmp(text, good[i]) == 0);
    }
    CHECK_ERR(sgn_key_version_parse(&version, "12-6743a2b1c0000001.3.1.0"), SGN_OK);
    CHECK(sgn_key_version_rev(&version) == 12);
    kept = version;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_ERR(sgn_key_version_parse(&version, bad[i]), SGN_ERR_INVALID);
        CHECK(same(&version, &kept));
    }
}

/* ---- Three results --------------------------------------------------------------------------- */

static void test_conditions(struct sgn_client *client)
{
    struct sgn_request *request = sgn_request_create(client);
    CHECK_ERR(get_strict(request, "c"), SGN_ERR_NOT_FOUND);
    struct sgn_key_version never = version_of(request);
    CHECK(sgn_key_version_rev(&never) == 0);

    CHECK_ERR(put_if(request, "c", "one", IF_ABSENT, NULL), SGN_OK);
    struct sgn_key_version first = version_of(request);
    CHECK(sgn_key_version_rev(&first) == 1 && sgn_request_token(request)[0] == '\0');
    CHECK_ERR(put_if(request, "c", "two", IF_ABSENT, NULL), SGN_ERR_CONDITION);
    struct sgn_key_version met = version_of(request);
    CHECK(same(&met, &first) && sgn_request_token(request)[0] == '\0');
    CHECK(strstr(sgn_request_error(request), "condition") != NULL);
    CHECK_ERR(put_if(request, "c", "two", IF_VERSION, &never), SGN_ERR_CONDITION);
    CHECK_ERR(put_if(request, "c", "two", IF_VERSION, &first), SGN_OK);
    struct sgn_key_version second = version_of(request);
    CHECK(sgn_key_version_rev(&second) == 2);
    CHECK_ERR(put_if(request, "c", "three", IF_VERSION, &first), SGN_ERR_CONDITION);
    met = version_of(request);
    CHECK(same(&met, &second));

    CHECK_ERR(get_strict(request, "c"), SGN_OK);
    met = version_of(request);
    CHECK(same(&met, &second) && sgn_bytes_equal(sgn_request_value(request), sgn_text("two")));
    char text[SGN_KEY_VERSION_TEXT_BYTES];
    sgn_key_version_text(&second, text);
    CHECK(strcmp(sgn_request_version(request), text) == 0);
    CHECK(sgn_request_sibling_count(request) == 1 && sgn_request_context(request).count == 0);

    /* The version of another key never matches, and a text that is none is refused at once. */
    CHECK_ERR(put_if(request, "other", "x", IF_VERSION, &second), SGN_ERR_CONDITION);
    sgn_request_put(request, sgn_text(FAKE_BUCKET), sgn_text("c"), sgn_text("x"));
    CHECK_ERR(sgn_request_set_if_version_text(request, "two"), SGN_ERR_INVALID);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID);
    CHECK(strstr(sgn_request_error(request), "version") != NULL);

    CHECK_ERR(del_if(request, "c", IF_VERSION, &first), SGN_ERR_CONDITION);
    sgn_request_del(request, sgn_text(FAKE_BUCKET), sgn_text("c"));
    CHECK_ERR(sgn_request_set_if_version_text(request, text), SGN_OK);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK_ERR(get_strict(request, "c"), SGN_ERR_NOT_FOUND);
    struct sgn_key_version dead = version_of(request);
    CHECK(sgn_key_version_rev(&dead) == 3);
    CHECK_ERR(put_if(request, "c", "again", IF_VERSION, &dead), SGN_OK);
    CHECK_ERR(put_if(request, "c", "blind", BLIND, NULL), SGN_OK);
    met = version_of(request);
    CHECK(sgn_key_version_rev(&met) == 5);
    sgn_request_destroy(request);
}

static void test_misuse(struct sgn_client *client)
{
    struct sgn_request *request = sgn_request_create(client);
    struct sgn_key_version version;
    CHECK_ERR(sgn_key_version_parse(&version, "1-1.1.1.0"), SGN_OK);
    sgn_request_put(request, sgn_text("loose"), sgn_text("k"), sgn_text("v"));
    sgn_request_set_if_absent(request);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_NOT_ORDERED);
    CHECK(sgn_request_token(request)[0] == '\0');
    CHECK_ERR(sgn_request_key_version(request, &version), SGN_ERR_NOT_ORDERED);
    sgn_request_get(request, sgn_text("loose"), sgn_text("k"));
    sgn_request_set_read(request, SGN_READ_STRONG);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_NOT_STRONG);
    CHECK_ERR(put(request, "k", "v"), SGN_OK); /* An available bucket knows no versions. */
    CHECK_ERR(sgn_request_key_version(request, &version), SGN_ERR_NOT_ORDERED);

    sgn_request_put(request, sgn_text(FAKE_BUCKET), sgn_text("k"), sgn_text("v"));
    sgn_request_set_if_absent(request);
    sgn_request_set_if_version(request, &version);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID);
    CHECK(strstr(sgn_request_error(request), "one of") != NULL);
    sgn_request_get(request, sgn_text(FAKE_BUCKET), sgn_text("k"));
    sgn_request_set_if_absent(request);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID);
    sgn_request_del(request, sgn_text(FAKE_BUCKET), sgn_text("k"));
    sgn_request_set_at_least(request, &version);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID);
    static const char *const tokens[] = {"", "t1-", "t2-AAAA", "t1-AAAA", "t1-!", "hello"};
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        CHECK_ERR(sgn_request_resolve(request, tokens[i]), SGN_ERR_INVALID);
        CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID);
        CHECK(strstr(sgn_request_error(request), "token") != NULL);
    }
    sgn_request_destroy(request);
}

/* ---- Reads ----------------------------------------------------------------------------------- */

static void test_reads(void)
{
    struct sgn_client *client = client_of("read=strong");
    struct sgn_request *request = sgn_request_create(client);
    CHECK_ERR(put_if(request, "r", "hello", BLIND, NULL), SGN_OK);
    struct sgn_key_version written = version_of(request);
    CHECK_ERR(get_strict(request, "r"), SGN_OK);
    CHECK(atomic_load(&fake_read_mode) == SGN_READ_STRONG); /* The client's default. */
    sgn_request_get(request, sgn_text(FAKE_BUCKET), sgn_text("r"));
    sgn_request_set_read(request, SGN_READ_EVENTUAL);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK(atomic_load(&fake_read_mode) == SGN_READ_EVENTUAL);
    CHECK(sgn_request_explanation(request).count == 0);

    sgn_request_get(request, sgn_text(FAKE_BUCKET), sgn_text("r"));
    sgn_request_set_at_least(request, &written);
    sgn_request_set_explain(request);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK(atomic_load(&fake_read_mode) == SGN_READ_SESSION);
    struct sgn_bytes receipt = sgn_request_explanation(request);
    CHECK(memmem(receipt.ptr, receipt.count, "\"path\":\"fast\"", 13) != NULL);
    CHECK(sgn_bytes_equal(sgn_request_value(request), sgn_text("hello")));
    sgn_request_get(request, sgn_text(FAKE_BUCKET), sgn_text("r"));
    CHECK_ERR(sgn_request_set_at_least_text(request, "99-1.1.1.0"), SGN_OK);
    sgn_request_set_timeout(request, 300);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_UNAVAILABLE); /* The version got there. */
    sgn_request_get(request, sgn_text(FAKE_BUCKET), sgn_text("r"));
    CHECK_ERR(sgn_request_set_at_least_text(request, "x"), SGN_ERR_INVALID);

    sgn_request_stat(request, sgn_text(FAKE_BUCKET), sgn_text("r"));
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    struct sgn_key_version found = version_of(request);
    struct sgn_value_info info = {.struct_bytes = sizeof(info)};
    CHECK_ERR(sgn_request_sibling(request, 0, &info), SGN_OK);
    CHECK(same(&found, &written) && info.value_bytes == 5 && info.value.count == 0);
    CHECK(info.written_ms == 2000000 && strchr(info.dot, ':') != NULL);

    sgn_request_list(request, sgn_text(FAKE_BUCKET), sgn_text("r"));
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    struct sgn_item_info item = {.struct_bytes = sizeof(item)};
    CHECK_ERR(sgn_request_item(request, 0, &item), SGN_OK);
    CHECK(sgn_request_item_count(request) == 1 && item.value_bytes == 5 &&
          item.sibling_count == 1 && sgn_bytes_equal(item.key, sgn_text("r")));
    CHECK(atomic_load(&fake_read_mode) == SGN_READ_STRONG && sgn_request_list_end(request));

    /* What is no ordered answer is refused: the version is cut. */
    all_told(GARBAGE, 0);
    sgn_request_stat(request, sgn_text(FAKE_BUCKET), sgn_text("r"));
    sgn_request_set_timeout(request, 300);
    int err = sgn_request_run(request);
    all_told(ANSWER, 0);
    CHECK(err == SGN_ERR_PROTOCOL || err == SGN_ERR_NETWORK || err == SGN_ERR_UNAVAILABLE);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
}

/* ---- The map --------------------------------------------------------------------------------- */

static void test_map(struct sgn_client *client)
{
    struct sgn_request *request = sgn_request_create(client);
    struct sgn_map_info map = {.struct_bytes = sizeof(map)};
    struct sgn_witness_info witness = {.struct_bytes = sizeof(witness)};
    struct sgn_partition_info line = {.struct_bytes = sizeof(line)};
    CHECK_ERR(sgn_request_map_info(request, &map), SGN_ERR_INVALID);
    for (uint32_t i = 1; i <= 3; i++) {
        char address[32];
        snprintf(address, sizeof(address), "127.0.0.1:%u", 9000 + i);
        sgn_request_witness_add(request, sgn_text(address), 0);
        CHECK_ERR(sgn_request_run(request), SGN_OK);
        CHECK(sgn_request_witness_id(request) == i);
    }
    CHECK(atomic_load(&fake_map_change) == SGN_MAP_ADD_WITNESS);
    sgn_request_map(request, 0);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK_ERR(sgn_request_map_info(request, &map), SGN_OK);
    CHECK(map.version == 9 && map.partition_count == 64 && map.witness_count == 3);
    CHECK_ERR(sgn_request_witness(request, 2, &witness), SGN_OK);
    CHECK(witness.id == 3 && witness.groups == 64 &&
          strcmp(witness.address, "127.0.0.1:9003") == 0);
    CHECK_ERR(sgn_request_witness(request, 3, &witness), SGN_ERR_INVALID);
    CHECK_ERR(sgn_request_partition(request, 3, &line), SGN_OK);
    CHECK(line.epoch == 9 && line.fence_count == 1 && line.replica_count == 3 &&
          line.group_count == 3 && line.group[1] == 2 && !line.is_moving);
    CHECK(line.replicas[0].state == SGN_REPLICA_IN_SYNC && line.replicas[0].is_new &&
          line.replicas[1].state == SGN_REPLICA_CATCHING_UP &&
          line.replicas[2].state == SGN_REPLICA_OUT && !line.replicas[2].is_old);
    CHECK_ERR(sgn_request_partition(request, 64, &line), SGN_ERR_INVALID);

    sgn_request_witness_drop(request, 2);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK(atomic_load(&fake_map_change) == SGN_MAP_DROP_WITNESS &&
          atomic_load(&fake_map_what) == (SGN_WITNESS_BIT | 2));
    sgn_request_fence_force(request, 5);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK(atomic_load(&fake_map_change) == SGN_MAP_FORCE && atomic_load(&fake_map_what) == 5);
    sgn_request_fence_force(request, SGN_ALL_PARTITIONS);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK(atomic_load(&fake_map_what) == UINT64_MAX);
    sgn_request_group_size(request, 5);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK(atomic_load(&fake_map_change) == SGN_MAP_GROUP_SIZE && atomic_load(&fake_map_what) == 5);
    sgn_request_witness_add(request, sgn_text(""), 0);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID);

    /* An addition whose answer is lost is asked for again: an address is listed once. */
    all_told(HANG_UP, 1);
    sgn_request_witness_add(request, sgn_text("127.0.0.1:9004"), 0);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    all_told(ANSWER, 0);
    CHECK(sgn_request_witness_id(request) == 4 && atomic_load(&fake_witnesses) == 4);
    CHECK(receipt_of(request).tries > 1 && sgn_request_token(request)[0] == '\0');
    sgn_request_destroy(request);
}

int main(void)
{
    fakes_up();
    test_version_text();
    struct sgn_client *client = client_of("");
    test_conditions(client);
    test_misuse(client);
    test_map(client);
    sgn_client_destroy(client);
    test_reads();
    fakes_down();
    printf("5 groups of client tests on ordered buckets passed\n");
    return 0;
}
