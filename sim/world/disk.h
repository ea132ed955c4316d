// env::Disk of one life: operations of the life on the machine's Device.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/world/device.h"
#include "src/env/disk.h"

namespace bascule::sim {

class SimDisk final : public env::Disk {
 public:
  SimDisk(Device& device, Life& life) : device_(device), life_(life) {}
  ~SimDisk() override;

  void open(std::string path, env::OpenMode mode,
            env::Done<std::unique_ptr<env::File>> done) override;
  void make_dir(std::string path, env::Done<void> done) override;
  void list(std::string path, env::Done<std::vector<env::DirEntry>> done) override;
  void rename(std::string from, std::string to, env::Done<void> done) override;
  void remove(std::string path, env::Done<void> done) override;
  void sync_dir(std::string path, env::Done<void> done) override;
  void free_bytes(env::Done<uint64_t> done) override;
  void lock(env::Done<void> done) override;
  Uuid boot_id() const override { return device_.boot_id(); }
  std::string_view kind() const override { return "simulated"; }

 private:
  Device& device_;
  Life& life_;
};

}  // namespace bascule::sim
