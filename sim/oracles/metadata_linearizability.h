// O9: proposals and reads are linearizable. Commands are unique, so the order of a history is that of the log,
// and it is enough that each answer lies behind all answers that were there before its question.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "sim/oracles/raft_history.h"
#include "sim/worlds/world.h"

namespace bascule::sim {

class MetadataLinearizability {
 public:
  MetadataLinearizability(const RaftHistory& history, Verdict& verdict)
      : history_(history), verdict_(verdict) {}

  // What any client has been answered so far: a question that is asked now must see it.
  Index floor() const { return floor_; }

  void proposed(uint64_t command) { commands_.emplace(command, Told{floor_, Outcome::open}); }
  // "committed at `index`": it is there, and behind what was known when it was proposed.
  void acknowledged(uint64_t command, Index index);
  // A definite refusal: it never appears.
  void refused(uint64_t command);
  void unknown(uint64_t command) { commands_.at(command).outcome = Outcome::unknown; }
  // A command was applied by the first member to do so.
  void applied(uint64_t command, Index index);
  // A read that was asked at `floor` was answered with the state as of `index`.
  void read(const std::string& who, Index floor, Index index);

 private:
  enum class Outcome : uint8_t { open, acknowledged, refused, unknown };
  struct Told {
    Index floor;
    Outcome outcome = Outcome::open;
  };

  const RaftHistory& history_;
  Verdict& verdict_;
  Index floor_;
  std::map<uint64_t, Told> commands_;
};

}  // namespace bascule::sim
