#include "tests/unit/ordered_help.h"

#include <criterion/criterion.h>

void ordered_check(bool holds, const char *what)
{
    if (!holds) {
        cr_assert_fail("%s", what);
    }
}

struct sgn_request_id ordered_id(uint32_t number)
{
    struct sgn_request_id id = {{0}};
    memcpy(id.bytes, &number, sizeof(number));
    id.bytes[SGN_REQUEST_ID_BYTES - 1] = 0x5a;
    return id;
}

struct ordered_raw ordered_encoded(const struct sgn_ordered *record, bool with_body)
{
    struct ordered_raw raw;
    struct sgn_sink sink = sgn_sink_of(raw.bytes, sizeof(raw.bytes));
    sgn_ordered_encode(record, with_body, &sink);
    ordered_check(!sink.full && sink.count == sgn_ordered_bytes(record, with_body),
                  "says its size");
    raw.count = sink.count;
    return raw;
}

bool ordered_same_version(const struct sgn_version *a, const struct sgn_version *b)
{
    bool same = a->rev == b->rev && a->origin.hlc == b->origin.hlc &&
                a->origin.node == b->origin.node &&
                a->origin.incarnation == b->origin.incarnation && a->origin.step == b->origin.step;
    ordered_check(same == sgn_version_equal(a, b), "sgn_version_equal");
    return same;
}

static void check_same(const struct sgn_ordered *a, const struct sgn_ordered *b, bool with_body)
{
    ordered_check(sgn_ballot_compare(&a->ballot, &b->ballot) == 0, "ballot kept");
    ordered_check(ordered_same_version(&a->version, &b->version), "version kept");
    ordered_check(a->kind == b->kind && a->ops_floor == b->ops_floor, "kind and floor kept");
    ordered_check(a->body_bytes == b->body_bytes, "body size kept");
    ordered_check(!with_body || sgn_bytes_equal(a->body, b->body), "body kept");
    ordered_check(a->op_count == b->op_count, "op count kept");
    for (uint32_t i = 0; i < a->op_count; i++) {
        const struct sgn_op_id *x = &a->ops[i];
        const struct sgn_op_id *y = &b->ops[i];
        ordered_check(memcmp(&x->id, &y->id, sizeof(x->id)) == 0, "id kept");
        ordered_check(x->verdict == y->verdict && x->stamp == y->stamp, "verdict and stamp kept");
        ordered_check(ordered_same_version(&x->version, &y->version), "version of an op kept");
    }
    ordered_check(sgn_ordered_digest(a) == sgn_ordered_digest(b), "one digest");
}

void ordered_round_trip(const struct sgn_ordered *record)
{
    for (int with_body = 0; with_body <= 1; with_body++) {
        struct ordered_raw raw = ordered_encoded(record, with_body);
        struct sgn_bytes bytes = sgn_bytes_of(raw.bytes, raw.count);
        struct sgn_ordered again;
        ordered_check(sgn_ordered_decode(bytes, with_body, &again) == SGN_OK,
                      "what was written is read");
        check_same(record, &again, with_body);
        struct sgn_ballot ballot = sgn_ordered_ballot(bytes);
        ordered_check(sgn_ballot_compare(&ballot, &record->ballot) == 0, "ballot without the rest");
    }
}

struct sgn_decision ordered_step(struct sgn_ordered *record,
                                 const struct sgn_change *change,
                                 const struct sgn_ballot *b)
{
    struct sgn_ordered next;
    struct sgn_decision decision;
    sgn_ordered_decide(record, change, b, &next, &decision);
    ordered_check(sgn_ballot_compare(&next.ballot, b) == 0,
                  "the record carries the round's ballot");
    ordered_check(!(decision.changes && decision.remembers), "a change or a memory");
    if (!decision.changes) {
        ordered_check(ordered_same_version(&next.version, &record->version),
                      "identity: one version");
        ordered_check(sgn_bytes_equal(next.body, record->body), "identity: one body");
    }
    /* The digest names the ballot, which an identity has of its own as well. */
    bool same_ballot = sgn_ballot_compare(&next.ballot, &record->ballot) == 0;
    ordered_check((sgn_ordered_digest(&next) == sgn_ordered_digest(record)) == same_ballot,
                  "one digest for one ballot");
    ordered_round_trip(&next);
    *record = next;
    return decision;
}

struct sgn_change ordered_change(enum sgn_change_kind kind, uint32_t id, uint64_t stamp)
{
    return (struct sgn_change){
        .kind = kind, .id = ordered_id(id), .stamp = stamp, .body = sgn_bytes_str("body")};
}
