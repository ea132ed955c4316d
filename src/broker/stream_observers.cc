#include "src/broker/stream_observers.h"

#include <algorithm>
#include <variant>

#include "src/base/assert.h"
#include "src/broker/bounds.h"

namespace bascule::broker {

StreamObservers::StreamObservers(env::Loop& loop, const controller::MetadataTable& table)
    : loop_(loop), table_(table) {}

void StreamObservers::observe(StreamObserver& observer) {
  REQUIRE(entries_.size() < bounds::k_stream_observers_max, entries_.size());
  auto entry = std::make_shared<Entry>();
  entry->observer = &observer;
  entries_.push_back(entry);
  loop_.post(scope_.wrap([this, entry] { begin(*entry); }));
}

void StreamObservers::forget(StreamObserver& observer) {
  std::erase_if(entries_, [&](const std::shared_ptr<Entry>& entry) {
    if (entry->observer != &observer) return false;
    entry->observer = nullptr;  // it may be forgotten from inside its own call
    return true;
  });
}

void StreamObservers::begin(Entry& entry) {
  entry.began = true;
  std::vector<StreamId> ids;
  for (const auto& [id, stream] : table_.state().streams) ids.push_back(id);
  for (const StreamId id : ids) tell(entry, id);
}

void StreamObservers::tell(Entry& entry, StreamId stream) {
  const controller::StreamEntry* now = table_.stream(stream);
  if (entry.observer == nullptr || now == nullptr) return;
  entry.told.insert(stream);
  entry.observer->stream_changed({.id = stream, .config = now->config});
}

void StreamObservers::changed(const std::vector<controller::Change>& changes) {
  const std::vector<std::shared_ptr<Entry>> entries = entries_;
  for (const std::shared_ptr<Entry>& entry : entries) {
    if (!entry->began) continue;
    for (const controller::Change& change : changes) {
      if (const auto* created = std::get_if<controller::StreamCreated>(&change))
        tell(*entry, created->stream);
      const auto* deleted = std::get_if<controller::StreamDeleted>(&change);
      if (deleted != nullptr && entry->told.erase(deleted->stream.id) != 0 &&
          entry->observer != nullptr)
        entry->observer->stream_removed(deleted->stream.id);
    }
  }
}

}  // namespace bascule::broker
