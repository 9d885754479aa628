/* tests/sim/ord_answer.c - what a client is told, and what follows from it for the oracle. */
#include "ring/core/check.h"
#include "tests/sim/ord.h"

/* --- reads ------------------------------------------------------------------------------------ */

/* The canary: an old version passed off as the answer. */
static void inject(struct ord_world *world,
                   const struct ord_client *client,
                   struct sgn_version *version)
{
    for (uint32_t i = 0; i < world->oracle.fact_count && !world->injected; i++) {
        const struct ord_fact *fact = &world->oracle.facts[i];
        if (fact->key == client->key && fact->exposed &&
            ord_version_compare(&fact->version, &client->floor) < 0) {
            *version = fact->version;
            world->injected = true;
        }
    }
}

static void check_body(struct ord_world *world,
                       const struct ord_client *client,
                       const struct sgn_version *version,
                       const struct sgn_msg *msg)
{
    const struct ord_fact *fact = ord_oracle_fact(&world->oracle, client->key, version);
    bool dead = version->rev == 0 || (fact != NULL && fact->dead);
    uint32_t number = ord_value_number(msg->value);
    bool right = msg->err == SGN_OK
                     ? !dead && fact != NULL && number == fact->write && number != ORD_NO_WRITE
                     : dead && msg->value.count == 0;
    if (!right) {
        ord_violation(&world->oracle,
                      "a read of key %u gave value %u for rev %llu, made by write %u",
                      client->key,
                      number,
                      (unsigned long long)version->rev,
                      fact == NULL ? ORD_NO_WRITE : fact->write);
    }
}

static void learn(struct ord_client *client, const struct sgn_version *version)
{
    struct sgn_version *seen = &client->seen[client->key];
    if (ord_version_compare(seen, version) < 0) {
        *seen = *version;
    }
}

static bool is_fast(struct sgn_bytes receipt)
{
    static const char fast[] = "\"path\":\"fast\"";
    return receipt.count > 0 && memmem(receipt.ptr, receipt.count, fast, sizeof(fast) - 1) != NULL;
}

static void read_answered(struct ord_world *world,
                          struct ord_client *client,
                          const struct sgn_msg *msg,
                          struct sgn_version version)
{
    check_body(world, client, &version, msg);
    if (world->options.inject && client->mode == SGN_READ_STRONG && !world->injected) {
        inject(world, client, &version);
    }
    ord_oracle_expose(&world->oracle, client->key, &version);
    if (client->mode == SGN_READ_STRONG) {
        ord_oracle_at_least(&world->oracle, client->key, &client->floor, &version, "a strong read");
        const struct ord_fact *fact = ord_oracle_fact(&world->oracle, client->key, &version);
        client->op.outcome = SGN_HISTORY_OK;
        client->op.output =
            fact == NULL || fact->dead ? SGN_HISTORY_ABSENT : (uint64_t)fact->write + 1;
        world->strong_reads++;
        if (client->clean && world->written_us[client->key] < client->began_us) {
            world->clean_reads++;
            world->clean_fast += is_fast(msg->items);
        }
    } else if (client->mode == SGN_READ_SESSION) {
        ord_oracle_at_least(
            &world->oracle, client->key, &client->passed, &version, "a session read");
    }
    learn(client, &version);
    ord_client_end(world, client);
}

/* --- writes ----------------------------------------------------------------------------------- */

static void applied(struct ord_world *world,
                    struct ord_client *client,
                    const struct sgn_version *version)
{
    ord_oracle_verdict(&world->oracle, client->write, ORD_APPLIED, version);
    client->op.outcome = SGN_HISTORY_OK;
    world->acked += !client->again;
    learn(client, version);
    ord_client_end(world, client);
}

static void rejected(struct ord_world *world,
                     struct ord_client *client,
                     const struct sgn_version *version)
{
    const struct ord_write *write = &world->oracle.writes[client->write];
    ord_oracle_verdict(&world->oracle, client->write, ORD_REJECTED, version);
    const struct ord_fact *fact = ord_oracle_fact(&world->oracle, client->key, version);
    bool dead = version->rev == 0 || (fact != NULL && fact->dead);
    bool should_hold = write->condition == SGN_IF_ABSENT ? dead
                       : write->condition == SGN_IF_VERSION
                           ? sgn_version_equal(version, &write->expect)
                           : true;
    if (should_hold) {
        ord_violation(&world->oracle,
                      "write %u to key %u was rejected by rev %llu, which fits its condition",
                      client->write,
                      client->key,
                      (unsigned long long)version->rev);
    }
    /* A rejection found before (the first attempt's) may be older than the floor of today; one of
     * this operation is as fresh as a strong read. */
    ord_oracle_at_least(&world->oracle,
                        client->key,
                        &client->floor,
                        version,
                        write->is_delete ? "a rejected del" : "a rejected put");
    if (!client->again) { /* For the history it is a read of what it met. */
        client->op.op = SGN_HISTORY_GET;
        client->op.outcome = SGN_HISTORY_OK;
        client->op.output = dead || fact == NULL ? SGN_HISTORY_ABSENT : (uint64_t)fact->write + 1;
        client->op.value = client->op.expect = 0;
    }
    learn(client, version);
    ord_client_end(world, client);
}

static void write_answered(struct ord_world *world,
                           struct ord_client *client,
                           const struct sgn_msg *msg,
                           const struct sgn_version *version)
{
    switch (msg->err) {
    case SGN_OK: applied(world, client, version); return;
    case SGN_ERR_CONDITION: rejected(world, client, version); return;
    case SGN_ERR_VOID:
        ord_oracle_verdict(&world->oracle, client->write, ORD_VOID, NULL);
        client->op.outcome = SGN_HISTORY_FAIL;
        ord_client_end(world, client);
        return;
    default: break;
    }
    world->refused++;
    bool maybe = msg->err == SGN_ERR_UNKNOWN || msg->err == SGN_ERR_TIMEOUT;
    ord_client_retry(world, client, maybe && !client->resolving);
}

/* --- all -------------------------------------------------------------------------------------- */

static bool has_version(const struct ord_client *client, const struct sgn_msg *msg)
{
    bool of_read = client->kind == ORD_OP_READ && msg->err == SGN_ERR_NOT_FOUND;
    bool of_write = client->kind != ORD_OP_READ && msg->err == SGN_ERR_CONDITION;
    return client->kind != ORD_OP_LIST && (msg->err == SGN_OK || of_read || of_write);
}

void ord_client_answer(struct ord_world *world, uint64_t token, const struct sgn_msg *msg)
{
    struct ord_client *client = &world->clients[token % ORD_CLIENTS_MAX];
    if (client->token != token) {
        return; /* It lost patience before. */
    }
    client->token = 0;
    uint64_t since_us = world->now_us - client->clock_us;
    if (msg->stamp > client->clock_stamp + (since_us << SGN_HLC_COUNTER_BITS) / 1000) {
        client->clock_stamp = msg->stamp;
        client->clock_us = world->now_us;
    }
    struct sgn_version version = {0};
    if (has_version(client, msg) && (msg->context.count != SGN_VERSION_BYTES ||
                                     sgn_version_take(msg->context, &version) != SGN_OK)) {
        ord_violation(&world->oracle, "key %u: an answer without a version", client->key);
    }
    ord_log(world,
            "client %zu: error %d, rev %llu, from node %u",
            (size_t)(client - world->clients),
            msg->err,
            (unsigned long long)version.rev,
            client->node + 1);
    if (client->kind == ORD_OP_LIST) {
        if (msg->err == SGN_OK) {
            ord_list_check(world, client, msg);
            ord_client_end(world, client);
            return;
        }
    } else if (client->kind == ORD_OP_READ) {
        if (msg->err == SGN_OK || msg->err == SGN_ERR_NOT_FOUND) {
            read_answered(world, client, msg, version);
            return;
        }
    } else {
        write_answered(world, client, msg, &version);
        return;
    }
    world->refused++;
    ord_client_retry(world, client, false);
}
