/* ring/core/order_map.h - the ring's shape at one node, for the files that keep it: the committed
 * map, who is a member, the register, and what it is asked to change (protocol.md 6). */
#ifndef SGN_CORE_ORDER_MAP_H
#define SGN_CORE_ORDER_MAP_H

#include "ring/core/engine_inner.h"

/* order_map.c: the committed map; MAP, MAP_IS, and who has adopted what. */
void sgn_map_work_init(struct sgn_engine *engine);
void sgn_map_work_clear(struct sgn_engine *engine);
/* META "map" or "register"; SGN_ERR_NOT_FOUND: it is another name. */
enum sgn_err sgn_map_work_restore(struct sgn_engine *engine,
                                  struct sgn_bytes name,
                                  struct sgn_bytes value);
void sgn_map_work_request(struct sgn_engine *engine,
                          const struct sgn_event *event); /* REG_*, MAP* */
void sgn_map_work_stored(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_map_work_is(struct sgn_engine *engine, const struct sgn_event *event); /* MAP_IS */
void sgn_map_work_tick(struct sgn_engine *engine);
/* A node or witness says (durably) that it has adopted `version`. */
void sgn_known_version(struct sgn_engine *engine,
                       uint32_t id,
                       uint32_t incarnation,
                       uint32_t version);
/* Stores a map known chosen, then adopts it; takes the buffer over. One at a time. */
void sgn_map_adopt(struct sgn_engine *engine, struct sgn_buf *map);
/* The map in a buffer of its size; NULL when the pool refuses. */
struct sgn_buf *sgn_map_to_buf(struct sgn_engine *engine, const struct sgn_map *map);

/* order_disk.c: who is a member (2). */
/* A map is about to be adopted. */
void sgn_disk_adopting(struct sgn_engine *engine, const struct sgn_map *next);
/* The map was adopted or restored: is this node one? */
void sgn_disk_adopted(struct sgn_engine *engine);
/* Whether the map lists this node with the disk that it has. */
bool sgn_disk_listed(const struct sgn_engine *engine, const struct sgn_map *map);
/* Whether the node is alive, and with the disk that the map lists. */
bool sgn_member_alive(const struct sgn_engine *engine, uint32_t node);
/* Whether this node may vote on the map's next version. */
bool sgn_disk_votes(const struct sgn_engine *engine);
/* Whether the ring's first members are still to be listed. */
bool sgn_disk_unborn(const struct sgn_engine *engine);
/* Whether another map is called for; those changes as edits, how many. */
bool sgn_disk_wishes(const struct sgn_engine *engine);
uint32_t sgn_disk_change(struct sgn_engine *engine, struct sgn_map *next);
void sgn_disk_tick(struct sgn_engine *engine);

/* order_register.c: votes and proposals for the next version. */
/* Proposes order.work.scratch (made by sgn_map_begin and changes); false while one is under way. */
bool sgn_map_propose(struct sgn_engine *engine);
bool sgn_map_may_propose(const struct sgn_engine *engine);
void sgn_register_request(struct sgn_engine *engine, const struct sgn_event *event); /* REG_* */
void sgn_map_work_answer(struct sgn_engine *engine, const struct sgn_event *event); /* REG_ANSWER */
void sgn_register_stored(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_register_adopted(struct sgn_engine *engine); /* What was voted on below is void. */
void sgn_register_tick(struct sgn_engine *engine);
enum sgn_err sgn_register_restore(struct sgn_engine *engine, struct sgn_bytes value);

/* order_keeper.c: what the register is asked to change. */
void sgn_keeper_tick(struct sgn_engine *engine);
void sgn_keeper_now(struct sgn_engine *engine); /* Does not wait for the tick. */
void sgn_keeper_adopted(struct sgn_engine *engine);
bool sgn_keeper_is_steady(const struct sgn_engine *engine, uint32_t index); /* A node back. */
/* order_change.c: MAP_CHANGE. */
void sgn_keeper_change(struct sgn_engine *engine, const struct sgn_event *event);
/* The client's change as an edit of `next`; true if it made one. */
bool sgn_change_make(struct sgn_engine *engine, struct sgn_map *next);
void sgn_change_adopted(struct sgn_engine *engine);
void sgn_change_tick(struct sgn_engine *engine);
/* order_fleet.c: whether the fleet calls for another map; those changes as edits, how many. */
bool sgn_fleet_wishes(struct sgn_engine *engine);
uint32_t sgn_fleet_change(struct sgn_engine *engine, struct sgn_map *next);

#endif
