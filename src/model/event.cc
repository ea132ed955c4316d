#include "src/model/event.h"

#include <charconv>

namespace bascule::model {
namespace {

template <class T>
bool parse_number(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

}  // namespace

Result<EventPosition> parse_event_position(std::string_view text) {
  const size_t dot = text.find('.');
  EventPosition out;
  const bool whole = dot == std::string_view::npos;
  if (!parse_number(text.substr(0, dot), out.index.value) ||
      (!whole && !parse_number(text.substr(dot + 1), out.ordinal)))
    return fail(Errc::invalid, "not a position of an event, like 12.3: " + std::string(text));
  return out;
}

std::string_view event_kind_name(EventKind kind) {
  switch (kind) {
    case EventKind::broker_registered: return "broker_registered";
    case EventKind::broker_unfenced: return "broker_unfenced";
    case EventKind::broker_fenced: return "broker_fenced";
    case EventKind::broker_removed: return "broker_removed";
    case EventKind::storage_lost: return "storage_lost";
    case EventKind::stream_created: return "stream_created";
    case EventKind::stream_deleted: return "stream_deleted";
    case EventKind::leader_changed: return "leader_changed";
    case EventKind::isr_changed: return "isr_changed";
    case EventKind::data_lost: return "data_lost";
    case EventKind::unclean_election: return "unclean_election";
    case EventKind::recovered_with_loss: return "recovered_with_loss";
    case EventKind::feature_level: return "feature_level";
    case EventKind::setting_changed: return "setting_changed";
    case EventKind::rescued: return "rescued";
  }
  return "unknown";
}

}  // namespace bascule::model
