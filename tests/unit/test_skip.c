#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdlib.h>

#include "ring/core/limits.h"
#include "ring/core/prng.h"
#include "ring/net/skip.h"

struct row {
    const char *bytes;
    size_t count;
    const char *says; /* NULL: passes. */
};
#define ROW(bytes, says)                                                                           \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, says                                                             \
    }

Test(skip, table)
{
    const struct row rows[] = {
        ROW("\x90", NULL),
        ROW("\x93\x00\x7f\xff", NULL),
        ROW("\x93\xc0\xc2\xc3", NULL),
        ROW("\x94\xcc\x01\xcd\x01\x02\xce\x01\x02\x03\x04\xcf\x01\x02\x03\x04\x05\x06\x07\x08",
            NULL),
        ROW("\x94\xd0\x81\xd1\x81\x02\xd2\x81\x02\x03\x04\xd3\x81\x02\x03\x04\x05\x06\x07\x08",
            NULL),
        ROW("\x93\xa0\xa3xyz\xd9\x02zz", NULL),
        ROW("\x92\xda\x00\x01x\xdb\x00\x00\x00\x01x", NULL),
        ROW("\x93\xc4\x01x\xc5\x00\x01x\xc6\x00\x00\x00\x01x", NULL),
        ROW("\xdc\x00\x01\x05", NULL),
        ROW("\xdd\x00\x00\x00\x01\x05", NULL),
        ROW("\x92\x05\x92\x01\xa1x", NULL),        /* A list in a field a newer sender added. */
        ROW("\x92\x05\x82\x01\x02\x03\x04", NULL), /* Or a map. */
        ROW("", "ends before"),
        ROW("\x05", "not an array"),
        ROW("\x81\x01\x02", "not an array"),
        ROW("\xa1x", "not an array"),
        ROW("\x92\x05", "announces more"),
        ROW("\x92\x05\xcd\x01", "ends inside"),
        ROW("\x92\xc4\x01\x01", "ends before"),
        ROW("\x91\x05\x06", "follows its last"),
        ROW("\x91\xa3xy", "announces more"),
        ROW("\x91\xc6\xff\xff\xff\xff", "announces more"),
        ROW("\xdd\x04\x00\x00\x00", "announces more"), /* The library would take 2 GiB for this. */
        ROW("\xdd\xff\xff\xff\xff", "announces more"),
        ROW("\x91\xdd\x04\x00\x00\x00", "announces more"),
        ROW("\x91\xdf\x80\x00\x00\x00\x00", "announces more"), /* Twice 2^31 passes 32 bits. */
        ROW("\x91\xdf\xff\xff\xff\xff\x00", "announces more"),
        ROW("\x91\x91\x91\x01", "too deep"),
        ROW("\x91\x81\x01\x80", "too deep"),
        ROW("\x91\xc1", "of a kind"),
        ROW("\x91\xca\x00\x00\x00\x00", "of a kind"),
        ROW("\x91\xd4\x01\x00", "of a kind"),
        ROW("\x91\xc7\x01\x00\x00", "of a kind"),
        ROW("\xdc\x00\x11\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01",
            "too many fields"),
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        /* On the heap at its exact size, so that a sanitizer sees a read behind it. */
        uint8_t *copy = malloc(rows[i].count + 1);
        memcpy(copy + 1, rows[i].bytes, rows[i].count);
        struct sgn_why why = {""};
        enum sgn_err err = sgn_skip_check(sgn_bytes_of(copy + 1, rows[i].count), &why);
        free(copy);
        cr_assert_eq(
            err, rows[i].says == NULL ? SGN_OK : SGN_ERR_PROTOCOL, "row %zu: %s", i, why.text);
        cr_assert(rows[i].says == NULL || strstr(why.text, rows[i].says) != NULL,
                  "row %zu: %s",
                  i,
                  why.text);
    }
}

Test(skip, items_in_all_are_bounded)
{
    uint8_t body[400] = {0x92, 0xdc, 0, 0};
    for (uint32_t inner = 0; inner < 130; inner++) {
        body[3] = (uint8_t)inner;
        memset(body + 4, 0x01, sizeof(body) - 4);
        enum sgn_err err = sgn_skip_check(sgn_bytes_of(body, 4 + inner + 1), NULL);
        cr_assert_eq(err == SGN_OK, inner + 2 <= SGN_SKIP_ITEMS_MAX, "%u", inner);
    }
}

/* Whatever passes, the library reads whole and without growing past a small zone. */
Test(skip, what_passes_the_library_reads)
{
    static const uint8_t FIRSTS[] = {0x90, 0x91, 0x92, 0x93, 0x95, 0x9f, 0xdc, 0xdd};
    static const uint8_t COMMON[] = {
        0x00, 0x01, 0x02, 0x91, 0x81, 0xa1, 0xc0, 0xc4, 0xd9, 0xcc, 0xdc};
    struct sgn_prng prng = {.state = 3};
    uint32_t passed = 0;
    for (uint32_t round = 0; round < 300000; round++) {
        uint8_t body[24];
        size_t count = 1 + sgn_prng_below(&prng, sizeof(body));
        body[0] = FIRSTS[sgn_prng_below(&prng, sizeof(FIRSTS))];
        for (size_t i = 1; i < count; i++) {
            body[i] = sgn_prng_chance(&prng, 800) ? COMMON[sgn_prng_below(&prng, sizeof(COMMON))]
                                                  : (uint8_t)sgn_prng_next(&prng);
        }
        if (sgn_skip_check(sgn_bytes_of(body, count), NULL) != SGN_OK) {
            continue;
        }
        passed++;
        msgpack_unpacked unpacked;
        msgpack_unpacked_init(&unpacked);
        size_t offset = 0;
        cr_assert_eq(msgpack_unpack_next(&unpacked, (const char *)body, count, &offset),
                     MSGPACK_UNPACK_SUCCESS);
        cr_assert_eq(offset, count);
        cr_assert_eq(unpacked.data.type, MSGPACK_OBJECT_ARRAY);
        msgpack_unpacked_destroy(&unpacked);
    }
    cr_assert_gt(passed, 1000u, "only %u passed: the test tests little", passed);
}
