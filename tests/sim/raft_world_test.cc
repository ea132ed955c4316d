// World `raft`: its seeds are clean and repeat themselves, its frames survive any splitting and no flipped
// bit, and its oracles fire.
#include <gtest/gtest.h>

#include "sim/oracles/applied_chain.h"
#include "sim/oracles/durable_promises.h"
#include "sim/oracles/metadata_linearizability.h"
#include "sim/oracles/one_leader.h"
#include "sim/worlds/raft/message_frames.h"
#include "sim/worlds/raft/raft_world.h"
#include "src/base/prng.h"

namespace bascule::sim {
namespace {

raft::MemberId member(uint32_t node) { return {NodeId(node), Uuid{{node, node}}}; }

std::vector<raft::Message> messages() {
  raft::Configuration configuration;
  configuration.voters.push_back({member(1), "n1:7000"});
  const Slice data = Slice::copy_of(as_bytes("some bytes"));
  std::vector<raft::Body> bodies{
      raft::VoteRequest{true, false, Index(3), Term(2)},
      raft::VoteResponse{false, true},
      raft::AppendRequest{Index(3),
                          Term(2),
                          {{Term(2), raft::EntryKind::command, data}, {Term(3), {}, {}}},
                          Index(2),
                          7},
      raft::AppendResponse{false, Index(9), Index(4), Term(2), Index(3), 7},
      raft::SnapshotRequest{{Index(9), Term(3), configuration}, 100, 20, data, 5},
      raft::SnapshotResponse{Index(9), 30, 5},
      raft::TimeoutNow{},
      raft::ReadRequest{12},
      raft::ReadResponse{12, true, Index(8)}};
  std::vector<raft::Message> out;
  for (raft::Body& body : bodies)
    out.push_back({member(1), member(2), Term(5), Incarnation(4), std::move(body)});
  return out;
}

TEST(RaftFrames, come_out_whole_however_they_are_split) {
  Bytes stream;
  std::vector<Slice> frames;
  for (const raft::Message& message : messages()) {
    frames.push_back(encode_raft_frame(message));
    stream.insert(stream.end(), frames.back().view().begin(), frames.back().view().end());
  }
  Prng random(1);
  for (int round = 0; round < 50; ++round) {
    RaftFrameReader reader;
    size_t seen = 0;
    for (size_t at = 0; at < stream.size();) {
      const auto step =
          static_cast<size_t>(random.between(1, std::min<uint64_t>(40, stream.size() - at)));
      reader.add(ByteView(stream).subspan(at, step));
      at += step;
      for (auto next = reader.next(); next && *next; next = reader.next()) {
        ASSERT_LT(seen, frames.size());
        EXPECT_TRUE(equal(encode_raft_frame(**next), frames[seen++]));
      }
    }
    EXPECT_EQ(seen, frames.size());
  }
}

TEST(RaftFrames, a_flipped_bit_is_an_error_at_once) {
  for (const raft::Message& message : messages()) {
    const Bytes whole = to_bytes(encode_raft_frame(message));
    for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
      Bytes flipped = whole;
      flipped[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
      RaftFrameReader reader;
      reader.add(flipped);
      EXPECT_FALSE(reader.next().has_value()) << bit;
    }
  }
}

TEST(RaftWorld, seeds_are_clean_and_repeat_themselves) {
  const RaftWorld world;
  for (uint64_t seed = 0; seed < 25; ++seed) {
    const Plan plan = world.expand(seed);
    const Outcome first = world.run(plan, {});
    EXPECT_FALSE(first.failure.has_value()) << seed << ": " << first.failure->text;
    EXPECT_GT(first.events, 500u);
    if (seed % 5 == 0) {
      EXPECT_EQ(first.trace, world.run(plan, {}).trace) << seed;
    }
  }
}

// --- The oracles fire -----------------------------------------------------------------------------

struct Court {
  Simulation sim{1};
  Verdict verdict{sim};
  RaftHistory history;
  std::string oracle() const { return verdict.fired() ? verdict.failure()->oracle : ""; }
};

TEST(RaftOracles, two_leaders_of_a_term) {
  Court court;
  OneLeader oracle(court.verdict);
  EXPECT_TRUE(oracle.leads(Term(2), member(1), 1));
  EXPECT_FALSE(oracle.leads(Term(2), member(1), 1));
  EXPECT_EQ(court.oracle(), "");
  oracle.leads(Term(2), member(2), 2);
  EXPECT_EQ(court.oracle(), "O4");
}

TEST(RaftOracles, different_entries_at_one_index) {
  Court court;
  AppliedChain oracle(court.history, court.verdict);
  oracle.applied("a", Index(), Index(1), {Term(1), Term(1), 11, 0});
  oracle.applied("b", Index(), Index(1), {Term(1), Term(1), 11, 0});
  EXPECT_EQ(court.oracle(), "");
  oracle.applied("c", Index(), Index(1), {Term(1), Term(1), 12, 0});
  EXPECT_EQ(court.oracle(), "O8");
}

TEST(RaftOracles, a_vote_that_is_not_on_the_disk) {
  Court court;
  DurablePromises oracle(court.verdict);
  raft::Persist vote;
  vote.hard = raft::HardState{Term(5), member(2)};
  oracle.given(member(1), 1, vote);
  const raft::Message message{member(1), member(2), Term(5), Incarnation(1),
                              raft::VoteResponse{false, true}};
  oracle.confirmed(member(1), 1);
  oracle.sending(message);
  EXPECT_EQ(court.oracle(), "");
  EXPECT_FALSE(oracle.missing(member(1), {}).empty());
  oracle.forget(member(1));
  oracle.sending(message);
  EXPECT_EQ(court.oracle(), "O8");
}

TEST(RaftOracles, a_stale_read_and_a_refused_command_that_appears) {
  Court court;
  MetadataLinearizability oracle(court.history, court.verdict);
  oracle.proposed(7);
  oracle.applied(7, Index(1));
  court.history.committed({Term(1), Term(1), 11, 7});
  oracle.acknowledged(7, Index(1));
  oracle.read("a", Index(1), Index(1));
  EXPECT_EQ(court.oracle(), "");
  oracle.read("a", oracle.floor(), Index());
  EXPECT_EQ(court.oracle(), "O9");

  Court other;
  MetadataLinearizability refused(other.history, other.verdict);
  refused.proposed(8);
  refused.refused(8);
  EXPECT_EQ(other.oracle(), "");
  refused.applied(8, Index(1));
  EXPECT_EQ(other.oracle(), "O9");
}

}  // namespace
}  // namespace bascule::sim
