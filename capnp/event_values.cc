#include "capnp/event_values.h"

#include <string>
#include <utility>

#include "capnp/wire_values.h"

namespace bascule::rpc {
namespace {

using model::Event;
using model::EventPosition;

void write_position(wire::EventPosition::Builder out, const EventPosition& position) {
  out.setIndex(position.index.value);
  out.setOrdinal(position.ordinal);
}

EventPosition read_position(wire::EventPosition::Reader in) {
  return {Index(in.getIndex()), in.getOrdinal()};
}

void write_event(wire::Event::Builder out, const Event& event) {
  write_position(out.initPosition(), event.position);
  out.setKind(static_cast<uint16_t>(event.kind));
  out.setKindName(std::string(model::event_kind_name(event.kind)));
  out.setNode(event.node.value);
  out.setIncarnation(event.incarnation.value);
  out.setStream(event.partition.stream.value);
  out.setPartition(event.partition.index.value);
  out.setEpoch(event.epoch.value);
  out.setNumber(event.number);
  auto nodes = out.initNodes(static_cast<kj::uint>(event.nodes.size()));
  for (kj::uint i = 0; i < nodes.size(); ++i) nodes.set(i, event.nodes[i].value);
  out.setName(event.name);
  out.setDetail(event.detail);
}

Event read_event(wire::Event::Reader in) {
  Event event;
  event.position = read_position(in.getPosition());
  event.kind =
      in.getKind() <= UINT8_MAX ? static_cast<model::EventKind>(in.getKind()) : model::EventKind{};
  event.node = NodeId(in.getNode());
  event.incarnation = Incarnation(in.getIncarnation());
  event.partition = {StreamId(in.getStream()), PartitionIndex(in.getPartition())};
  event.epoch = Epoch(in.getEpoch());
  event.number = in.getNumber();
  for (const uint32_t node : in.getNodes()) event.nodes.emplace_back(node);
  event.name = read_text(in.getName());
  event.detail = read_text(in.getDetail());
  return event;
}

}  // namespace

void write_events_start(wire::EventsStart::Builder out, const broker::EventsStart& start) {
  if (const auto* after = std::get_if<EventPosition>(&start)) {
    write_position(out.initAfter(), *after);
  } else if (std::holds_alternative<broker::EventsFromNow>(start)) {
    out.setNow();
  } else {
    out.setKept();
  }
}

Result<broker::EventsStart> read_events_start(wire::EventsStart::Reader in) {
  switch (in.which()) {
    case wire::EventsStart::KEPT: return broker::EventsFromKept{};
    case wire::EventsStart::NOW: return broker::EventsFromNow{};
    case wire::EventsStart::AFTER: return read_position(in.getAfter());
  }
  return fail(Errc::unsupported, "events: a start of a later program");
}

void write_page(wire::Cluster::EventsResults::Builder out, const broker::EventsPage& page) {
  auto events = out.initEvents(static_cast<kj::uint>(page.events.size()));
  for (kj::uint i = 0; i < events.size(); ++i) write_event(events[i], page.events[i]);
  write_position(out.initNext(), page.next);
  if (!page.lost) return;
  auto lost = out.initLost();
  write_position(lost.initAfter(), page.lost->after);
  if (page.lost->first_kept) write_position(lost.initFirstKept(), *page.lost->first_kept);
}

broker::EventsPage read_page(wire::Cluster::EventsResults::Reader in) {
  broker::EventsPage page;
  for (const auto event : in.getEvents()) page.events.push_back(read_event(event));
  page.next = read_position(in.getNext());
  if (!in.hasLost()) return page;
  const auto lost = in.getLost();
  page.lost = broker::EventsLost{read_position(lost.getAfter()), std::nullopt};
  if (lost.hasFirstKept()) page.lost->first_kept = read_position(lost.getFirstKept());
  return page;
}

}  // namespace bascule::rpc
