#include "io/cli/event_format.h"

#include <nlohmann/json.hpp>

namespace bascule::cli {
namespace {

using Json = nlohmann::ordered_json;
using model::Event;
using model::EventKind;

bool of_partition(EventKind kind) {
  return kind == EventKind::leader_changed || kind == EventKind::isr_changed ||
         kind == EventKind::data_lost || kind == EventKind::unclean_election ||
         kind == EventKind::recovered_with_loss;
}

// Nobody leads is told too: there node 0 means something.
bool says_node(const Event& e) { return e.node || e.kind == EventKind::leader_changed; }

}  // namespace

Result<broker::EventsStart> parse_events_start(std::string_view text) {
  if (text == "earliest") return broker::EventsFromKept{};
  if (text == "now") return broker::EventsFromNow{};
  auto position = model::parse_event_position(text);
  if (!position) return fail(Errc::invalid, "--from: earliest, now, or a position like 12.3");
  return *position;
}

std::string event_line(const Event& e) {
  std::string out = e.position.to_string() + " " + std::string(event_kind_name(e.kind));
  std::string separator = " ";
  const auto add = [&](const std::string& part) { out += std::exchange(separator, ", ") + part; };
  if (!e.name.empty()) add(e.name);
  if (of_partition(e.kind)) {
    add("partition " + e.partition.to_string());
  } else if (e.partition.stream) {
    add("stream " + e.partition.stream.to_string());
  }
  if (says_node(e)) add(e.node ? "node " + e.node.to_string() : std::string("nobody"));
  if (e.incarnation) add("incarnation " + e.incarnation.to_string());
  if (e.epoch) add("epoch " + e.epoch.to_string());
  if (!e.nodes.empty()) {
    std::string nodes;
    for (const NodeId node : e.nodes) nodes += (nodes.empty() ? "" : " ") + node.to_string();
    add("nodes " + nodes);
  }
  if (e.number != 0) add(std::to_string(e.number));
  if (!e.detail.empty()) add(e.detail);
  return out;
}

std::string event_json(const Event& e) {
  Json out;
  out["position"] = e.position.to_string();
  out["index"] = e.position.index.value;
  out["ordinal"] = e.position.ordinal;
  out["event"] = event_kind_name(e.kind);
  if (!e.name.empty()) out["name"] = e.name;
  if (e.partition.stream) out["stream"] = e.partition.stream.value;
  if (of_partition(e.kind)) out["partition"] = e.partition.index.value;
  if (says_node(e)) out["node"] = e.node.value;
  if (e.incarnation) out["incarnation"] = e.incarnation.value;
  if (e.epoch) out["epoch"] = e.epoch.value;
  if (e.kind == EventKind::isr_changed) {
    out["nodes"] = Json::array();
    for (const NodeId node : e.nodes) out["nodes"].push_back(node.value);
  }
  if (e.number != 0) out["number"] = e.number;
  if (!e.detail.empty()) out["detail"] = e.detail;
  return out.dump();
}

std::string lost_json(const broker::EventsLost& lost) {
  Json out;
  out["event"] = "events_lost";
  if (lost.first_kept) out["first_kept"] = lost.first_kept->to_string();
  return out.dump();
}

}  // namespace bascule::cli
