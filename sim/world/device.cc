#include "sim/world/device.h"

#include <algorithm>

#include "sim/world/life.h"
#include "sim/world/operations.h"

namespace bascule::sim {

std::string_view disk_fault_name(DiskFault fault) {
  switch (fault) {
    case DiskFault::sync_kept_dirty: return "sync_kept_dirty";
    case DiskFault::sync_marked_clean: return "sync_marked_clean";
    case DiskFault::sync_dropped: return "sync_dropped";
    case DiskFault::write_error: return "write_error";
    case DiskFault::read_error: return "read_error";
    case DiskFault::misdirected_write: return "misdirected_write";
    case DiskFault::misdirected_read: return "misdirected_read";
  }
  return "?";
}

Device::Device(Simulation& sim, NodeId node, const DiskOptions& options)
    : sim_(sim),
      node_(node),
      source_{0x1'0000'0000u | node.value, 0},
      options_(options),
      storage_(options.bytes_max) {
  reboot();
}

void Device::reboot() {
  const Address at{Domain::boot_id, node_.value, 2 * boots_++};
  boot_id_ =
      Uuid{{draw(sim_.seed(), at), draw(sim_.seed(), {at.domain, at.entity, at.ordinal + 1})}};
}

uint64_t Device::draw_number(Domain domain, uint64_t ordinal, uint64_t bound) const {
  return draw_below(sim_.seed(), {domain, node_.value, ordinal}, bound);
}

void Device::start(Life* life, std::unique_ptr<Operation> operation, Duration base) {
  const uint64_t number = ++operations_;
  Duration latency = base;
  if (!options_.fixed_latency && life != nullptr) {
    const uint64_t roll = draw(sim_.seed(), {Domain::disk_latency, node_.value, number});
    latency =
        Duration{base.ns / 2 + static_cast<int64_t>(((roll >> 6) % 1024) *
                                                    static_cast<uint64_t>(base.ns) * 3 / 2 / 1024)};
    if (roll % 64 == 0) latency = latency * 10;
  }
  operation->latency = latency;
  in_flight_.emplace(number, InFlight{std::move(operation), life, {}});
  schedule(number, latency * slowness_);
}

void Device::schedule(uint64_t number, Duration latency) {
  in_flight_.at(number).event =
      sim_.at(sim_.now() + latency, source_, [this, number] { finish(number); });
}

void Device::finish(uint64_t number) {
  const auto it = in_flight_.find(number);
  if (it == in_flight_.end()) return;
  if (stuck_) {
    parked_.push_back(number);
    return;
  }
  if (!traps_.empty()) {
    spring_traps();
    // A crash has decided about it, or has begun another life.
    if (!in_flight_.contains(number)) return;
  }
  std::unique_ptr<Operation> operation = std::move(it->second.operation);
  Life* life = it->second.life;
  in_flight_.erase(it);
  operation->perform(*this);
  if (life == nullptr) return;
  life->arrive([operation = std::move(operation)] { operation->complete(); });
}

void Device::at_operation(uint64_t count, env::Task task) {
  traps_.push_back({count, std::move(task)});
}

void Device::spring_traps() {
  std::vector<env::Task> sprung;
  for (Trap& trap : traps_) {
    if (trap.count-- <= 1) sprung.push_back(std::move(trap.task));
  }
  std::erase_if(traps_, [](const Trap& trap) { return trap.task == nullptr; });
  for (env::Task& task : sprung) task();
}

bool Device::take_armed(DiskFault fault) {
  const auto it = std::ranges::find(armed_, fault);
  if (it == armed_.end()) return false;
  armed_.erase(it);
  std::string name = "fault.";
  name += disk_fault_name(fault);
  sim_.count(name);
  sim_.tell("disk " + std::to_string(node_.value), name);
  return true;
}

void Device::set_stuck(bool stuck) {
  stuck_ = stuck;
  if (stuck) return;
  std::vector<uint64_t> parked = std::move(parked_);
  parked_.clear();
  for (const uint64_t number : parked) {
    if (in_flight_.contains(number)) schedule(number, in_flight_.at(number).operation->latency);
  }
}

void Device::set_full(bool full) { storage_.set_bytes_max(full ? 0 : options_.bytes_max); }

bool Device::pick_place(uint64_t pick, std::string_view suffix, Damage& out) const {
  std::vector<std::pair<std::string, InodeId>> candidates;
  uint64_t total = 0;
  for (std::string& path : storage_.files()) {
    if (!path.ends_with(suffix)) continue;
    const InodeId inode = *storage_.find(path);
    if (storage_.size(inode) == 0) continue;
    total += storage_.size(inode);
    candidates.emplace_back(std::move(path), inode);
  }
  if (total == 0) return false;
  uint64_t at = pick % total;
  for (auto& [path, inode] : candidates) {
    const uint64_t size = storage_.size(inode);
    if (at < size) {
      out.path = path;
      out.inode = inode;
      out.position = at;
      out.size = 1;
      out.at = sim_.now();
      return true;
    }
    at -= size;
  }
  return false;
}

bool Device::rot(uint64_t pick, std::string_view path_suffix) {
  Damage damage{Damage::Kind::rot, {}, 0, 0, 0, {}};
  if (!pick_place(pick, path_suffix, damage)) return false;
  const auto bit = static_cast<uint8_t>(1u << (mix64(pick) % 8));
  storage_.flip(damage.inode, damage.position, bit);
  sim_.trace().add(0xb17, damage.position);
  sim_.tell("disk " + std::to_string(node_.value),
            "rot in " + damage.path + " at " + std::to_string(damage.position));
  damage_.push_back(std::move(damage));
  return true;
}

bool Device::spoil(uint64_t pick, std::string_view path_suffix) {
  Damage damage{Damage::Kind::unreadable, {}, 0, 0, 0, {}};
  if (!pick_place(pick, path_suffix, damage)) return false;
  const uint64_t sector = damage.position / env::k_sector_bytes;
  storage_.spoil_sector(damage.inode, sector);
  damage.position = sector * env::k_sector_bytes;
  damage.size = env::k_sector_bytes;
  sim_.trace().add(0xb18, damage.position);
  sim_.tell("disk " + std::to_string(node_.value),
            "unreadable sector in " + damage.path + " at " + std::to_string(damage.position));
  damage_.push_back(std::move(damage));
  return true;
}

bool Device::lose_directory(uint64_t pick) {
  const std::vector<std::string> directories = storage_.directories();
  if (directories.empty()) return false;
  const std::string& path = directories[static_cast<size_t>(pick % directories.size())];
  if (!storage_.lose_directory(path)) return false;
  sim_.trace().add(0xb19, pick);
  sim_.tell("disk " + std::to_string(node_.value), "lost directory " + path);
  damage_.push_back({Damage::Kind::lost_directory, path, 0, 0, 0, sim_.now()});
  return true;
}

void Device::replace() {
  storage_ = Storage(options_.bytes_max);
  sim_.trace().add(0xb20, 0);
  damage_.push_back({Damage::Kind::replaced, "", 0, 0, 0, sim_.now()});
}

void Device::roll_back(const Storage& earlier) {
  storage_ = earlier;
  sim_.trace().add(0xb21, 0);
  damage_.push_back({Damage::Kind::rolled_back, "", 0, 0, 0, sim_.now()});
}

std::vector<Storage::Flight> Device::flights() const {
  std::vector<Storage::Flight> out;
  for (const auto& [number, flight] : in_flight_) {
    if (const auto* write = dynamic_cast<const WriteOperation*>(flight.operation.get())) {
      out.push_back(write->flight());
    } else if (const auto* orphan = dynamic_cast<const OrphanWrite*>(flight.operation.get())) {
      out.push_back(orphan->flight());
    }
  }
  std::erase_if(out, [&](const Storage::Flight& f) { return !storage_.exists(f.inode); });
  return out;
}

Storage Device::crash_image(Chooser& chooser, uint64_t address) const {
  return storage_.crash_image(chooser, address, flights());
}

void Device::process_died(Life& life) {
  std::vector<uint64_t> mine;
  for (const auto& [number, flight] : in_flight_) {
    if (flight.life == &life) mine.push_back(number);
  }
  for (const uint64_t number : mine) {
    const auto it = in_flight_.find(number);
    sim_.cancel(it->second.event);
    std::unique_ptr<Operation> operation = std::move(it->second.operation);
    in_flight_.erase(it);
    operation->orphaned(*this, number);
    // What it holds goes with the life, not now: we may be inside a turn of it.
    life.bury([operation = std::move(operation)] { (void)operation; });
  }
  std::erase_if(parked_, [&](uint64_t number) { return !in_flight_.contains(number); });
  if (lock_holder_ != nullptr) {
    lock_holder_ = nullptr;
    // Mostly at once, now and then a second: the kernel lets go when the last operation has ended.
    const uint64_t drawn =
        sim_.chooser().coarse() ? 0 : draw_number(Domain::disk_lock, life.number(), 1'000'000'000);
    const uint64_t hold = drawn % 8 == 0 ? drawn : drawn / 1000;
    lock_free_at_ = sim_.now() + Duration{static_cast<int64_t>(hold)};
  }
}

void Device::power_loss() {
  const uint64_t address = mix64((static_cast<uint64_t>(node_.value) << 32) + ++crashes_);
  const std::vector<Storage::Flight> flying = flights();
  storage_.crash(sim_.chooser(), address, flying);
  for (auto& [number, flight] : in_flight_) sim_.cancel(flight.event);
  // All that is left is of dead lives: their operations hold no completions.
  in_flight_.clear();
  parked_.clear();
  lock_free_at_ = sim_.now();
  reboot();
  sim_.trace().add(0xb22, boots_);
}

}  // namespace bascule::sim
