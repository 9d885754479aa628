/* Cells: one key of an ordered bucket under work. A cell comes with the first op that needs it and
 * stays, unpinned, until its place is wanted: what must outlive it is on disk, in the dirty set,
 * or, for a promise without an accept behind it, in the promise floor. */
#include "ring/core/order_inner.h"

#define CELL_LOOKS 256u

static uint16_t *cell_bucket(struct sgn_engine *engine, struct sgn_key_hash hash)
{
    return &engine->order.cell_heads[(hash.hash >> 20) & (SGN_CELL_HEADS - 1)];
}

struct sgn_cell *sgn_cell_find(struct sgn_engine *engine, struct sgn_key_hash hash)
{
    for (uint16_t i = *cell_bucket(engine, hash); i != 0; i = engine->order.cells[i - 1].chain) {
        struct sgn_cell *cell = &engine->order.cells[i - 1];
        if (cell->hash.hash == hash.hash && cell->hash.keyed == hash.keyed) {
            return cell;
        }
    }
    return NULL;
}

static void cell_free(struct sgn_engine *engine, struct sgn_cell *cell)
{
    struct sgn_order *order = &engine->order;
    SGN_ASSERT(cell->pins == 0 && cell->storing == 0);
    /* A promise must be remembered for ever; what no accepted record stands for goes to the floor
     * of all keys, which only ever refuses more. */
    if (sgn_ballot_compare(&cell->promised, &cell->durable) > 0 &&
        sgn_ballot_compare(&cell->promised, &order->promise_floor) > 0) {
        order->promise_floor = cell->promised;
    }
    sgn_buf_drop(engine, &cell->key);
    sgn_buf_drop(engine, &cell->record);
    sgn_buf_drop(engine, &cell->shadow);
    uint16_t index = sgn_cell_index(engine, cell) + 1;
    uint16_t *link = cell_bucket(engine, cell->hash);
    while (*link != index) {
        SGN_ASSERT(*link != 0);
        link = &order->cells[*link - 1].chain;
    }
    *link = cell->chain;
    cell->state = SGN_CELL_FREE;
    cell->chain = order->cell_free;
    order->cell_free = index;
    order->cells_used--;
}

/* A place, if need be of a cell nobody works in; one with a shadow, or with a promise that only the
 * floor would remember, when a short look finds no better. */
static bool cell_make_room(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    if (order->cell_free != 0 || order->cell_high < SGN_CELLS_MAX) {
        return true;
    }
    struct sgn_cell *last = NULL;
    for (uint32_t i = 0; i < SGN_CELLS_MAX && (last == NULL || i < CELL_LOOKS); i++) {
        struct sgn_cell *cell = &order->cells[order->cell_hand];
        order->cell_hand = (order->cell_hand + 1) % SGN_CELLS_MAX;
        if (cell->state != SGN_CELL_READY || cell->pins > 0) {
            continue;
        }
        if (!cell->shadow_known && sgn_ballot_compare(&cell->promised, &cell->durable) <= 0) {
            cell_free(engine, cell);
            return true;
        }
        last = cell;
    }
    if (last != NULL) {
        cell_free(engine, last);
    }
    return last != NULL;
}

static void cell_ask(struct sgn_engine *engine,
                     struct sgn_cell *cell,
                     enum sgn_family family,
                     struct sgn_bytes key)
{
    cell->asked_leaf = family == SGN_FAMILY_TREE;
    sgn_fx_load(engine,
                sgn_token(SGN_TOKEN_CELL, sgn_cell_index(engine, cell), cell->generation),
                family,
                key);
}

static void cell_load(struct sgn_engine *engine, struct sgn_cell *cell)
{
    cell->state = SGN_CELL_LOADING;
    cell->load_err = SGN_OK;
    cell_ask(engine, cell, SGN_FAMILY_DATA, sgn_buf_bytes(cell->key));
}

struct sgn_cell *sgn_cell_get(struct sgn_engine *engine, struct sgn_bytes full_key)
{
    struct sgn_order *order = &engine->order;
    struct sgn_key_hash hash = sgn_key_hash_of(full_key, order->map.hash_seed);
    struct sgn_cell *cell = sgn_cell_find(engine, hash);
    if (cell != NULL) {
        return cell;
    }
    struct sgn_buf *key = cell_make_room(engine) ? sgn_buf_copy(engine, full_key) : NULL;
    if (key == NULL) {
        return NULL;
    }
    uint16_t index =
        order->cell_free != 0 ? (uint16_t)(order->cell_free - 1) : (uint16_t)order->cell_high++;
    cell = &order->cells[index];
    order->cell_free = order->cell_free != 0 ? cell->chain : 0;
    order->cells_used++;
    uint16_t *head = cell_bucket(engine, hash);
    *cell = (struct sgn_cell){
        .generation = cell->generation + 1,
        .hash = hash,
        .partition = sgn_partition_of(hash.hash, engine->ring->partition_count),
        .key = key,
        .chain = *head,
        .wait_head = SGN_NONE,
        .wait_tail = SGN_NONE,
        .queue_head = SGN_NONE,
        .queue_tail = SGN_NONE,
    };
    *head = index + 1;
    cell_load(engine, cell);
    return cell;
}

void sgn_cell_pin(struct sgn_cell *cell)
{
    cell->pins++;
}

void sgn_cell_unpin(struct sgn_engine *engine, struct sgn_cell *cell)
{
    SGN_ASSERT(cell->pins > 0);
    if (--cell->pins > 0) {
        return;
    }
    SGN_ASSERT(cell->wait_head == SGN_NONE && cell->queue_head == SGN_NONE);
    if (cell->record != NULL && cell->record->count > SGN_CELL_KEEP_BYTES) {
        sgn_buf_drop(engine, &cell->record);
    }
}

static void cell_push_waiter(struct sgn_engine *engine, struct sgn_cell *cell, struct sgn_op *op)
{
    uint16_t index = sgn_op_index(engine, op);
    op->cell_next = SGN_NONE;
    if (cell->wait_tail == SGN_NONE) {
        cell->wait_head = index;
    } else {
        engine->ops[cell->wait_tail].cell_next = index;
    }
    cell->wait_tail = index;
}

bool sgn_cell_unwait(struct sgn_engine *engine, struct sgn_cell *cell, const struct sgn_op *op)
{
    uint16_t index = sgn_op_index(engine, op);
    uint16_t before = SGN_NONE;
    for (uint16_t i = cell->wait_head; i != SGN_NONE; i = engine->ops[i].cell_next) {
        if (i != index) {
            before = i;
            continue;
        }
        if (before == SGN_NONE) {
            cell->wait_head = op->cell_next;
        } else {
            engine->ops[before].cell_next = op->cell_next;
        }
        if (cell->wait_tail == index) {
            cell->wait_tail = before;
        }
        return true;
    }
    return false;
}

bool sgn_cell_ready(struct sgn_engine *engine, struct sgn_cell *cell, bool record)
{
    SGN_ASSERT(cell->pins > 0);
    if (cell->state == SGN_CELL_READY && cell->storing == 0) {
        bool missing = record && cell->record == NULL && !cell->corrupt &&
                       !sgn_ballot_is_zero(&cell->accepted);
        if (cell->doubtful || missing) {
            cell_load(engine, cell);
        }
    }
    return cell->state == SGN_CELL_READY;
}

bool sgn_cell_wait(struct sgn_engine *engine, struct sgn_cell *cell, struct sgn_op *op, bool record)
{
    if (sgn_cell_ready(engine, cell, record)) {
        return true;
    }
    cell_push_waiter(engine, cell, op);
    return false;
}

void sgn_cell_wait_commit(struct sgn_engine *engine, struct sgn_cell *cell, struct sgn_op *op)
{
    cell_push_waiter(engine, cell, op);
}

void sgn_cell_resume(struct sgn_engine *engine, struct sgn_cell *cell)
{
    /* Only those that wait now: one that waits again goes to the end of a new list. */
    uint16_t next = cell->wait_head;
    cell->wait_head = cell->wait_tail = SGN_NONE;
    sgn_cell_pin(cell);
    while (next != SGN_NONE) {
        struct sgn_op *op = &engine->ops[next];
        next = op->cell_next;
        op->cell_next = SGN_NONE;
        if (cell->state != SGN_CELL_READY || !sgn_fx_has_room(engine)) {
            cell_push_waiter(engine, cell, op);
        } else if (op->kind == SGN_OP_CELL) {
            sgn_accept_run(engine, op);
        } else if (op->kind == SGN_OP_ROUND) {
            sgn_round_cell_ready(engine, op);
        } else {
            SGN_ASSERT(op->kind == SGN_OP_READ);
            sgn_read_cell_ready(engine, op);
        }
    }
    sgn_cell_unpin(engine, cell);
}

/* Is what the disk holds known to be chosen? */
static void cell_judge(struct sgn_engine *engine, struct sgn_cell *cell)
{
    const struct sgn_order *order = &engine->order;
    struct sgn_dirty *entry = sgn_dirty_find(engine, cell->hash);
    if (entry != NULL && entry->unsure && !cell->corrupt) {
        entry->unsure = false; /* A store failed: this is what the disk holds. */
        entry->ballot = cell->accepted;
        if (cell->sequence == 0) {
            sgn_dirty_drop(engine, entry);
            entry = NULL;
        }
    }
    if (entry != NULL && sgn_ballot_compare(&entry->ballot, &cell->accepted) != 0) {
        /* A commit came while the record was being stored, and then the store failed: that one was
         * chosen, not the one on the disk. */
        sgn_dirty_doubt(engine, entry);
    }
    bool lost = order->dirty_lost && entry == NULL && cell->sequence > order->watermark_start &&
                cell->sequence < order->first_sequence;
    bool pending = entry != NULL ? entry->pending : lost;
    if (!pending) {
        cell->committed = cell->accepted;
    } else if (sgn_ballot_compare(&cell->committed, &cell->accepted) > 0) {
        /* A store failed behind a commit: what is on disk is older than what was chosen. */
        cell->committed = (struct sgn_ballot){.hlc = 0};
    }
    if (!sgn_cell_pending(cell)) {
        sgn_buf_drop(engine, &cell->shadow);
        cell->shadow_known = false;
    }
}

/* The record in what was loaded; false: it is none. */
static bool event_record(const struct sgn_event *event, struct sgn_ordered *record)
{
    const uint8_t *raw = event->value.ptr;
    return event->err == SGN_OK && event->value.count > SGN_CELL_PREFIX &&
           sgn_ordered_decode(
               sgn_bytes_of(raw + SGN_CELL_PREFIX, event->value.count - SGN_CELL_PREFIX),
               true,
               record) == SGN_OK;
}

struct sgn_ballot sgn_cell_absent(const struct sgn_engine *engine, uint32_t partition)
{
    const struct sgn_line *line = &engine->order.map.lines[partition];
    int seat = sgn_line_seat(line, engine->options.node);
    struct sgn_ballot none = {.hlc = 0};
    if (seat < 0 || line->seats[seat].state != SGN_SEAT_IN_SYNC || line->floor == 0) {
        return none; /* One that has not caught up may lack what lies below the floor (6.1). */
    }
    return (struct sgn_ballot){line->floor, UINT32_MAX, UINT32_MAX, UINT32_MAX};
}

/* 3.7: absent is a committed tombstone at the floor, for every purpose. */
static void cell_take_absent(struct sgn_engine *engine, struct sgn_cell *cell)
{
    const struct sgn_line *line = &engine->order.map.lines[cell->partition];
    struct sgn_ordered record;
    cell->accepted = sgn_cell_absent(engine, cell->partition);
    cell->at_floor = !sgn_ballot_is_zero(&cell->accepted);
    if (!cell->at_floor) {
        return;
    }
    sgn_ordered_init(&record);
    record.ballot = cell->accepted;
    record.ops_floor = line->floor_stamp;
    size_t bytes = SGN_CELL_PREFIX + sgn_ordered_bytes(&record, true);
    cell->record = sgn_buf_get(engine, bytes);
    cell->load_err = cell->record == NULL ? SGN_ERR_BUSY : SGN_OK;
    if (cell->record != NULL) {
        memset(cell->record->bytes, 0, SGN_CELL_PREFIX);
        struct sgn_sink sink =
            sgn_sink_of(cell->record->bytes + SGN_CELL_PREFIX, bytes - SGN_CELL_PREFIX);
        sgn_ordered_encode(&record, true, &sink);
        SGN_ASSERT(!sink.full);
    }
}

/* A cell whose key is absent may stand for another ballot in the map just adopted. */
void sgn_floors_promise(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    for (uint32_t i = 0; i < order->map.partition_count; i++) {
        const struct sgn_line *line = &order->map.lines[i];
        const struct sgn_ballot all = {line->floor, UINT32_MAX, UINT32_MAX, UINT32_MAX};
        if (sgn_own_seat(engine, line) >= 0 &&
            sgn_ballot_compare(&all, &order->promise_floor) > 0) {
            order->promise_floor = all;
        }
    }
}

void sgn_cells_adopted(struct sgn_engine *engine)
{
    sgn_floors_promise(engine);
    for (uint32_t i = 0; i < engine->order.cell_high; i++) {
        struct sgn_cell *cell = &engine->order.cells[i];
        if (cell->state == SGN_CELL_READY && cell->sequence == 0 && cell->storing == 0) {
            cell->doubtful = true;
        }
    }
}

/* What the disk holds: a record, nothing, or (the event is then of the tree's entry, which says
 * what the tree counts for the key) something that cannot be read. */
static void cell_take(struct sgn_engine *engine,
                      struct sgn_cell *cell,
                      const struct sgn_event *event)
{
    struct sgn_ordered record;
    cell->corrupt = cell->asked_leaf;
    sgn_buf_drop(engine, &cell->record);
    cell->accepted = (struct sgn_ballot){.hlc = 0};
    cell->sequence = 0;
    cell->digest = 0;
    cell->at_floor = false;
    if (cell->asked_leaf) {
        cell->digest = event->value.count >= 8 ? sgn_get_uint(event->value.ptr, 8) : 0;
    } else if (event_record(event, &record)) {
        cell->record = sgn_buf_copy(engine, event->value);
        cell->load_err = cell->record == NULL ? SGN_ERR_BUSY : SGN_OK;
        cell->accepted = record.ballot;
        cell->sequence = sgn_get_uint(event->value.ptr, SGN_CELL_PREFIX);
        cell->digest = sgn_ordered_digest(&record);
    } else {
        cell_take_absent(engine, cell);
    }
    if (cell->corrupt && SGN_MUTANT(32)) {
        cell->corrupt = false;
    }
    if (cell->corrupt) {
        /* What was accepted is not known, so nothing at or below what it may have been is accepted
         * again: any ballot of an earlier time lies under the clock of now. */
        struct sgn_ballot now = {engine->hlc.last, UINT32_MAX, UINT32_MAX, UINT32_MAX};
        sgn_cell_promise(cell, &now);
    }
    cell->durable = cell->accepted;
    sgn_cell_promise(cell, &cell->accepted);
    cell_judge(engine, cell);
}

/* True, and the tree's entry is asked for, if the record cannot be read. */
static bool cell_ask_leaf(struct sgn_engine *engine,
                          struct sgn_cell *cell,
                          const struct sgn_event *event)
{
    struct sgn_ordered record;
    bool broken =
        event->err == SGN_ERR_CORRUPT || (event->err == SGN_OK && !event_record(event, &record));
    if (cell->asked_leaf || !broken) {
        return false;
    }
    cell_ask(engine, cell, SGN_FAMILY_TREE, sgn_tree_key(engine, sgn_buf_bytes(cell->key)));
    return true;
}

void sgn_cell_loaded(struct sgn_engine *engine, const struct sgn_event *event)
{
    uint32_t index = (uint32_t)(event->token >> 32) & 0xffffff;
    SGN_ASSERT(index < SGN_CELLS_MAX);
    struct sgn_cell *cell = &engine->order.cells[index];
    if (cell->state != SGN_CELL_LOADING || cell->generation != (uint32_t)event->token) {
        return;
    }
    if (cell_ask_leaf(engine, cell, event)) {
        return;
    }
    cell->state = SGN_CELL_READY;
    cell->doubtful = false;
    if (event->err == SGN_OK || event->err == SGN_ERR_NOT_FOUND) {
        cell_take(engine, cell, event);
    } else {
        cell->load_err = event->err;
    }
    bool repair = cell->corrupt;
    if (cell->load_err != SGN_OK) {
        cell->doubtful = true; /* The next op reads again. */
    }
    sgn_cell_pin(cell);
    sgn_cell_resume(engine, cell);
    sgn_round_pump(engine, cell);
    if (repair && cell->corrupt && cell->queue_head == SGN_NONE && sgn_fx_has_room(engine)) {
        (void)sgn_round_resolve(engine, sgn_buf_bytes(cell->key), NULL); /* 2: until repaired. */
    }
    sgn_cell_unpin(engine, cell);
}

struct sgn_ballot sgn_cell_promised(const struct sgn_engine *engine, const struct sgn_cell *cell)
{
    const struct sgn_ballot *floor = &engine->order.promise_floor;
    return sgn_ballot_compare(&cell->promised, floor) > 0 ? cell->promised : *floor;
}

void sgn_cell_promise(struct sgn_cell *cell, const struct sgn_ballot *ballot)
{
    if (sgn_ballot_compare(ballot, &cell->promised) > 0) {
        cell->promised = *ballot;
    }
}

bool sgn_cell_record(struct sgn_engine *engine, struct sgn_cell *cell, struct sgn_ordered *record)
{
    (void)engine;
    if (cell->corrupt) {
        return false;
    }
    return sgn_ordered_decode(sgn_cell_bytes(cell->record), true, record) == SGN_OK;
}

void sgn_cells_clear(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    for (uint32_t i = 0; i < order->cell_high; i++) {
        sgn_buf_drop(engine, &order->cells[i].key);
        sgn_buf_drop(engine, &order->cells[i].record);
        sgn_buf_drop(engine, &order->cells[i].shadow);
    }
}
