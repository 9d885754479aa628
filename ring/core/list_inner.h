/* ring/core/list_inner.h - one list under way; shared by engine_list.c, engine_merge.c and
 * order_list.c only. */
#ifndef SGN_CORE_LIST_INNER_H
#define SGN_CORE_LIST_INNER_H

#include "ring/core/order_inner.h"

#define SGN_LIST_DOUBTS_MAX    256u /* Of one page; a page with more ends there. */
#define SGN_LIST_DOUBTS_FLIGHT 32u
#define SGN_LIST_AGAIN_MS      40u

enum list_state { LIST_TO_ASK, LIST_WAITING, LIST_DONE };

/* How the partitions are read. */
enum list_mode {
    LIST_AVAILABLE, /* R homes each; records are merged. */
    LIST_EVENTUAL,  /* Ordered: one seat each. */
    LIST_CHECKED,   /* Strong: one in_sync seat each, which asks the witnesses first (10). */
    LIST_QUORUM,    /* Strong: Q seats each. */
};

struct list_node {
    uint32_t id;
    enum list_state state;
    uint64_t sent_ms;
    bool end;
    struct sgn_buf *page;  /* Items, keys without the bucket. */
    size_t at;             /* Bytes of it taken. */
    struct sgn_buf *after; /* Looked at through this key. */
};

/* What became of a key in doubt. */
struct list_doubt {
    struct sgn_ballot top;
    uint8_t state; /* 0: not known yet, 1: it is shown, 2: there is none. */
    uint8_t row[SGN_VERSION_BYTES + 4];
};

struct sgn_list {
    struct sgn_buf *self; /* The buffer that it lies in. */
    enum list_mode mode;
    bool strong;
    bool slow;         /* Witnesses could not say: by quorum from now on. */
    uint64_t begin_ms; /* A pause before the nodes are chosen anew; 0: none. */
    uint32_t tries;
    uint32_t limit; /* Keys wanted. */
    struct sgn_bytes prefix;
    uint8_t after[SGN_KEY_BYTES_MAX];
    size_t after_bytes;
    uint32_t node_count;
    uint32_t bitmap_bytes;
    struct list_node *nodes; /* node_count; behind them the bitmaps. */
    struct sgn_buf *memory;
    /* The page made of the nodes' pages. Ordered: an empty value is a key in doubt. */
    struct sgn_buf *rows;
    bool end;
    uint32_t shown;
    uint32_t doubt_count, doubt_next, doubt_flight, doubt_done;
    size_t doubt_at;        /* Bytes of rows in which the doubts are being asked about. */
    struct sgn_buf *doubts; /* struct list_doubt x SGN_LIST_DOUBTS_MAX. */
};

struct sgn_bytes sgn_list_bitmap(const struct sgn_list *list, uint32_t index);
struct sgn_bytes sgn_list_after(const struct sgn_op *op);
/* engine_list.c: rows are final: answers. Another choice of nodes: one failed. */
void sgn_list_finished(struct sgn_engine *engine, struct sgn_op *op);
void sgn_list_again(struct sgn_engine *engine, struct sgn_op *op, enum sgn_err err, uint32_t node);

/* engine_merge.c: merges what is final into the sink. True if the whole list is through. */
bool sgn_list_merge(struct sgn_op *op, struct sgn_sink *sink);
/* The next item of a node's page, if it is of that key; it is taken. */
bool sgn_list_take(struct list_node *node, struct sgn_bytes key, struct sgn_bytes *value);

/* order_list.c */
/* Seats to read the partition from, as member indexes; 0: too few are reachable. */
uint32_t sgn_list_seats(struct sgn_engine *engine,
                        const struct sgn_op *op,
                        uint32_t partition,
                        uint32_t chosen[SGN_SEATS_MAX]);
/* Whether every partition can be read from one seat behind its witnesses. */
bool sgn_list_can_check(struct sgn_engine *engine);
/* The key's row: false: it is not shown; empty: in doubt. */
bool sgn_list_row(struct sgn_list *list, struct sgn_bytes key, struct sgn_sink *row);
void sgn_list_doubts(struct sgn_engine *engine, struct sgn_op *op);

/* order_page.c */
enum { SGN_LIST_PENDING = 1, SGN_LIST_KNOWN = 2, SGN_LIST_ABSTAINS = 4, SGN_LIST_DEAD = 8 };
/* One key of an ordered bucket as a seat has it. */
struct sgn_list_item {
    uint8_t flags;
    struct sgn_ballot accepted;
    struct sgn_ballot committed; /* KNOWN: of the record that the rest tells of. */
    struct sgn_version version;
    uint32_t body_bytes;
};
#define SGN_LIST_ITEM_BYTES (1u + 2u * SGN_BALLOT_BYTES + SGN_VERSION_BYTES + 4u)
bool sgn_list_item_take(struct sgn_bytes bytes, struct sgn_list_item *item);
/* This node's own part of a list it coordinates; sgn_list_page or sgn_list_again tells. */
bool sgn_page_own(struct sgn_engine *engine, struct sgn_op *op, struct sgn_bytes bitmap);
/* Changes when the epoch of one of the partitions does; never 0. */
uint64_t sgn_page_epochs(struct sgn_engine *engine, struct sgn_bytes bitmap);

#endif
