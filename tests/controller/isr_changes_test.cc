#include <gtest/gtest.h>

#include <algorithm>

#include "tests/controller/table_cluster.h"

namespace bascule::controller {
namespace {

// Three brokers, one partition on all of them, led by one.
struct Trio {
  Cluster c;
  StreamId s;
  uint32_t leader = 0;
  uint32_t b = 0;
  uint32_t d = 0;

  explicit Trio(uint32_t min_isr = 2) {
    for (uint32_t n : {1, 2, 3}) c.start(n);
    s = c.create(stream_config("orders", 1, 3, min_isr));
    leader = c.p(s).leader.value;
    b = leader % 3 + 1;
    d = b % 3 + 1;
  }
  ChangeIsr change(std::vector<uint32_t> members) const {
    std::ranges::sort(members);
    ChangeIsrItem item{c.p(s).id, c.p(s).version, {}};
    for (uint32_t n : members) item.isr.push_back({NodeId(n), c.recorded(n)});
    return {NodeId(leader), c.recorded(leader), {item}};
  }
  bool granted(const ChangeIsr& command) {
    const Applied a = c.apply(command);
    EXPECT_TRUE(a.outcome.has_value());
    return std::get<ChangeIsrOutcome>(*a.outcome).refused.empty();
  }
};

TEST(IsrChanges, a_set_at_or_above_min_isr_leaves_no_elr_and_one_below_keeps_who_left) {
  Trio t;
  EXPECT_TRUE(t.granted(t.change({t.leader, t.b})));
  EXPECT_TRUE(t.c.p(t.s).elr.empty());
  EXPECT_TRUE(t.granted(t.change({t.leader})));
  EXPECT_EQ(t.c.p(t.s).elr, nodes({t.b}));
  EXPECT_TRUE(t.granted(t.change({t.leader, t.d})));
  EXPECT_TRUE(t.c.p(t.s).elr.empty());
  EXPECT_EQ(t.c.p(t.s).isr.size(), 2u);
  EXPECT_EQ(t.c.p(t.s).leader, NodeId(t.leader));
}

TEST(IsrChanges, what_is_out_of_date_is_refused_and_changes_nothing) {
  Trio t;
  const ChangeIsr late = t.change({t.leader, t.b, t.d});
  EXPECT_TRUE(t.granted(t.change({t.leader, t.b})));
  const Version version = t.c.p(t.s).version;
  EXPECT_FALSE(t.granted(late)) << "an old expand would bring back a replica that nobody counts";
  ChangeIsr other = t.change({t.leader});
  other.leader_incarnation = other.leader_incarnation.next();
  EXPECT_FALSE(t.granted(other));
  other = t.change({t.leader, t.b});
  other.leader = NodeId(t.b);
  EXPECT_FALSE(t.granted(other));
  EXPECT_EQ(t.c.p(t.s).version, version);
}

TEST(IsrChanges, a_member_that_may_not_join_makes_every_copy_of_the_proposal_out_of_date) {
  Trio t;
  EXPECT_TRUE(t.granted(t.change({t.leader, t.b})));
  t.c.fence({t.d});
  const ChangeIsr expand = t.change({t.leader, t.b, t.d});
  EXPECT_FALSE(t.granted(expand));
  EXPECT_GT(t.c.p(t.s).version, expand.items[0].version);
  t.c.start(t.d);
  EXPECT_FALSE(t.granted(expand)) << "a copy that comes late";
  ChangeIsr earlier = t.change({t.leader, t.b, t.d});
  earlier.items[0].isr[0].incarnation = earlier.items[0].isr[0].incarnation.next();
  for (BrokerLife& life : earlier.items[0].isr) {
    life.incarnation = life.node == NodeId(t.d) ? Incarnation(1) : t.c.recorded(life.node.value);
  }
  EXPECT_FALSE(t.granted(earlier)) << "an earlier life of the member";
  EXPECT_TRUE(t.granted(t.change({t.leader, t.b, t.d})));
}

TEST(IsrChanges, the_leader_is_always_in_its_set_and_sets_are_in_order) {
  Trio t;
  EXPECT_FALSE(t.granted(t.change({t.b, t.d})));
  ChangeIsr disordered = t.change({t.leader, t.b, t.d});
  std::ranges::reverse(disordered.items[0].isr);
  EXPECT_FALSE(t.granted(disordered));
  EXPECT_FALSE(t.granted(t.change({})));
}

TEST(IsrChanges, who_joins_is_no_longer_in_doubt_and_the_damaged_do_not_join) {
  Trio t;
  EXPECT_TRUE(t.granted(t.change({t.leader, t.b})));
  t.c.start(t.d, {t.c.suspect(t.s, t.d, 1, 4)});
  EXPECT_TRUE(t.c.p(t.s).replica(NodeId(t.d))->suspect);
  EXPECT_TRUE(t.granted(t.change({t.leader, t.b, t.d})));
  EXPECT_FALSE(t.c.p(t.s).replica(NodeId(t.d))->suspect);

  ReplicaReport damaged = t.c.suspect(t.s, t.d, 1, 4);
  damaged.damaged = true;
  t.c.start(t.d, {damaged});
  EXPECT_FALSE(t.c.p(t.s).in_isr(NodeId(t.d)));
  EXPECT_FALSE(t.granted(t.change({t.leader, t.b, t.d})));
}

TEST(IsrChanges, a_member_below_min_isr_is_elected_from_the_elr_when_the_leader_dies) {
  Trio t(3);
  EXPECT_TRUE(t.granted(t.change({t.leader})));
  EXPECT_EQ(t.c.p(t.s).elr.size(), 2u);
  t.c.fence({t.leader});
  EXPECT_EQ(t.c.p(t.s).leader.value == t.b || t.c.p(t.s).leader.value == t.d, true);
}

}  // namespace
}  // namespace bascule::controller
