// Who decides where the disk model leaves a choice: a seed in campaigns, or a depth-first search in
// exhaustive runs of a small scope. Option 0 is the harshest everywhere: nothing unsynced survives.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/world/random.h"

namespace bascule::sim {

class Chooser {
 public:
  virtual ~Chooser() = default;
  // In [0, options). Requires options > 0. A choice of one option is no choice and is not recorded.
  virtual uint32_t choose(Address at, uint32_t options) = 0;
  // Whole operations are chosen over, not each sector by itself: keeps exhaustive runs finite.
  virtual bool coarse() const { return false; }
};

class SeededChooser final : public Chooser {
 public:
  explicit SeededChooser(uint64_t seed) : seed_(seed) {}
  uint32_t choose(Address at, uint32_t options) override {
    return static_cast<uint32_t>(draw_below(seed_, at, options));
  }

 private:
  uint64_t seed_;
};

// The worst legal outcome: option 0, always.
class WorstChooser final : public Chooser {
 public:
  uint32_t choose(Address, uint32_t) override { return 0; }
  bool coarse() const override { return true; }
};

// Walks all sequences of choices: run the same deterministic program once per path, `advance()`
// between runs until it returns false. Paths are enumerated in lexicographic order.
class SystematicChooser final : public Chooser {
 public:
  uint32_t choose(Address at, uint32_t options) override;
  bool coarse() const override { return true; }

  // Prepares the next path. False: all were walked.
  bool advance();
  // Choices made on the path of this run.
  size_t depth() const { return at_; }
  const std::vector<uint32_t>& path() const { return taken_; }
  // Follows `prefix` first: replays one path, or walks one subtree.
  void start_with(std::vector<uint32_t> prefix);

 private:
  std::vector<uint32_t> taken_;
  std::vector<uint32_t> options_;
  size_t fixed_ = 0;  // choices of the prefix, which advance() leaves alone
  size_t at_ = 0;
};

}  // namespace bascule::sim
