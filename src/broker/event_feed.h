// The activity of the metadata for whoever asks: answers from the log of events that the table keeps, and holds
// those who wait for the next one.
//
//   read ─ something after its position, or it is lost ─▶ answer
//     └─ nothing ─▶ is this broker current? ─ no ─▶ not_leader: ask another
//                         └─ yes ─▶ wait ─ an event, or the deadline ─▶ answer
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "src/broker/api.h"
#include "src/broker/metadata_reads.h"
#include "src/controller/controller.h"
#include "src/env/world.h"

namespace bascule::broker {

class EventFeed {
 public:
  // All outlive this.
  EventFeed(env::World& world, const controller::Controller& controller, MetadataReads& reads);

  // As Api::read_events.
  void read(ReadEvents request, Done<EventsPage> done);
  // The table has new events.
  void happened();
  // Whoever waits gets `stopping`; so does who comes later.
  void stop();

 private:
  struct Waiting {
    model::EventPosition after;
    uint32_t max = 0;
    Done<EventsPage> done;
    env::TimerId timer;
  };

  std::optional<EventsPage> page_after(model::EventPosition after, uint32_t max) const;
  void begin(ReadEvents request, Done<EventsPage> done);
  void wait(model::EventPosition after, const ReadEvents& request, Done<EventsPage> done);
  void answer(uint64_t number, Result<EventsPage> page);

  env::World& world_;
  const controller::Controller& controller_;
  MetadataReads& reads_;
  uint64_t last_number_ = 0;
  std::map<uint64_t, Waiting> waiting_;  // by number: told in the order of their coming
  size_t reading_ = 0;                   // taken and not answered, those that wait included
  bool stopping_ = false;
  env::Scope scope_;
};

}  // namespace bascule::broker
