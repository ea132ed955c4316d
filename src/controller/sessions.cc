#include "src/controller/sessions.h"

#include <algorithm>

namespace bascule::controller {

void Sessions::heartbeat(const Heartbeat& heartbeat, MonotonicTime now) {
  const auto at = sessions_.find(heartbeat.node);
  if (at == sessions_.end() && sessions_.size() >= k_brokers_max) return;
  Session& s = at == sessions_.end() ? sessions_[heartbeat.node] : at->second;
  if (heartbeat.incarnation < s.incarnation) return;  // of an earlier life, late
  s = {.incarnation = heartbeat.incarnation,
       .heard = now,
       .heartbeats = true,
       .gone = false,
       .ready = heartbeat.ready,
       .oldest_unsynced = heartbeat.oldest_unsynced};
}

void Sessions::process_gone(NodeId node, Incarnation incarnation, MonotonicTime now) {
  const auto at = sessions_.find(node);
  if (at == sessions_.end() && sessions_.size() >= k_brokers_max) return;
  Session& s = at == sessions_.end() ? sessions_[node] : at->second;
  if (incarnation < s.incarnation) return;
  if (incarnation > s.incarnation) s = {.incarnation = incarnation, .heard = now};
  s.gone = true;
}

Duration Sessions::oldest_unsynced(NodeId node) const {
  const auto at = sessions_.find(node);
  return at == sessions_.end() ? Duration{} : at->second.oldest_unsynced;
}

const Sessions::Session* Sessions::session_of(const BrokerEntry& broker) const {
  const auto at = sessions_.find(broker.node);
  return at != sessions_.end() && at->second.incarnation == broker.incarnation ? &at->second
                                                                               : nullptr;
}

MonotonicTime Sessions::over_at(const BrokerEntry& broker, Duration timeout) const {
  const Session* s = session_of(broker);
  if (s != nullptr && s->gone) return began_;
  return (s != nullptr && s->heartbeats ? std::max(s->heard, began_) : began_) + timeout;
}

SessionActions Sessions::tick(MonotonicTime now, const MetadataTable& table) {
  const Settings settings = table.settings();
  SessionActions out;
  std::erase_if(sessions_, [&](const auto& entry) {
    const BrokerEntry* b = table.broker(entry.first);
    const bool stale = b == nullptr || entry.second.incarnation < b->incarnation;
    return stale && now - entry.second.heard >= settings.session_timeout;
  });
  for (const auto& [node, b] : table.state().brokers) {
    const Session* s = session_of(b);
    const bool over = over_at(b, settings.session_timeout) <= now;
    if (!b.fenced) {
      if (over) {
        out.fence.brokers.push_back({node, b.incarnation});
      } else if (s != nullptr && s->oldest_unsynced >= settings.unsynced_write_max) {
        out.resign.push_back({node, b.incarnation});
      }
    } else if (s != nullptr && s->heartbeats && s->ready && !over &&
               !table.state().lost_storages.contains(b.storage)) {
      out.unfence.push_back({node, b.incarnation});
    }
  }
  return out;
}

MonotonicTime Sessions::next_deadline(const MetadataTable& table) const {
  const Duration timeout = table.settings().session_timeout;
  MonotonicTime next = MonotonicTime::never();
  for (const auto& [node, b] : table.state().brokers) {
    if (!b.fenced) next = std::min(next, over_at(b, timeout));
  }
  return next;
}

}  // namespace bascule::controller
