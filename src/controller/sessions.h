// The sessions of brokers with the active controller: a pure machine, made anew by each controller when it
// begins to lead.
//
//   heartbeat, process_gone ─► Sessions ─ tick(now, table) ─► one FenceBrokers, UnfenceBrokers, who should resign
//
// Safety never depends on it: fencing and unfencing are judged when they are applied. A new controller has
// heard of nobody yet, so it fences none before a full session timeout after it began to lead, but those
// whose process is proven to be gone. (DESIGN §4, REPLICATION rule 14)
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "src/base/ids.h"
#include "src/base/time.h"
#include "src/controller/metadata_table.h"

namespace bascule::controller {

struct Heartbeat {
  NodeId node;
  Incarnation incarnation;
  // It has applied its registration and recovered its logs: it may be unfenced.
  bool ready = false;
  Duration oldest_unsynced = {};  // age of its oldest write that is not synced; 0: there is none
};

struct SessionActions {
  FenceBrokers fence;                  // all that are over, in one command; empty: none
  std::vector<UnfenceBroker> unfence;  // live ones that were fenced wrongly, or are ready now
  std::vector<BrokerLife> resign;      // unfenced, and their disks have stopped making progress
};

class Sessions {
 public:
  explicit Sessions(MonotonicTime began) : began_(began) {}

  void heartbeat(const Heartbeat& heartbeat, MonotonicTime now);
  // Its connections ended and two connects were refused: the process is no more. A later heartbeat of the
  // same life proves the contrary.
  void process_gone(NodeId node, Incarnation incarnation, MonotonicTime now);

  // As the node's last heartbeat said.
  Duration oldest_unsynced(NodeId node) const;

  // What is to be proposed. Asked again before that has been applied, it says the same again: a driver has
  // one proposal on its way at a time.
  SessionActions tick(MonotonicTime now, const MetadataTable& table);
  // When tick() may have something new without a heartbeat; never() where nobody is unfenced.
  MonotonicTime next_deadline(const MetadataTable& table) const;

 private:
  struct Session {
    Incarnation incarnation = {};
    MonotonicTime heard = {};  // latest heartbeat; before began_ where there was none
    bool heartbeats = false;
    bool gone = false;
    bool ready = false;
    Duration oldest_unsynced = {};
  };

  const Session* session_of(const BrokerEntry& broker) const;
  MonotonicTime over_at(const BrokerEntry& broker, Duration timeout) const;

  const MonotonicTime began_;
  std::map<NodeId, Session>
      sessions_;  // at most k_brokers_max, of registered brokers after each tick
};

// The broker's side: a leader that has had no contact to the controller for a session timeout stops
// leading. Contact counts from when the heartbeat was sent, not from when its answer came.
class ControllerContact {
 public:
  explicit ControllerContact(MonotonicTime began) : last_(began) {}
  // The controller has answered a heartbeat that was sent at `sent`.
  void confirmed(MonotonicTime sent) { last_ = std::max(last_, sent); }
  bool may_lead(MonotonicTime now, Duration timeout) const { return now - last_ < timeout; }
  MonotonicTime over_at(Duration timeout) const { return last_ + timeout; }

 private:
  MonotonicTime last_;
};

}  // namespace bascule::controller
