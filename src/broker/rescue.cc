#include "src/broker/rescue.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "src/controller/metadata_table.h"
#include "src/controller/raft_metadata_log.h"
#include "src/controller/rescued_state.h"
#include "src/env/coroutine.h"

namespace bascule::broker {
namespace {

using controller::Identity;
using controller::MetadataTable;
using env::call;
using env::Co;

constexpr uint64_t k_small_file_max = 64 << 10;
constexpr Duration k_answer_time = seconds(2);

// What a survivor's disk holds, and the table that its whole log comes to.
struct Known {
  Identity identity;
  raft::StoredState stored;
  std::optional<MetadataTable> table;
  raft::Configuration members;  // the last that its log has

  Index last_index() const {
    return Index(stored.snapshot.meta.index.value + stored.entries.size());
  }
  Term last_term() const {
    return stored.entries.empty() ? stored.snapshot.meta.term : stored.entries.back().term;
  }
};

bool has_majority(const std::vector<raft::Member>& voters, const std::vector<NodeId>& lost) {
  const auto left = std::ranges::count_if(voters, [&](const raft::Member& m) {
    return std::ranges::find(lost, m.id.node) == lost.end();
  });
  return static_cast<size_t>(left) > voters.size() / 2;
}

class Rescuing {
 public:
  Rescuing(env::World& world, raft::DiskStoreOptions store, const controller::CommandCodec* codec)
      : world_(world), store_(std::move(store)), codec_(codec), scope_(world.loop) {}

  env::CoScope& scope() { return scope_; }

  Co<Survivor> inspect() {
    Known known;
    auto status = co_await load(known);
    if (!status) co_return fail(std::move(status.error()));
    Survivor out;
    out.identity = known.identity;
    out.last_term = known.last_term();
    out.last_index = known.last_index();
    out.configuration = known.members;
    out.streams = known.table->state().streams.size();
    out.partitions = known.table->partition_count();
    out.rescues = known.table->state().rescues;
    co_return out;
  }

  // Not by value: see coroutine.h.
  Co<Uuid> rescue(RescueRequest& request) {
    Known known;
    auto status = co_await load(known);
    if (!status) co_return fail(std::move(status.error()));
    status = check_lost(known, request.lost);
    if (!status) co_return fail(std::move(status.error()));
    status = co_await nobody_answers(known.members, request.lost);
    if (!status) co_return fail(std::move(status.error()));
    auto state = controller::rescued_state(known.table->state(), {.node = known.identity.node,
                                                                  .cluster = world_.random.uuid(),
                                                                  .last_known = known.last_index(),
                                                                  .decided = request.decided});
    if (!state) co_return fail(std::move(state.error()));
    raft::StoredState initial;
    status = begin_with(known, *state, initial);
    if (!status) co_return fail(std::move(status.error()));
    status = co_await replace_store(known.identity, initial);
    if (!status) co_return fail(std::move(status.error()));
    Identity identity = known.identity;
    identity.cluster = state->cluster;
    status = co_await write_identity(identity);
    if (!status) co_return fail(std::move(status.error()));
    co_return identity.cluster;
  }

  Co<void> let_rejoin() {
    Identity identity;
    auto status = co_await read_identity(identity);
    if (!status) co_return status;
    // The identity first: one that names no cluster has a store that nobody relies on.
    if (identity.cluster) {
      Identity free = identity;
      free.cluster = {};
      status = co_await write_identity(free);
      if (!status) co_return status;
    }
    const raft::StoredState nothing;
    co_return co_await replace_store(identity, nothing);
  }

 private:
  Co<void> load(Known& known) {
    auto status = co_await read_identity(known.identity);
    if (!status) co_return status;
    if (!known.identity.cluster)
      co_return fail(Errc::invalid, "the data directory belongs to no cluster");
    status = co_await put_staged_in_place();
    if (!status) co_return status;
    auto opened = co_await call<raft::OpenedStore>([this, &known](auto done) {
      raft::open_raft_store(world_, store_, known.identity.storage, std::move(done));
    });
    if (!opened && opened.error().code == Errc::not_found)
      co_return fail(Errc::corrupt, "the metadata is lost: " + opened.error().context);
    if (!opened) co_return fail(std::move(opened.error()));
    known.stored = std::move(opened->state);
    opened->store.reset();
    status = replay(known);
    if (!status) co_return status;
    co_return co_await finish_identity(known);
  }

  Co<void> read_identity(Identity& out) {
    auto synced = co_await call<void>(
        [this](env::Done<void> done) { world_.disk.sync_dir("", std::move(done)); });
    if (!synced) co_return synced;
    auto file = co_await call<Slice>([this](env::Done<Slice> done) {
      env::read_file(world_.disk, "identity", k_small_file_max, std::move(done));
    });
    if (!file)
      co_return fail(file.error().code == Errc::not_found ? Errc::invalid : file.error().code,
                     "the file 'identity' cannot be read: is this a data directory?");
    auto identity = controller::decode_identity(*file);
    if (!identity) co_return fail(std::move(identity.error()));
    out = *identity;
    co_return Status();
  }

  // All that is in the log counts, whether it was committed or not.
  Status replay(Known& known) const {
    const raft::Snapshot& snapshot = known.stored.snapshot;
    known.table.emplace(known.identity.cluster);
    if (snapshot.meta.index) {
      BASCULE_TRY_ASSIGN(auto state, codec_->decode_snapshot(snapshot.data));
      if (state.applied != snapshot.meta.index)
        return fail(Errc::corrupt, "metadata snapshot: of another entry");
      BASCULE_TRY_ASSIGN(known.table, MetadataTable::restore(std::move(state)));
    }
    known.members = snapshot.meta.configuration;
    Index index = snapshot.meta.index;
    for (const raft::Entry& entry : known.stored.entries) {
      index = index.next();
      if (entry.kind == raft::EntryKind::configuration) {
        BASCULE_TRY_ASSIGN(known.members, raft::decode_configuration(entry.data));
      }
      if (entry.kind != raft::EntryKind::command) continue;
      BASCULE_TRY_ASSIGN(const ByteView bytes, controller::command_of_entry(entry.data));
      BASCULE_TRY_ASSIGN(const controller::Command command, codec_->decode_command(bytes));
      (void)known.table->apply(index, command);
    }
    return known.table->find_broken_invariant();
  }

  static Status check_lost(const Known& known, const std::vector<NodeId>& lost) {
    const raft::Configuration& members = known.members;
    const NodeId self = known.identity.node;
    if (members.find({self, known.identity.storage}) == nullptr)
      return fail(Errc::invalid, "node " + self.to_string() +
                                     " is no member of the cluster that its own log knows");
    if (std::ranges::find(lost, self) != lost.end())
      return fail(Errc::invalid, "node " + self.to_string() + " is this one, and is not lost");
    for (const NodeId node : lost) {
      const auto is_it = [node](const raft::Member& m) { return m.id.node == node; };
      if (std::ranges::none_of(members.voters, is_it) &&
          std::ranges::none_of(members.outgoing, is_it))
        return fail(Errc::invalid, "node " + node.to_string() + " is no voter");
    }
    const bool decides = has_majority(members.voters, lost) &&
                         (!members.joint() || has_majority(members.outgoing, lost));
    if (!decides) return {};
    std::vector<NodeId> left;
    for (const raft::Member& m : members.voters)
      if (std::ranges::find(lost, m.id.node) == lost.end()) left.push_back(m.id.node);
    return fail(Errc::invalid, "without " + nodes_text(lost) + " there still is a majority (" +
                                   nodes_text(left) +
                                   "): start those, then replace what is lost with `bascule "
                                   "cluster add --replace`");
  }

  Co<void> nobody_answers(const raft::Configuration& members, const std::vector<NodeId>& lost) {
    const std::vector<raft::Member> all = members.all();
    for (size_t i = 0; i < all.size(); ++i) {
      if (std::ranges::find(lost, all[i].id.node) == lost.end()) continue;
      auto address = env::parse_address(all[i].address);
      if (!address) continue;
      auto stream = co_await call<std::unique_ptr<env::Stream>>([this, &address](auto done) {
        world_.network.connect(*address, k_answer_time, std::move(done));
      });
      if (stream)
        co_return fail(Errc::busy, "node " + all[i].id.node.to_string() + " answers at " +
                                       all[i].address + ": it is not lost");
    }
    co_return Status();
  }

  // The new store: a snapshot, and one voter.
  Status begin_with(const Known& known, const controller::MetadataState& state,
                    raft::StoredState& out) const {
    BASCULE_TRY_ASSIGN(const Bytes bytes, codec_->encode_snapshot(state));
    out.hard.term = std::max(known.stored.hard.term, known.last_term()).next();
    out.snapshot.meta.index = state.applied;
    out.snapshot.meta.term = out.hard.term;
    out.snapshot.meta.configuration.voters = {
        *known.members.find({known.identity.node, known.identity.storage})};
    out.snapshot.data = Slice::copy_of(bytes);
    return {};
  }

  // --- Step by step ---------------------------------------------------------------------------------

  Co<bool> exists(const std::string& directory) {
    auto entries = co_await call<std::vector<env::DirEntry>>(
        [this](auto done) { world_.disk.list("", std::move(done)); });
    if (!entries) co_return fail(std::move(entries.error()));
    co_return std::ranges::find(*entries, directory, &env::DirEntry::name) != entries->end();
  }

  Co<void> move(const std::string& from, const std::string& to) {
    auto moved = co_await call<void>([this, &from, &to](env::Done<void> done) {
      world_.disk.rename(from, to, std::move(done));
    });
    if (!moved) co_return moved;
    co_return co_await call<void>(
        [this](env::Done<void> done) { world_.disk.sync_dir("", std::move(done)); });
  }

  Co<void> write_identity(const Identity& identity) {
    const Slice bytes = Slice::copy_of(controller::encode_identity(identity));
    co_return co_await call<void>([this, &bytes](env::Done<void> done) {
      env::replace_file(world_.disk, "", "identity", bytes, std::move(done));
    });
  }

  Co<void> replace_store(const Identity& identity, const raft::StoredState& initial) {
    raft::DiskStoreOptions staged = store_;
    staged.directory = staged_;
    auto status = co_await call<void>([this, &staged, &identity, &initial](env::Done<void> done) {
      raft::format_raft_store(world_, staged, identity.storage, initial, std::move(done));
    });
    if (!status) co_return status;
    // What was there is kept, under the first name that is free.
    std::string aside;
    for (int n = 1;; ++n) {
      aside = store_.directory + "-before-rescue-" + std::to_string(n);
      auto taken = co_await exists(aside);
      if (!taken) co_return fail(std::move(taken.error()));
      if (!*taken) break;
    }
    auto there = co_await exists(store_.directory);
    if (!there) co_return fail(std::move(there.error()));
    if (*there) {
      status = co_await move(store_.directory, aside);
      if (!status) co_return status;
    }
    co_return co_await put_staged_in_place();
  }

  // Also where a rescue was cut short right before it.
  Co<void> put_staged_in_place() {
    auto there = co_await exists(store_.directory);
    if (!there) co_return fail(std::move(there.error()));
    if (*there) co_return Status();
    auto staged = co_await exists(staged_);
    if (!staged) co_return fail(std::move(staged.error()));
    if (!*staged) co_return fail(Errc::corrupt, "the directory '" + store_.directory + "' is lost");
    co_return co_await move(staged_, store_.directory);
  }

  // A rescue that was cut short right before its last step.
  Co<void> finish_identity(Known& known) {
    const controller::MetadataState& state = known.table->state();
    if (state.cluster == known.identity.cluster) co_return Status();
    if (state.rescues.empty() || state.rescues.back().cluster_before != known.identity.cluster)
      co_return fail(Errc::corrupt, "the metadata is of cluster " + state.cluster.to_string() +
                                        ", the directory of " + known.identity.cluster.to_string());
    known.identity.cluster = state.cluster;
    const Identity& identity = known.identity;
    co_return co_await write_identity(identity);
  }

  env::World& world_;
  const raft::DiskStoreOptions store_;
  const std::string staged_ = store_.directory + "-rescued";  // the new store, until it is in place
  const controller::CommandCodec* codec_;                     // null: nothing is decoded
  env::CoScope scope_;
};

// Runs `begin(rescuing)`, whose object outlives it.
template <class T, class Begin>
void run(env::World& world, const std::shared_ptr<Rescuing>& rescuing, Begin begin,
         env::Done<T> done) {
  rescuing->scope().spawn<T>(
      begin(), [&world, rescuing, done = std::move(done)](Result<T> result) mutable {
        world.loop.post([rescuing, done = std::move(done), result = std::move(result)]() mutable {
          done(std::move(result));
        });
      });
}

}  // namespace

std::string nodes_text(const std::vector<NodeId>& nodes) {
  std::string out = nodes.size() == 1 ? "node " : "nodes ";
  for (size_t i = 0; i < nodes.size(); ++i) out += (i == 0 ? "" : ", ") + nodes[i].to_string();
  return nodes.empty() ? "no node" : out;
}

void inspect_survivor(env::World& world, raft::DiskStoreOptions store,
                      const controller::CommandCodec& codec, env::Done<Survivor> done) {
  const auto rescuing = std::make_shared<Rescuing>(world, std::move(store), &codec);
  run<Survivor>(world, rescuing, [&] { return rescuing->inspect(); }, std::move(done));
}

void rescue(env::World& world, raft::DiskStoreOptions store, const controller::CommandCodec& codec,
            RescueRequest request, env::Done<Uuid> done) {
  const auto rescuing = std::make_shared<Rescuing>(world, std::move(store), &codec);
  const auto kept = std::make_shared<RescueRequest>(std::move(request));
  run<Uuid>(
      world, rescuing, [&] { return rescuing->rescue(*kept); },
      [kept, done = std::move(done)](Result<Uuid> cluster) mutable { done(std::move(cluster)); });
}

void let_rejoin(env::World& world, raft::DiskStoreOptions store, env::Done<void> done) {
  const auto rescuing = std::make_shared<Rescuing>(world, std::move(store), nullptr);
  run<void>(world, rescuing, [&] { return rescuing->let_rejoin(); }, std::move(done));
}

}  // namespace bascule::broker
