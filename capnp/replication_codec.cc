#include "capnp/replication_codec.h"

#include "capnp/peer_values.h"
#include "capnp/replication.capnp.h"

namespace bascule::capnp_codec {
namespace {

namespace schema = replication_schema;

constexpr uint32_t k_format = 1;

template <class Builder>
void write(Builder out, PartitionId id, Epoch epoch) {
  out.setStream(id.stream.value);
  out.setPartition(id.index.value);
  out.setEpoch(epoch.value);
}

template <class Reader>
PartitionId partition_of(Reader in) {
  return {StreamId(in.getStream()), PartitionIndex(in.getPartition())};
}

// Written and durable; `corrupt` where they cannot be so.
template <class Reader>
Result<partition::ReplicaProgress> progress_of(Reader in) {
  const partition::ReplicaProgress p{Offset(in.getWritten()), Offset(in.getDurable())};
  if (p.durable > p.written)
    return fail(Errc::corrupt, "replication: more is durable than written");
  return p;
}

template <class Reader>
Status check_format(Reader in) {
  if (in.getFormat() == k_format) return {};
  return fail(in.getFormat() == 0 ? Errc::corrupt : Errc::unsupported,
              "replication: a message of format " + std::to_string(in.getFormat()));
}

Result<partition::FetchMessage> read(schema::Fetches::Reader in) {
  BASCULE_TRY(check_format(in));
  partition::FetchMessage m;
  m.session = in.getSession();
  BASCULE_TRY(bounded(in.getFetches(), partition::k_fetches_max, "fetches"));
  BASCULE_TRY(bounded(in.getProgress(), partition::k_fetches_max, "reports"));
  for (const auto f : in.getFetches()) {
    BASCULE_TRY_ASSIGN(const partition::ReplicaProgress progress, progress_of(f));
    m.fetches.push_back({.partition = partition_of(f),
                         .epoch = Epoch(f.getEpoch()),
                         .from = Offset(f.getFrom()),
                         .last_epoch = Epoch(f.getLastEpoch()),
                         .hw = Offset(f.getHw()),
                         .progress = progress});
  }
  for (const auto p : in.getProgress()) {
    BASCULE_TRY_ASSIGN(const partition::ReplicaProgress progress, progress_of(p));
    m.progress.push_back({partition_of(p), Epoch(p.getEpoch()), progress});
  }
  return m;
}

Result<partition::AnswerMessage> read(schema::Answers::Reader in,
                                      const std::vector<Slice>& batches) {
  BASCULE_TRY(check_format(in));
  partition::AnswerMessage m;
  m.session = in.getSession();
  BASCULE_TRY(bounded(in.getAnswers(), partition::k_fetches_max, "answers"));
  size_t used = 0;
  for (const auto a : in.getAnswers()) {
    if (a.getOutcome() > static_cast<uint8_t>(partition::k_last_fetch_outcome))
      return fail(Errc::unsupported, "replication: an outcome of a later program");
    if (a.getBatches() > batches.size() - used)
      return fail(Errc::corrupt, "replication: batches are missing");
    partition::FetchAnswer& answer = m.answers.emplace_back();
    answer.partition = partition_of(a);
    answer.epoch = Epoch(a.getEpoch());
    answer.outcome = static_cast<partition::FetchOutcome>(a.getOutcome());
    answer.hw = Offset(a.getHw());
    answer.log_start = Offset(a.getLogStart());
    answer.common_epoch = Epoch(a.getCommonEpoch());
    answer.common_end = Offset(a.getCommonEnd());
    const auto first = batches.begin() + static_cast<ptrdiff_t>(used);
    answer.batches.assign(first, first + static_cast<ptrdiff_t>(a.getBatches()));
    used += a.getBatches();
  }
  if (used != batches.size()) return fail(Errc::corrupt, "replication: batches of no answer");
  return m;
}

}  // namespace

Bytes ReplicationCodec::encode(const partition::FetchMessage& m) const {
  SmallMessage message;
  auto root = message.builder().initRoot<schema::Fetches>();
  root.setFormat(k_format);
  root.setSession(m.session);
  auto fetches = root.initFetches(static_cast<unsigned>(m.fetches.size()));
  for (unsigned i = 0; i < fetches.size(); ++i) {
    const partition::FetchFrom& f = m.fetches[i];
    auto out = fetches[i];
    write(out, f.partition, f.epoch);
    out.setFrom(f.from.value);
    out.setLastEpoch(f.last_epoch.value);
    out.setHw(f.hw.value);
    out.setWritten(f.progress.written.value);
    out.setDurable(f.progress.durable.value);
  }
  auto progress = root.initProgress(static_cast<unsigned>(m.progress.size()));
  for (unsigned i = 0; i < progress.size(); ++i) {
    const partition::ProgressReport& p = m.progress[i];
    write(progress[i], p.partition, p.epoch);
    progress[i].setWritten(p.progress.written.value);
    progress[i].setDurable(p.progress.durable.value);
  }
  return message.finish();
}

Bytes ReplicationCodec::encode(const partition::AnswerMessage& m) const {
  SmallMessage message;
  auto root = message.builder().initRoot<schema::Answers>();
  root.setFormat(k_format);
  root.setSession(m.session);
  auto answers = root.initAnswers(static_cast<unsigned>(m.answers.size()));
  for (unsigned i = 0; i < answers.size(); ++i) {
    const partition::FetchAnswer& a = m.answers[i];
    auto out = answers[i];
    write(out, a.partition, a.epoch);
    out.setOutcome(static_cast<uint8_t>(a.outcome));
    out.setBatches(static_cast<uint32_t>(a.batches.size()));
    out.setHw(a.hw.value);
    out.setLogStart(a.log_start.value);
    out.setCommonEpoch(a.common_epoch.value);
    out.setCommonEnd(a.common_end.value);
  }
  return message.finish();
}

Result<partition::FetchMessage> ReplicationCodec::decode_fetch(ByteView bytes) const {
  return decode_peer_message<schema::Fetches>(bytes, [](auto root) { return read(root); });
}

Result<partition::AnswerMessage> ReplicationCodec::decode_answer(
    ByteView bytes, const std::vector<Slice>& batches) const {
  return decode_peer_message<schema::Answers>(bytes,
                                              [&](auto root) { return read(root, batches); });
}

}  // namespace bascule::capnp_codec
