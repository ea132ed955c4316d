// One simulated machine with a Raft store on it, and a model of what it may hold after a crash: what some
// number of the first calls made, all that were completed among them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/world/node.h"
#include "src/raft/disk_store.h"

namespace bascule::raft {

inline Uuid test_storage() { return Uuid{{0xabc, 0xdef}}; }
inline MemberId test_member(uint32_t n) { return {NodeId(n), Uuid{{n, n}}}; }

inline Entry make_entry(uint64_t term, const std::string& text) {
  return {Term(term), EntryKind::command, Slice::copy_of(as_bytes(text))};
}
inline Snapshot make_snapshot(Index index, Term term) {
  Snapshot s;
  s.meta.index = index;
  s.meta.term = term;
  s.meta.configuration.voters = {{test_member(1), "host:1"}};
  s.data = Slice::copy_of(as_bytes("state " + index.to_string() + " " + term.to_string()));
  return s;
}

// What calls make of a store, without a disk.
struct StoreModel {
  HardState hard;
  Index base;  // of the last snapshot that was installed
  Term base_term;
  std::vector<Entry> entries;  // base + 1, …

  Index last() const { return Index(base.value + entries.size()); }
  std::optional<Term> term_at(Index index) const {
    if (index == base) return base_term;
    if (index < base || index > last()) return std::nullopt;
    return entries[static_cast<size_t>(index.value - base.value - 1)].term;
  }
  void apply(const Persist& p) {
    if (p.snapshot) {
      const SnapshotMeta& m = p.snapshot->meta;
      if (term_at(m.index) == m.term) {
        entries.erase(entries.begin(),
                      entries.begin() + static_cast<std::ptrdiff_t>(m.index.value - base.value));
      } else {
        entries.clear();
      }
      base = m.index;
      base_term = m.term;
    }
    if (p.first) {
      entries.resize(static_cast<size_t>(p.first.value - base.value - 1));
      entries.insert(entries.end(), p.entries.begin(), p.entries.end());
    }
    if (p.hard) hard = *p.hard;
  }
  // Whether a store with this in it may say `s` of itself.
  bool is(const StoredState& s) const {
    const SnapshotMeta& m = s.snapshot.meta;
    if (s.hard != hard || m.index < base || m.index > last()) return false;
    if (m.index && term_at(m.index) != m.term) return false;
    if (m.index.value + s.entries.size() != last().value) return false;
    return std::equal(s.entries.begin(), s.entries.end(),
                      entries.begin() + static_cast<std::ptrdiff_t>(m.index.value - base.value));
  }
};

struct StoreProgram final : sim::Program {
  explicit StoreProgram(env::World& w) : world(w) {}
  env::World& world;
  std::optional<Error> open_error;
  OpenedStore opened;
};

class StoreMachine {
 public:
  explicit StoreMachine(uint64_t seed, sim::DiskOptions disk = {}, sim::Chooser* chooser = nullptr)
      : sim(seed, chooser) {
    sim::NodeOptions node_options;
    node_options.disk = disk;
    node = &sim.add_node(node_options);
    options.extent_bytes = 16 << 10;
    options.reserve_bytes = 64 << 10;
  }

  // --- Lives.
  void start() {
    node->start([this](env::World& w) {
      auto p = std::make_unique<StoreProgram>(w);
      open(*p, true);
      return p;
    });
  }
  StoreProgram* program() { return static_cast<StoreProgram*>(node->program()); }
  bool opened() { return program() != nullptr && program()->opened.store != nullptr; }
  std::optional<Error> open_error() {
    return program() == nullptr ? std::nullopt : program()->open_error;
  }
  bool wait_open() {
    sim.run_until_true(sim.now() + seconds(60),
                       [&] { return !node->alive() || opened() || open_error().has_value(); });
    return opened();
  }
  void start_and_wait() {
    start();
    ASSERT_TRUE(wait_open()) << (open_error() ? open_error()->to_string() : "the process died");
    check();
  }
  void stop() {
    bool stopped = false;
    program()->opened.store->stop([&](Status s) {
      EXPECT_TRUE(s.has_value());
      stopped = true;
    });
    ASSERT_TRUE(sim.run_until_true(sim.now() + seconds(60), [&] { return stopped; }));
    program()->opened.store.reset();
    node->exit();
  }
  Store& store() { return *program()->opened.store; }
  const StoredState& state() { return program()->opened.state; }

  // --- Calls. What all of them have made so far is `latest`.
  void persist(Persist p, bool urgent = false) {
    const size_t number = calls.size();
    calls.push_back({p, std::nullopt});
    latest.apply(p);
    auto done = [this, number, life = node->lives()](Status s) {
      ASSERT_EQ(life, node->lives());
      ASSERT_TRUE(number == 0 || calls[number - 1].answer) << "out of order";
      calls[number].answer = s ? std::nullopt : std::optional(s.error().code);
      if (s) calls[number].answer = Errc{};
    };
    if (urgent) {
      store().persist_urgent(std::move(p), std::move(done));
    } else {
      store().persist(std::move(p), std::move(done));
    }
  }
  void vote(uint64_t term, uint32_t node_id) {
    Persist p;
    p.hard = HardState{Term(term), node_id == 0 ? MemberId{} : test_member(node_id)};
    persist(std::move(p));
  }
  void append(uint64_t term, std::vector<size_t> sizes, bool urgent = false) {
    replace(latest.last().next(), term, std::move(sizes), urgent);
  }
  void replace(Index first, uint64_t term, std::vector<size_t> sizes, bool urgent = false) {
    Persist p;
    p.first = first;
    for (const size_t size : sizes) {
      std::string text = std::to_string(++texts_) + "-";
      text.resize(std::max(size, text.size()), 'x');
      p.entries.push_back(make_entry(term, text));
    }
    persist(std::move(p), urgent);
  }
  void install(Index index, Term term, Index first = {}, std::vector<size_t> sizes = {}) {
    Persist p;
    p.snapshot = make_snapshot(index, term);
    p.first = first;
    for (const size_t size : sizes)
      p.entries.push_back(make_entry(term.value, std::string(size, 'i')));
    persist(std::move(p));
  }
  void snapshot(Index index, uint64_t keep = 0) {
    const Term term = *latest.term_at(index);
    ++snapshots_begun;
    store().save_snapshot(make_snapshot(index, term), keep, [this, index](Status s) {
      if (s) own_snapshot = std::max(own_snapshot, index);
      snapshots.push_back(std::move(s));
    });
  }
  bool quiet() const {
    return (calls.empty() || calls.back().answer) && snapshots.size() == snapshots_begun;
  }
  bool wait_quiet() {
    return sim.run_until_true(sim.now() + seconds(60), [&] { return quiet() || !node->alive(); }) &&
           node->alive();
  }
  Errc answer() const { return calls.back().answer.value_or(Errc::busy); }  // Errc{}: success

  // What is recovered must be what some number of the first calls made, all completed ones among them;
  // from now on that is what there is.
  void check() {
    StoreModel model = base;
    std::optional<StoreModel> found;
    size_t completed = 0;
    for (size_t i = 0; i < calls.size(); ++i)
      if (calls[i].answer == Errc{}) completed = i + 1;
    for (size_t n = 0; n <= calls.size(); ++n) {
      if (n >= completed && model.is(state())) found = model;
      if (n < calls.size() && calls[n].answer.value_or(Errc{}) == Errc{})
        model.apply(calls[n].persist);
    }
    ASSERT_TRUE(found.has_value())
        << "term " << state().hard.term.value << ", snapshot " << state().snapshot.meta.index.value
        << ", entries " << state().entries.size() << "; completed " << completed << " of "
        << calls.size();
    const SnapshotMeta& m = state().snapshot.meta;
    ASSERT_GE(m.index, own_snapshot);
    if (m.index) {
      const Snapshot expected = make_snapshot(m.index, m.term);
      ASSERT_EQ(m, expected.meta);
      ASSERT_TRUE(equal(state().snapshot.data, expected.data));
    }
    base = latest = *found;
    own_snapshot = m.index;
    calls.clear();
    snapshots.clear();
    snapshots_begun = 0;
  }

  std::string path(int place, const std::string& suffix) {
    const std::string prefix = std::string("metadata/") + (place == 0 ? "a/" : "b/");
    std::string last;
    for (const std::string& f : node->device().storage().files())
      if (f.starts_with(prefix) && f.ends_with(suffix)) last = f;
    return last;
  }
  void flip(int place, const std::string& suffix, uint64_t position) {
    sim::Storage& storage = node->device().storage();
    storage.flip(*storage.find(path(place, suffix)), position, 0x40);
  }
  size_t count_files(const std::string& suffix) {
    return static_cast<size_t>(
        std::ranges::count_if(node->device().storage().files(),
                              [&](const std::string& f) { return f.ends_with(suffix); }));
  }

  struct Call {
    Persist persist;
    std::optional<Errc> answer;  // Errc{}: success
  };
  sim::Simulation sim;
  sim::Node* node;
  DiskStoreOptions options;
  StoredState initial;
  std::vector<Call> calls;  // of this life
  StoreModel base;          // when it began
  StoreModel latest;
  Index own_snapshot;
  size_t snapshots_begun = 0;
  std::vector<Status> snapshots;

 private:
  void open(StoreProgram& p, bool may_format) {
    open_raft_store(
        p.world, options, test_storage(), [this, &p, may_format](Result<OpenedStore> r) {
          if (r) {
            p.opened = std::move(*r);
          } else if (r.error().code == Errc::not_found && may_format) {
            format_raft_store(p.world, options, test_storage(), initial, [this, &p](Status s) {
              if (!s) {
                p.open_error = s.error();
              } else {
                open(p, false);
              }
            });
          } else {
            p.open_error = r.error();
          }
        });
  }

  uint64_t texts_ = 0;
};

}  // namespace bascule::raft
