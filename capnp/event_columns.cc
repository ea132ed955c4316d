#include "capnp/event_columns.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "capnp/metadata_values.h"
#include "src/controller/command.h"

namespace bascule::capnp_codec {
namespace {

namespace schema = metadata_schema;
using model::Event;
using Events = schema::Snapshot::Events;

// A column of numbers, where any is not 0.
template <class Init, class Field>
void write_column(const std::deque<Event>& events, Init init, Field field) {
  if (std::ranges::all_of(events, [&](const Event& e) { return field(e) == 0; })) return;
  auto list = init(static_cast<unsigned>(events.size()));
  unsigned at = 0;
  for (const Event& e : events) list.set(at++, field(e));
}

template <class Init, class Field>
void write_texts(const std::deque<Event>& events, Init init, Field field) {
  if (std::ranges::all_of(events, [&](const Event& e) { return field(e).empty(); })) return;
  auto list = init(static_cast<unsigned>(events.size()));
  unsigned at = 0;
  for (const Event& e : events) {
    if (!field(e).empty()) list.set(at, field(e));
    ++at;
  }
}

struct Run {
  Index index;
  uint32_t first = 0;
  uint32_t count = 0;
};

void write_runs(Events::Builder out, const std::deque<Event>& events) {
  std::vector<Run> runs;
  for (const Event& e : events) {
    const model::EventPosition& p = e.position;
    if (runs.empty() || runs.back().index != p.index ||
        runs.back().first + runs.back().count != p.ordinal)
      runs.push_back({p.index, p.ordinal, 0});
    ++runs.back().count;
  }
  auto list = out.initRuns(static_cast<unsigned>(runs.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    list[i].setIndex(runs[i].index.value);
    list[i].setFirst(runs[i].first);
    list[i].setCount(runs[i].count);
  }
}

void write_sets(Events::Builder out, const std::deque<Event>& events) {
  size_t members = 0;
  for (const Event& e : events) members += e.nodes.size();
  if (members == 0) return;
  auto sizes = out.initSetSizes(static_cast<unsigned>(events.size()));
  auto list = out.initSetMembers(static_cast<unsigned>(members));
  unsigned at = 0;
  unsigned next = 0;
  for (const Event& e : events) {
    sizes.set(at++, static_cast<uint8_t>(e.nodes.size()));
    for (const NodeId node : e.nodes) list.set(next++, node.value);
  }
}

Error misfit() { return {Errc::corrupt, "metadata: columns of events that do not fit"}; }

// What `take(event, value)` makes of each value.
template <class List, class Take>
Status read_column(const List& list, std::deque<Event>& events, Take take) {
  if (list.size() == 0) return {};
  if (list.size() != events.size()) return fail(misfit());
  unsigned at = 0;
  for (Event& e : events) BASCULE_TRY(take(e, list[at++]));
  return {};
}

template <class T, class Member>
auto into(Member member) {
  return [member](Event& e, auto value) -> Status {
    member(e) = T(value);
    return {};
  };
}

Status read_positions(Events::Reader in, std::deque<Event>& events, size_t max) {
  for (const auto run : in.getRuns()) {
    const uint32_t count = run.getCount();
    const uint32_t first = run.getFirst();
    if (count == 0 || count > max - events.size() || first > UINT32_MAX - count)
      return fail(misfit());
    for (uint32_t i = 0; i < count; ++i)
      events.push_back({.position = {Index(run.getIndex()), first + i}});
  }
  return {};
}

Status read_sets(Events::Reader in, std::deque<Event>& events) {
  const auto members = in.getSetMembers();
  unsigned next = 0;
  BASCULE_TRY(read_column(in.getSetSizes(), events, [&](Event& e, uint8_t size) -> Status {
    if (size > controller::k_replicas_max || size > members.size() - next) return fail(misfit());
    for (unsigned i = 0; i < size; ++i) e.nodes.emplace_back(members[next++]);
    return {};
  }));
  return next == members.size() ? Status() : fail(misfit());
}

Status read_kind(Event& e, uint8_t kind) {
  if (kind == 0) return fail(Errc::corrupt, "metadata: an event of no kind");
  if (kind > model::k_event_kinds)
    return fail(Errc::unsupported, "metadata: an event of a later program");
  e.kind = static_cast<model::EventKind>(kind);
  return {};
}

}  // namespace

void write_events(Events::Builder out, const std::deque<Event>& events) {
  write_runs(out, events);
  write_column(
      events, [&](unsigned n) { return out.initKinds(n); },
      [](const Event& e) { return static_cast<uint8_t>(e.kind); });
  write_column(
      events, [&](unsigned n) { return out.initNodes(n); },
      [](const Event& e) { return e.node.value; });
  write_column(
      events, [&](unsigned n) { return out.initIncarnations(n); },
      [](const Event& e) { return e.incarnation.value; });
  write_column(
      events, [&](unsigned n) { return out.initStreams(n); },
      [](const Event& e) { return e.partition.stream.value; });
  write_column(
      events, [&](unsigned n) { return out.initPartitions(n); },
      [](const Event& e) { return e.partition.index.value; });
  write_column(
      events, [&](unsigned n) { return out.initEpochs(n); },
      [](const Event& e) { return e.epoch.value; });
  write_column(
      events, [&](unsigned n) { return out.initNumbers(n); },
      [](const Event& e) { return e.number; });
  write_sets(out, events);
  write_texts(
      events, [&](unsigned n) { return out.initNames(n); },
      [](const Event& e) -> const std::string& { return e.name; });
  write_texts(
      events, [&](unsigned n) { return out.initDetails(n); },
      [](const Event& e) -> const std::string& { return e.detail; });
}

Result<std::deque<Event>> read_events(Events::Reader in, size_t max) {
  std::deque<Event> events;
  const auto kinds = in.getKinds();
  if (kinds.size() > max) return fail(misfit());
  BASCULE_TRY(read_positions(in, events, kinds.size()));
  if (kinds.size() != events.size()) return fail(misfit());
  BASCULE_TRY(read_column(kinds, events, read_kind));
  BASCULE_TRY(
      read_column(in.getNodes(), events, into<NodeId>([](Event& e) -> NodeId& { return e.node; })));
  BASCULE_TRY(
      read_column(in.getIncarnations(), events,
                  into<Incarnation>([](Event& e) -> Incarnation& { return e.incarnation; })));
  BASCULE_TRY(read_column(in.getStreams(), events, into<StreamId>([](Event& e) -> StreamId& {
                            return e.partition.stream;
                          })));
  BASCULE_TRY(read_column(
      in.getPartitions(), events,
      into<PartitionIndex>([](Event& e) -> PartitionIndex& { return e.partition.index; })));
  BASCULE_TRY(
      read_column(in.getEpochs(), events, into<Epoch>([](Event& e) -> Epoch& { return e.epoch; })));
  BASCULE_TRY(read_column(in.getNumbers(), events,
                          into<uint64_t>([](Event& e) -> uint64_t& { return e.number; })));
  BASCULE_TRY(read_sets(in, events));
  BASCULE_TRY(
      read_column(in.getNames(), events, [](Event& e, ::capnp::Text::Reader text) -> Status {
        BASCULE_TRY_ASSIGN(e.name, read_label(text));
        return {};
      }));
  BASCULE_TRY(
      read_column(in.getDetails(), events, [](Event& e, ::capnp::Text::Reader text) -> Status {
        BASCULE_TRY_ASSIGN(e.detail, read_label(text));
        return {};
      }));
  return events;
}

}  // namespace bascule::capnp_codec
