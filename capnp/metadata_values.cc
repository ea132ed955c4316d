#include "capnp/metadata_values.h"

#include <cstring>

#include "src/model/limits.h"

namespace bascule::capnp_codec {

namespace schema = metadata_schema;

void write(schema::StreamConfig::Builder out, const model::StreamConfig& c) {
  out.setName(c.name);
  auto subjects = out.initSubjects(static_cast<unsigned>(c.subjects.size()));
  for (unsigned i = 0; i < subjects.size(); ++i) subjects.set(i, c.subjects[i]);
  out.setPartitions(c.partitions);
  out.setReplicas(c.replicas);
  out.setMinIsr(c.min_isr);
  switch (c.durability) {
    case model::DurabilityMode::fsync:
      out.setDurability(schema::StreamConfig::Durability::FSYNC);
      break;
    case model::DurabilityMode::memory:
      out.setDurability(schema::StreamConfig::Durability::MEMORY);
      break;
  }
  switch (c.answers) {
    case model::AnswerMode::automatic:
      out.setAnswers(schema::StreamConfig::Answers::AUTOMATIC);
      break;
    case model::AnswerMode::on: out.setAnswers(schema::StreamConfig::Answers::ON); break;
    case model::AnswerMode::off: out.setAnswers(schema::StreamConfig::Answers::OFF); break;
  }
  out.setRetainAge(c.retain_age.ns);
  out.setRetainBytes(c.retain_bytes);
  out.setRetainMessages(c.retain_messages);
  out.setSegmentBytes(c.segment_bytes);
  out.setMessageBytesMax(c.message_bytes_max);
}

namespace {

// Enumerators come from the message: one of a later program has no name here.
Result<model::DurabilityMode> read(schema::StreamConfig::Durability in) {
  switch (in) {
    case schema::StreamConfig::Durability::FSYNC: return model::DurabilityMode::fsync;
    case schema::StreamConfig::Durability::MEMORY: return model::DurabilityMode::memory;
  }
  return fail(Errc::unsupported, "metadata: a durability mode of a later program");
}

Result<model::AnswerMode> read(schema::StreamConfig::Answers in) {
  switch (in) {
    case schema::StreamConfig::Answers::AUTOMATIC: return model::AnswerMode::automatic;
    case schema::StreamConfig::Answers::ON: return model::AnswerMode::on;
    case schema::StreamConfig::Answers::OFF: return model::AnswerMode::off;
  }
  return fail(Errc::unsupported, "metadata: an answer mode of a later program");
}

}  // namespace

Result<model::StreamConfig> read(schema::StreamConfig::Reader in) {
  model::StreamConfig c;
  BASCULE_TRY(bounded(in.getName(), limits::k_stream_name_bytes_max, "bytes in a stream's name"));
  c.name = std::string(in.getName().begin(), in.getName().size());
  const auto subjects = in.getSubjects();
  BASCULE_TRY(bounded(subjects, limits::k_subjects_per_stream_max, "subjects"));
  for (const auto subject : subjects) {
    BASCULE_TRY(bounded(subject, limits::k_subject_bytes_max, "bytes in a subject"));
    c.subjects.emplace_back(subject.begin(), subject.size());
  }
  c.partitions = in.getPartitions();
  c.replicas = in.getReplicas();
  c.min_isr = in.getMinIsr();
  BASCULE_TRY_ASSIGN(c.durability, read(in.getDurability()));
  BASCULE_TRY_ASSIGN(c.answers, read(in.getAnswers()));
  c.retain_age = Duration{in.getRetainAge()};
  c.retain_bytes = in.getRetainBytes();
  c.retain_messages = in.getRetainMessages();
  c.segment_bytes = in.getSegmentBytes();
  c.message_bytes_max = in.getMessageBytesMax();
  return c;
}

Result<std::string> read_label(::capnp::Text::Reader in) {
  BASCULE_TRY(bounded(in, controller::k_label_bytes_max, "bytes in a label"));
  return std::string(in.begin(), in.size());
}

Bytes finish(::capnp::MessageBuilder& message) {
  const kj::Array<::capnp::word> words = ::capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return Bytes(bytes.begin(), bytes.end());
}

MessageWords::MessageWords(ByteView bytes) {
  const size_t count = bytes.size() / sizeof(::capnp::word);
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(::capnp::word) == 0) {
    words_ = {reinterpret_cast<const ::capnp::word*>(bytes.data()), count};
    return;
  }
  copy_ = kj::heapArray<::capnp::word>(count);
  std::memcpy(copy_.begin(), bytes.data(), count * sizeof(::capnp::word));
  words_ = copy_;
}

::capnp::ReaderOptions MessageWords::options() const {
  ::capnp::ReaderOptions options;
  options.traversalLimitInWords = 2 * words_.size() + 64;
  options.nestingLimit = 16;
  return options;
}

Error shape_error(const kj::Exception& e) {
  return {Errc::corrupt, std::string("metadata: not a message: ") + e.getDescription().cStr()};
}

}  // namespace bascule::capnp_codec
