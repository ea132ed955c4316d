#include "sim/worlds/files.h"

#include <algorithm>

#include "sim/faults/fault_driver.h"
#include "sim/world/network.h"
#include "sim/world/node.h"
#include "src/base/codec.h"

namespace bascule::sim {
namespace {

constexpr uint64_t k_keys = 4;
constexpr uint64_t k_block = env::k_block_bytes;

// What version `version` of a file holds: a function, so that nothing needs to be remembered.
Slice contents(uint64_t seed, uint64_t key, uint64_t version, size_t size, size_t alignment = 16) {
  size = std::max<size_t>(size, 24);
  BufferRef out = BufferRef::allocate(size, alignment);
  uint8_t* at = out.mutable_bytes().data();
  store_le<uint64_t>(at, version);
  store_le<uint64_t>(at + 8, size);
  store_le<uint64_t>(at + 16, key);
  uint64_t word = mix64(seed ^ (version << 20) ^ key);
  for (size_t i = 24; i < size; i += 8) {
    word += 0x9e3779b97f4a7c15;
    std::memcpy(at + i, &word, std::min<size_t>(8, size - i));
  }
  return out;
}

struct Key {
  uint64_t acked = 0;   // highest version that was acknowledged
  uint64_t issued = 0;  // highest version that was asked for
};

// What outlives the lives of the process: the ledger of what was promised.
struct Ledger {
  std::vector<Key> keys = std::vector<Key>(k_keys);
  std::map<uint64_t, bool> blocks;  // position of each synced block: acknowledged?
  uint64_t next_block = 0;
};

std::string key_name(uint64_t key) { return "k" + std::to_string(key); }

// Checks a storage against the ledger, blocks from `from_block` on. Empty: all is well.
std::string check(const Storage& storage, const Ledger& ledger, uint64_t seed,
                  uint64_t from_block = 0) {
  for (uint64_t k = 0; k < k_keys; ++k) {
    const Key& key = ledger.keys[k];
    const auto inode = storage.find("state/" + key_name(k));
    if (!inode) {
      if (key.acked > 0) return key_name(k) + " is gone";
      continue;
    }
    const Slice bytes = storage.read(*inode, 0, 1 << 20);
    if (bytes.size() < 24) return key_name(k) + " is short";
    const auto version = load_le<uint64_t>(bytes.data());
    if (version < key.acked || version > key.issued)
      return key_name(k) + " is version " + std::to_string(version) + ", acknowledged is " +
             std::to_string(key.acked);
    if (!equal(bytes, contents(seed, k, version, bytes.size()))) return key_name(k) + " is torn";
  }
  // A block that was acknowledged is looked at once, and again after each crash.
  for (auto it = ledger.blocks.lower_bound(from_block); it != ledger.blocks.end(); ++it) {
    const auto& [position, acked] = *it;
    if (!acked) continue;
    const auto inode = storage.find("journal");
    if (!inode) return "the journal is gone";
    const Slice bytes = storage.read(*inode, position, k_block);
    if (!equal(bytes, contents(seed, 99, position, k_block)))
      return "acknowledged block at " + std::to_string(position) + " is altered";
  }
  return {};
}

class FilesProgram final : public Program {
 public:
  FilesProgram(env::World& world, Ledger& ledger, uint64_t seed, std::function<void()> acked)
      : world_(world), ledger_(ledger), seed_(seed), acked_(std::move(acked)) {
    world_.disk.make_dir("state", scope_.wrap([this](Status s) {
      if (!s) return stop(s.error());
      sync_names();
    }));
  }

  void put(uint64_t k, size_t size) {
    if (!ready_ || busy_[k]) return;
    const uint64_t version = ++ledger_.keys[k].issued;
    busy_[k] = true;
    env::replace_file(world_.disk, "state", key_name(k), contents(seed_, k, version, size),
                      scope_.wrap([this, k, version](Status s) {
                        busy_[k] = false;
                        if (!s) return stop(s.error());
                        ledger_.keys[k].acked = std::max(ledger_.keys[k].acked, version);
                        acked_();
                      }));
  }

  void append() {
    if (!ready_) return;
    const uint64_t position = ledger_.next_block;
    ledger_.next_block += k_block;
    ledger_.blocks[position] = false;
    journal_->write_at(position, {contents(seed_, 99, position, k_block, k_block)}, env::Sync::yes,
                       scope_.wrap([this, position](Status s) {
                         if (!s) return stop(s.error());
                         ledger_.blocks[position] = true;
                         acked_();
                       }));
  }

 private:
  void sync_names() {
    world_.disk.open("journal", env::OpenMode::create_or_open,
                     scope_.wrap([this](Result<std::unique_ptr<env::File>> file) {
                       if (!file) return stop(file.error());
                       journal_ = std::move(*file);
                       world_.disk.sync_dir("", scope_.wrap([this](Status s) {
                         if (!s) return stop(s.error());
                         ready_ = true;
                       }));
                     }));
  }

  void stop(const Error& error) {
    // Room may come back; a medium that failed may not be trusted.
    if (error.code == Errc::no_space) return;
    world_.loop.fail_stop(error);
  }

  env::World& world_;
  Ledger& ledger_;
  uint64_t seed_;
  std::function<void()> acked_;
  std::unique_ptr<env::File> journal_;
  bool ready_ = false;
  bool busy_[k_keys] = {};
  env::Scope scope_;
};

}  // namespace

Plan FilesWorld::expand(uint64_t seed) const {
  Plan plan;
  plan.world = name();
  plan.seed = seed;
  plan.end = milliseconds(200);
  Swarm swarm(plan, seed);
  Prng& random = swarm.random();
  SimTime at = milliseconds(1);
  const int64_t gap = swarm.pick({20, 200, 1000});
  while (at < milliseconds(150) && plan.operations.size() < 300) {
    if (random.chance(1, 2)) {
      swarm.operation(at, "put",
                      {{"key", static_cast<int64_t>(random.below(k_keys))},
                       {"bytes", static_cast<int64_t>(random.between(24, 3000))}});
    } else {
      swarm.operation(at, "append");
    }
    at = at + Duration{static_cast<int64_t>(random.below(static_cast<uint64_t>(gap) * 2000))};
  }
  FaultMenu menu{.from = milliseconds(1), .until = at};
  menu.damage = false;
  menu.lost_storage = false;
  draw_faults(swarm, menu);
  swarm.finish();
  return plan;
}

Outcome FilesWorld::run(const Plan& plan, const RunOptions& options) const {
  Simulation sim(plan.seed, options.chooser);
  sim.narrate(options.narrate);
  Verdict verdict(sim);
  Ledger ledger;
  Node& node = sim.add_node({.host = "n1", .disk = {}});
  const auto acked = [&] {
    const std::string wrong = check(node.device().storage().worst_image(), ledger, plan.seed,
                                    ledger.next_block - std::min(ledger.next_block, 8 * k_block));
    if (!wrong.empty()) verdict.fire("O2", "in the worst crash image at an ack: " + wrong);
  };
  const auto start = [&](Node& n) {
    n.start([&](env::World& world) {
      return std::make_unique<FilesProgram>(world, ledger, plan.seed, acked);
    });
  };
  FaultDriver faults(sim, plan, start);
  faults.on_death([&](Node&, const Death&) {
    const std::string wrong = check(node.device().storage(), ledger, plan.seed);
    if (!wrong.empty()) verdict.fire("O1", "after a crash: " + wrong);
  });
  start(node);
  faults.begin();
  for (const PlanItem& item : plan.operations) {
    sim.at(item.at, [&sim, &node, &item] {
      auto* program = static_cast<FilesProgram*>(node.program());
      if (program == nullptr) return;
      sim.count("op." + item.verb);
      if (item.verb == "put") {
        program->put(static_cast<uint64_t>(item.get("key")) % k_keys,
                     static_cast<size_t>(item.get("bytes", 100)));
      } else if (item.verb == "append") {
        program->append();
      }
    });
  }
  sim.run_until_true(plan.end, [&] { return verdict.fired(); });
  return outcome_of(sim, verdict);
}

}  // namespace bascule::sim
