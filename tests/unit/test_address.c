/* Addresses, who may listen on them, and the table of peers behind them; nothing is sent. */
#include <criterion/criterion.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "ring/net/address.h"
#include "ring/net/listener.h"
#include "ring/net/peers.h"

Test(address, table)
{
    const struct {
        const char *text;
        const char *says; /* NULL: good, and formats back to itself. */
    } rows[] = {
        {"127.0.0.1:7301", NULL},
        {"[::1]:7301", NULL},
        {"0.0.0.0:0", NULL},
        {"[fe80::1:2]:65535", NULL},
        {"", "port is missing"},
        {"127.0.0.1", "port is missing"},
        {"localhost:1", "not looked up"},
        {"127.0.0.1:", "must be a number"},
        {"127.0.0.1:65536", "must be a number"},
        {"127.0.0.1:-1", "must be a number"},
        {"127.0.0.1: 1", "must be a number"},
        {"127.0.0.1:000001", "must be a number"},
        {"::1:7301", "not looked up"},
        {"[::1:7301", "write"},
        {"[127.0.0.1]:1", "IPv6"},
        {":80", "not looked up"},
        {"[:1", "write"},
        {"[]:1", "IPv6"},
        {"1.2.3.4.5:1", "not looked up"},
        {"[::1]x:1", "write"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1", "write"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sgn_address address;
        struct sgn_why why = {""};
        enum sgn_err err = sgn_address_parse(rows[i].text, &address, &why);
        cr_assert_eq(err, rows[i].says == NULL ? SGN_OK : SGN_ERR_CONFIG, "%s", rows[i].text);
        char text[SGN_ADDRESS_TEXT_BYTES];
        if (rows[i].says == NULL) {
            sgn_address_format(&address, text);
            cr_assert_str_eq(text, rows[i].text);
        } else {
            cr_assert(strstr(why.text, rows[i].says) != NULL, "%s: %s", rows[i].text, why.text);
        }
    }
}

static void accepted(int fd, const struct sgn_address *from, void *user)
{
    (void)from;
    (void)user;
    (void)close(fd);
}

Test(listener, refusals_say_why)
{
    struct event_base *base = event_base_new();
    struct sgn_listener *first = NULL;
    struct sgn_listener *second = NULL;
    struct sgn_why why = {""};
    struct sgn_address any;
    cr_assert_eq(sgn_address_parse("127.0.0.1:0", &any, NULL), SGN_OK);
    cr_assert_eq(sgn_listener_create(base, &any, accepted, NULL, &first, &why), SGN_OK);
    cr_assert_neq(sgn_address_port(sgn_listener_address(first)), 0);
    cr_assert_eq(
        sgn_listener_create(base, sgn_listener_address(first), accepted, NULL, &second, &why),
        SGN_ERR_IN_USE);
    cr_assert(second == NULL && strstr(why.text, "another program does already") != NULL);
    struct sgn_address strange;
    cr_assert_eq(sgn_address_parse("192.0.2.1:0", &strange, NULL), SGN_OK);
    cr_assert_eq(sgn_listener_create(base, &strange, accepted, NULL, &second, &why),
                 SGN_ERR_CONFIG);
    cr_assert(strstr(why.text, "no such address") != NULL, "%s", why.text);
    sgn_listener_destroy(first);
    event_base_free(base);
}

/* More peers than a few, added and removed in an order that shifts the table. */
Test(peers, table_of_many)
{
    struct event_base *base = event_base_new();
    struct sgn_wire *wire = sgn_wire_create(base);
    static const struct sgn_peers_events NEVER;
    struct sgn_hello self = {.ring = "test", .node = 1};
    struct sgn_peers *peers = sgn_peers_create(wire, &self, &NEVER, NULL, 9);
    struct sgn_address at;
    cr_assert_eq(sgn_address_parse("127.0.0.1:1", &at, NULL), SGN_OK);
    for (uint32_t id = 2; id < 2 + SGN_NODES_MAX; id++) {
        cr_assert_eq(sgn_peers_add(peers, id * 7, &at), SGN_OK);
    }
    cr_assert_eq(sgn_peers_add(peers, 8, &at), SGN_ERR_INVALID, "one too many");
    for (uint32_t id = 2; id < 2 + SGN_NODES_MAX; id += 2) {
        sgn_peers_remove(peers, id * 7);
    }
    for (uint32_t id = 3; id < 2 + SGN_NODES_MAX; id += 2) { /* Found again, not added anew. */
        cr_assert_eq(sgn_peers_add(peers, id * 7, &at), SGN_OK);
    }
    for (uint32_t i = 0; i < SGN_NODES_MAX / 2; i++) {
        cr_assert_eq(sgn_peers_add(peers, 100000 + i, &at), SGN_OK, "%u", i);
    }
    cr_assert_eq(sgn_peers_add(peers, 8, &at), SGN_ERR_INVALID);
    sgn_peers_destroy(peers);
    sgn_wire_destroy(wire);
    event_base_free(base);
}
