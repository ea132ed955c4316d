// Raft's messages. Entries and chunks of snapshots are attachments of the frame and are not copied here.
#include <utility>

#include "capnp/peer_codec.h"
#include "capnp/peer_values.h"

namespace bascule::capnp_codec {
namespace {

namespace schema = peers_schema;
using capnp_codec::read;
using capnp_codec::write;

void write(schema::MemberId::Builder out, const raft::MemberId& id) {
  out.setNode(id.node.value);
  write(out.initStorage(), id.storage);
}
raft::MemberId read(schema::MemberId::Reader in) {
  return {NodeId(in.getNode()), read(in.getStorage())};
}

// Entries of one term and kind stand together: a message has one run, seldom two.
size_t run_end(const std::vector<raft::Entry>& entries, size_t first) {
  size_t end = first + 1;
  while (end < entries.size() && entries[end].term == entries[first].term &&
         entries[end].kind == entries[first].kind)
    ++end;
  return end;
}

struct Encode {
  schema::RaftMessage::Builder out;
  std::vector<Slice>& attachments;

  Status operator()(const raft::VoteRequest& m) {
    auto r = out.initVoteRequest();
    r.setPre(m.pre);
    r.setTransfer(m.transfer);
    r.setLastIndex(m.last_index.value);
    r.setLastTerm(m.last_term.value);
    return {};
  }
  Status operator()(const raft::VoteResponse& m) {
    auto r = out.initVoteResponse();
    r.setPre(m.pre);
    r.setGranted(m.granted);
    return {};
  }
  Status operator()(const raft::AppendRequest& m) {
    if (m.entries.size() > peers::k_attachments_max)
      return fail(Errc::too_large, "raft message: too many entries");
    auto r = out.initAppendRequest();
    r.setPrevIndex(m.prev_index.value);
    r.setPrevTerm(m.prev_term.value);
    r.setCommit(m.commit.value);
    r.setRound(m.round);
    unsigned runs = 0;
    for (size_t i = 0; i < m.entries.size(); i = run_end(m.entries, i)) ++runs;
    auto list = r.initRuns(runs);
    unsigned run = 0;
    for (size_t i = 0; i < m.entries.size(); ++run) {
      const size_t end = run_end(m.entries, i);
      list[run].setTerm(m.entries[i].term.value);
      list[run].setKind(static_cast<uint8_t>(m.entries[i].kind));
      list[run].setCount(static_cast<uint32_t>(end - i));
      i = end;
    }
    attachments.reserve(m.entries.size());
    for (const raft::Entry& entry : m.entries) attachments.push_back(entry.data);
    return {};
  }
  Status operator()(const raft::AppendResponse& m) {
    auto r = out.initAppendResponse();
    r.setAccepted(m.accepted);
    r.setIndex(m.index.value);
    r.setLastIndex(m.last_index.value);
    r.setConflictTerm(m.conflict_term.value);
    r.setConflictFirst(m.conflict_first.value);
    r.setRound(m.round);
    return {};
  }
  Status operator()(const raft::SnapshotRequest& m) {
    auto r = out.initSnapshotRequest();
    r.setIndex(m.meta.index.value);
    r.setTerm(m.meta.term.value);
    if (m.meta.configuration != raft::Configuration{}) {
      const Bytes configuration = raft::encode_configuration(m.meta.configuration);
      r.setConfiguration(kj::arrayPtr(configuration.data(), configuration.size()));
    }
    r.setTotalBytes(m.total_bytes);
    r.setOffset(m.offset);
    r.setRound(m.round);
    attachments.push_back(m.data);
    return {};
  }
  Status operator()(const raft::SnapshotResponse& m) {
    auto r = out.initSnapshotResponse();
    r.setIndex(m.index.value);
    r.setNextOffset(m.next_offset);
    r.setRound(m.round);
    return {};
  }
  Status operator()(const raft::TimeoutNow&) {
    out.setTimeoutNow();
    return {};
  }
  Status operator()(const raft::ReadRequest& m) {
    out.setReadRequest(m.id);
    return {};
  }
  Status operator()(const raft::ReadResponse& m) {
    auto r = out.initReadResponse();
    r.setId(m.id);
    r.setOk(m.ok);
    r.setIndex(m.index.value);
    return {};
  }
};

Result<raft::EntryKind> entry_kind(uint8_t number) {
  switch (static_cast<raft::EntryKind>(number)) {
    case raft::EntryKind::empty: return raft::EntryKind::empty;
    case raft::EntryKind::command: return raft::EntryKind::command;
    case raft::EntryKind::configuration: return raft::EntryKind::configuration;
  }
  return fail(Errc::unsupported, "raft message: a kind of entry of a later program");
}

Result<raft::Body> read(schema::RaftMessage::AppendRequest::Reader in,
                        const std::vector<Slice>& attachments) {
  raft::AppendRequest m;
  m.prev_index = Index(in.getPrevIndex());
  m.prev_term = Term(in.getPrevTerm());
  m.commit = Index(in.getCommit());
  m.round = in.getRound();
  const auto runs = in.getRuns();
  if (runs.size() > attachments.size())
    return fail(Errc::corrupt, "raft message: more runs of entries than entries");
  m.entries.reserve(attachments.size());
  for (const auto run : runs) {
    BASCULE_TRY_ASSIGN(const raft::EntryKind kind, entry_kind(run.getKind()));
    if (run.getCount() == 0 || run.getCount() > attachments.size() - m.entries.size())
      return fail(Errc::corrupt, "raft message: entries without their data");
    for (uint32_t i = 0; i < run.getCount(); ++i)
      m.entries.push_back({Term(run.getTerm()), kind, attachments[m.entries.size()]});
  }
  if (m.entries.size() != attachments.size())
    return fail(Errc::corrupt, "raft message: data without their entries");
  return m;
}

Result<raft::Body> read(schema::RaftMessage::SnapshotRequest::Reader in,
                        const std::vector<Slice>& attachments) {
  if (attachments.size() != 1)
    return fail(Errc::corrupt, "raft message: a snapshot's chunk is one attachment");
  raft::SnapshotRequest m;
  m.meta.index = Index(in.getIndex());
  m.meta.term = Term(in.getTerm());
  const auto configuration = in.getConfiguration();
  if (configuration.size() != 0) {
    BASCULE_TRY_ASSIGN(m.meta.configuration, raft::decode_configuration(ByteView(
                                                 configuration.begin(), configuration.size())));
  }
  m.total_bytes = in.getTotalBytes();
  m.offset = in.getOffset();
  m.round = in.getRound();
  m.data = attachments[0];
  return m;
}

Result<raft::Body> read_body(schema::RaftMessage::Reader in,
                             const std::vector<Slice>& attachments) {
  using Kind = schema::RaftMessage;
  const bool carries = in.which() == Kind::APPEND_REQUEST || in.which() == Kind::SNAPSHOT_REQUEST;
  if (!carries && !attachments.empty())
    return fail(Errc::corrupt, "raft message: an attachment of nothing");
  switch (in.which()) {
    case Kind::NONE: return fail(Errc::corrupt, "raft message: it says nothing");
    case Kind::VOTE_REQUEST: {
      const auto r = in.getVoteRequest();
      return raft::VoteRequest{r.getPre(), r.getTransfer(), Index(r.getLastIndex()),
                               Term(r.getLastTerm())};
    }
    case Kind::VOTE_RESPONSE: {
      const auto r = in.getVoteResponse();
      return raft::VoteResponse{r.getPre(), r.getGranted()};
    }
    case Kind::APPEND_REQUEST: return read(in.getAppendRequest(), attachments);
    case Kind::APPEND_RESPONSE: {
      const auto r = in.getAppendResponse();
      return raft::AppendResponse{
          r.getAccepted(),           Index(r.getIndex()),         Index(r.getLastIndex()),
          Term(r.getConflictTerm()), Index(r.getConflictFirst()), r.getRound()};
    }
    case Kind::SNAPSHOT_REQUEST: return read(in.getSnapshotRequest(), attachments);
    case Kind::SNAPSHOT_RESPONSE: {
      const auto r = in.getSnapshotResponse();
      return raft::SnapshotResponse{Index(r.getIndex()), r.getNextOffset(), r.getRound()};
    }
    case Kind::TIMEOUT_NOW: return raft::TimeoutNow{};
    case Kind::READ_REQUEST: return raft::ReadRequest{in.getReadRequest()};
    case Kind::READ_RESPONSE: {
      const auto r = in.getReadResponse();
      return raft::ReadResponse{r.getId(), r.getOk(), Index(r.getIndex())};
    }
  }
  return fail(Errc::unsupported, "raft message: a kind of a later program");
}

}  // namespace

Result<peers::Frame> PeerCodec::encode_raft(const raft::Message& message) const {
  SmallMessage out;
  auto root = out.builder().initRoot<schema::RaftMessage>();
  write(root.initFrom(), message.from);
  write(root.initTo(), message.to);
  root.setTerm(message.term.value);
  root.setIncarnation(message.incarnation.value);
  peers::Frame frame;
  frame.kind = peers::FrameKind::raft;
  BASCULE_TRY(std::visit(Encode{root, frame.attachments}, message.body));
  frame.body = Slice::copy_of(out.finish());
  return frame;
}

Result<raft::Message> PeerCodec::decode_raft(const peers::Frame& frame) const {
  return decode_peer_message<schema::RaftMessage>(
      frame.body, [&](schema::RaftMessage::Reader root) -> Result<raft::Message> {
        raft::Message message;
        message.from = read(root.getFrom());
        message.to = read(root.getTo());
        message.term = Term(root.getTerm());
        message.incarnation = Incarnation(root.getIncarnation());
        BASCULE_TRY_ASSIGN(message.body, read_body(root, frame.attachments));
        return message;
      });
}

}  // namespace bascule::capnp_codec
