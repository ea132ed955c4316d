#include "src/raft/raft_driver.h"

#include <gtest/gtest.h>

#include "sim/world/node.h"

namespace bascule::raft {
namespace {

MemberId member(uint32_t node) { return {NodeId(node), Uuid{{node, node}}}; }
Slice bytes(std::string_view text) { return Slice::copy_of(as_bytes(text)); }

Configuration voters(uint32_t count) {
  Configuration out;
  for (uint32_t i = 1; i <= count; ++i) out.voters.push_back({member(i), ""});
  return out;
}

// Answers when it is told to.
class FakeStore final : public Store {
 public:
  struct Log {
    std::vector<std::pair<Persist, env::Done<void>>> given;
    std::vector<Snapshot> snapshots;
    std::vector<env::Done<void>> saving;
    bool stopped = false;
  };
  FakeStore(env::Loop& loop, Log& log) : loop_(loop), log_(log) {}
  void persist(Persist persist, env::Done<void> done) override {
    log_.given.emplace_back(std::move(persist), std::move(done));
  }
  void save_snapshot(Snapshot snapshot, uint64_t, env::Done<void> done) override {
    log_.snapshots.push_back(std::move(snapshot));
    log_.saving.push_back(std::move(done));
  }
  void lend_reserve(env::Done<void> done) override { answer(std::move(done)); }
  void stop(env::Done<void> done) override {
    log_.stopped = true;
    answer(std::move(done));
  }

 private:
  void answer(env::Done<void> done) {
    loop_.post([done = std::move(done)]() mutable { done({}); });
  }
  env::Loop& loop_;
  Log& log_;
};

class Driver : public ::testing::Test, public Sender, public StateMachine {
 protected:
  Driver() {
    node_.start([](env::World&) { return std::make_unique<sim::Program>(); });
  }

  void start(uint32_t members, DriverOptions options = {}) {
    StoredState stored = Raft::bootstrap(voters(members));
    stored.incarnation = Incarnation(1);
    driver_ = std::make_unique<RaftDriver>(loop(), member(1), options, std::move(stored),
                                           std::make_unique<FakeStore>(loop(), store_), Prng(1),
                                           *this, *this);
    ASSERT_TRUE(driver_->start().has_value());
  }
  ~Driver() override { driver_.reset(); }

  env::Loop& loop() { return node_.world().loop; }
  void run(Duration time = milliseconds(1)) {
    sim_.run_until(sim_.now() + time);
    if (driver_) driver_->check_invariants();
  }
  // What the store was given and has not answered.
  size_t waiting() const { return store_.given.size() - answered_; }
  void answer(Status status = {}) {
    store_.given[answered_++].second(std::move(status));
    run();
  }
  void answer_all() {
    while (waiting() > 0) answer();
  }
  void lead_alone(DriverOptions options = {}) {
    start(1, options);
    run();
    answer_all();
    ASSERT_TRUE(driver_->leads());
  }

  void lead_three() {
    start(3);
    run(milliseconds(200));  // asks for pre-votes
    receive(2, Term(1), VoteResponse{.pre = true, .granted = true});
    answer_all();
    receive(2, Term(2), VoteResponse{.granted = true});
    answer_all();
    ASSERT_TRUE(driver_->leads());
  }

  void send(Message message) override { sent_.push_back(std::move(message)); }
  Status restore(Index index, const Slice&) override {
    applied_ = index;
    return {};
  }
  Status apply(Index index, Term, EntryKind kind, const Slice& data) override {
    EXPECT_EQ(index, applied_.next());
    applied_ = index;
    if (kind == EntryKind::command) commands_.push_back(to_string(data));
    return {};
  }
  Slice take_snapshot() override { return bytes("state"); }

  // The next proposal's outcome.
  std::shared_ptr<std::optional<Result<Index>>> propose(std::string_view text) {
    auto out = std::make_shared<std::optional<Result<Index>>>();
    driver_->propose(bytes(text), [this, out](Result<Index> done) {
      if (done) {
        EXPECT_GE(applied_, *done);
      }
      *out = std::move(done);
    });
    EXPECT_FALSE(out->has_value()) << "completed inside the call";
    return out;
  }
  void receive(uint32_t from, Term term, Body body) {
    driver_->receive({member(from), member(1), term, Incarnation(1), std::move(body)});
    run();
  }

  sim::Simulation sim_{1};
  sim::Node& node_ = sim_.add_node({});
  FakeStore::Log store_;
  size_t answered_ = 0;
  std::unique_ptr<RaftDriver> driver_;
  std::vector<Message> sent_;
  Index applied_;
  std::vector<std::string> commands_;
};

TEST_F(Driver, a_vote_leaves_when_its_write_is_durable) {
  start(3);
  receive(2, Term(2), VoteRequest{.last_index = Index(1), .last_term = Term(1)});
  ASSERT_EQ(waiting(), 1u);
  EXPECT_EQ(store_.given[0].first.hard->vote, member(2));
  EXPECT_TRUE(sent_.empty());
  answer();
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_TRUE(std::get<VoteResponse>(sent_[0].body).granted);
}

TEST_F(Driver, a_proposal_completes_after_it_was_applied) {
  lead_alone();
  const auto outcome = propose("a");
  run();
  EXPECT_FALSE(outcome->has_value());
  answer_all();
  ASSERT_TRUE(outcome->has_value());
  EXPECT_EQ((*outcome)->value(), applied_);
  EXPECT_EQ(commands_, std::vector<std::string>{"a"});
}

TEST_F(Driver, what_a_turn_brings_is_one_write) {
  lead_alone();
  const size_t before = store_.given.size();
  const auto first = propose("a");
  const auto second = propose("b");
  run();
  ASSERT_EQ(store_.given.size(), before + 1);
  EXPECT_EQ(store_.given.back().first.entries.size(), 2u);
  answer_all();
  EXPECT_TRUE((**first).has_value());
  EXPECT_TRUE((**second).has_value());
}

TEST_F(Driver, a_proposal_without_leadership_is_refused_before_it_is_appended) {
  start(3);
  run();
  const auto outcome = propose("a");
  run();
  ASSERT_TRUE(outcome->has_value());
  EXPECT_EQ((*outcome)->error().code, Errc::not_leader);
}

TEST_F(Driver, a_full_disk_steps_down_and_comes_back) {
  lead_alone();
  const auto outcome = propose("a");
  run();
  answer(fail(Errc::no_space));
  EXPECT_FALSE(driver_->leads());
  EXPECT_FALSE(driver_->can_persist());
  ASSERT_TRUE(outcome->has_value());
  EXPECT_EQ((*outcome)->error().code, Errc::outcome_unknown);
  const auto refused = propose("b");
  run();
  EXPECT_EQ((*refused)->error().code, Errc::no_space);
  // The same is given again, until it is taken.
  run(milliseconds(150));
  ASSERT_EQ(waiting(), 1u);
  EXPECT_EQ(store_.given.back().first.entries.size(), 1u);
  answer();
  EXPECT_TRUE(driver_->can_persist());
  run(milliseconds(200));
  answer_all();
  EXPECT_TRUE(driver_->leads());
  EXPECT_EQ(commands_, std::vector<std::string>{"a"});
}

TEST_F(Driver, a_refused_write_does_not_take_a_later_term_back) {
  start(3);
  receive(2, Term(2),
          AppendRequest{.prev_index = Index(1),
                        .prev_term = Term(1),
                        .entries = {{Term(2), EntryKind::command, bytes("x")}}});
  receive(3, Term(3), VoteRequest{.transfer = true, .last_index = Index(9), .last_term = Term(2)});
  ASSERT_EQ(waiting(), 2u);
  answer(fail(Errc::no_space));
  answer();
  run(milliseconds(150));
  ASSERT_EQ(waiting(), 1u);
  EXPECT_EQ(store_.given.back().first.entries.size(), 1u);
  EXPECT_FALSE(store_.given.back().first.hard.has_value());
  sent_.clear();
  answer();
  ASSERT_FALSE(sent_.empty());
  EXPECT_TRUE(std::get<VoteResponse>(sent_.back().body).granted);
}

TEST_F(Driver, a_proposal_is_unknown_once_leadership_is_lost) {
  lead_three();
  const auto outcome = propose("a");
  run();
  receive(3, Term(9), AppendRequest{.prev_index = Index(1), .prev_term = Term(1)});
  ASSERT_TRUE(outcome->has_value());
  EXPECT_EQ((*outcome)->error().code, Errc::outcome_unknown);
}

TEST_F(Driver, a_snapshot_is_taken_by_count_and_forgets_what_it_covers) {
  lead_alone({.raft = {.keep_entries = 0}, .snapshot_entries = 5, .keep_entries = 0});
  for (const char* text : {"a", "b", "c", "d", "e"}) {
    (void)propose(text);
    run();
    answer_all();
  }
  ASSERT_EQ(store_.snapshots.size(), 1u);
  EXPECT_EQ(store_.snapshots[0].meta.index, Index(5));
  EXPECT_EQ(store_.snapshots[0].meta.configuration, voters(1));
  EXPECT_EQ(driver_->machine().first_index(), Index(1));
  store_.saving[0]({});
  run();
  EXPECT_EQ(driver_->machine().first_index(), Index(6));
}

TEST_F(Driver, a_read_waits_until_what_it_must_see_is_applied) {
  lead_alone();
  const auto outcome = propose("a");
  std::optional<Result<Index>> read;
  driver_->read([&read](Result<Index> done) { read = std::move(done); });
  EXPECT_FALSE(read.has_value());
  run();
  ASSERT_TRUE(read.has_value());
  EXPECT_LE(**read, applied_);
  answer_all();
  EXPECT_TRUE((**outcome).has_value());
}

TEST_F(Driver, a_stop_answers_all_and_waits_for_the_disk) {
  lead_alone();
  const auto outcome = propose("a");
  run();
  bool stopped = false;
  driver_->stop([&stopped](Status s) { stopped = s.has_value(); });
  run();
  ASSERT_TRUE(outcome->has_value());
  EXPECT_EQ((*outcome)->error().code, Errc::outcome_unknown);
  EXPECT_FALSE(store_.stopped);
  answer();
  EXPECT_TRUE(store_.stopped);
  EXPECT_TRUE(stopped);
  const auto late = propose("b");
  run();
  EXPECT_EQ((*late)->error().code, Errc::stopping);
}

TEST_F(Driver,
       a_leader_whose_disk_is_stuck_hands_over_and_leads_again_only_when_its_write_has_ended) {
  lead_three();
  const auto outcome = propose("a");
  run();
  ASSERT_GT(waiting(), 0u);
  const auto heard = [this] {
    // The others are there all the time.
    receive(2, driver_->machine().term(), AppendResponse{.accepted = true, .index = Index(1)});
  };
  for (int i = 0; i < 90 && driver_->leads(); ++i) {
    EXPECT_LT(driver_->oldest_unsynced(), seconds(1));
    heard();
    run(milliseconds(10));
  }
  for (int i = 0; i < 20 && driver_->leads(); ++i) {
    heard();
    run(milliseconds(10));
  }
  EXPECT_FALSE(driver_->leads());
  EXPECT_GE(driver_->oldest_unsynced(), seconds(1));
  EXPECT_FALSE(driver_->can_persist());
  run(seconds(5));
  EXPECT_NE(driver_->machine().role(), Role::candidate) << "it does not stand";
  answer_all();
  EXPECT_TRUE(driver_->can_persist());
  EXPECT_EQ(driver_->oldest_unsynced(), Duration{});
}

TEST_F(Driver, a_lone_voter_with_a_stuck_disk_goes_on_to_lead_for_nobody_else_can) {
  lead_alone();
  const auto outcome = propose("a");
  run(seconds(5));
  EXPECT_TRUE(driver_->leads());
  EXPECT_GE(driver_->oldest_unsynced(), seconds(1));
  answer_all();
  ASSERT_TRUE(outcome->has_value());
  EXPECT_TRUE((*outcome)->has_value());
}

}  // namespace
}  // namespace bascule::raft
