#include "sim/worlds/raft/message_frames.h"

#include "src/base/codec.h"
#include "src/base/crc32c.h"

namespace bascule::sim {
namespace {

using raft::Body;
using raft::MemberId;

// Kind of body: its place in raft::Body.
enum class Kind : uint8_t {
  vote_request,
  vote_response,
  append_request,
  append_response,
  snapshot_request,
  snapshot_response,
  timeout_now,
  read_request,
  read_response,
};

void put(Writer& to, const MemberId& id) {
  to.varint(id.node.value);
  to.fixed(id.storage.words[0]);
  to.fixed(id.storage.words[1]);
}

MemberId get_member(Reader& from) {
  MemberId out;
  out.node = NodeId(static_cast<uint32_t>(from.varint()));
  out.storage.words[0] = from.fixed<uint64_t>();
  out.storage.words[1] = from.fixed<uint64_t>();
  return out;
}

class BodyWriter {
 public:
  explicit BodyWriter(Writer& to) : to_(to) {}

  void operator()(const raft::VoteRequest& m) {
    flags(m.pre, m.transfer);
    to_.varint(m.last_index.value);
    to_.varint(m.last_term.value);
  }
  void operator()(const raft::VoteResponse& m) { flags(m.pre, m.granted); }
  void operator()(const raft::AppendRequest& m) {
    to_.varint(m.prev_index.value);
    to_.varint(m.prev_term.value);
    to_.varint(m.commit.value);
    to_.varint(m.round);
    to_.varint(m.entries.size());
    for (const raft::Entry& entry : m.entries) {
      to_.varint(entry.term.value);
      to_.fixed(static_cast<uint8_t>(entry.kind));
      to_.sized(entry.data.view());
    }
  }
  void operator()(const raft::AppendResponse& m) {
    flags(m.accepted, false);
    to_.varint(m.index.value);
    to_.varint(m.last_index.value);
    to_.varint(m.conflict_term.value);
    to_.varint(m.conflict_first.value);
    to_.varint(m.round);
  }
  void operator()(const raft::SnapshotRequest& m) {
    to_.varint(m.meta.index.value);
    to_.varint(m.meta.term.value);
    to_.sized(ByteView(raft::encode_configuration(m.meta.configuration)));
    to_.varint(m.total_bytes);
    to_.varint(m.offset);
    to_.varint(m.round);
    to_.sized(m.data.view());
  }
  void operator()(const raft::SnapshotResponse& m) {
    to_.varint(m.index.value);
    to_.varint(m.next_offset);
    to_.varint(m.round);
  }
  void operator()(const raft::TimeoutNow&) {}
  void operator()(const raft::ReadRequest& m) { to_.varint(m.id); }
  void operator()(const raft::ReadResponse& m) {
    flags(m.ok, false);
    to_.varint(m.id);
    to_.varint(m.index.value);
  }

 private:
  void flags(bool first, bool second) {
    to_.fixed(static_cast<uint8_t>((first ? 1 : 0) | (second ? 2 : 0)));
  }
  Writer& to_;
};

raft::AppendRequest get_append(Reader& from) {
  raft::AppendRequest m;
  m.prev_index = Index(from.varint());
  m.prev_term = Term(from.varint());
  m.commit = Index(from.varint());
  m.round = from.varint();
  const uint64_t count = from.varint();
  for (uint64_t i = 0; i < count && !from.failed(); ++i) {
    raft::Entry entry;
    entry.term = Term(from.varint());
    entry.kind = static_cast<raft::EntryKind>(from.fixed<uint8_t>());
    entry.data = Slice::copy_of(from.sized());
    m.entries.push_back(std::move(entry));
  }
  return m;
}

Result<raft::SnapshotRequest> get_snapshot(Reader& from) {
  raft::SnapshotRequest m;
  m.meta.index = Index(from.varint());
  m.meta.term = Term(from.varint());
  const ByteView configuration = from.sized();
  m.total_bytes = from.varint();
  m.offset = from.varint();
  m.round = from.varint();
  m.data = Slice::copy_of(from.sized());
  if (from.failed()) return fail(Errc::invalid, "raft frame: a snapshot's chunk");
  BASCULE_TRY_ASSIGN(m.meta.configuration, raft::decode_configuration(configuration));
  return m;
}

Result<Body> get_body(Reader& from, Kind kind) {
  const auto flags = [&from] { return from.fixed<uint8_t>(); };
  switch (kind) {
    case Kind::vote_request: {
      const uint8_t f = flags();
      raft::VoteRequest m{(f & 1) != 0, (f & 2) != 0, {}, {}};
      m.last_index = Index(from.varint());
      m.last_term = Term(from.varint());
      return Body(m);
    }
    case Kind::vote_response: {
      const uint8_t f = flags();
      return Body(raft::VoteResponse{(f & 1) != 0, (f & 2) != 0});
    }
    case Kind::append_request: return Body(get_append(from));
    case Kind::append_response: {
      raft::AppendResponse m;
      m.accepted = (flags() & 1) != 0;
      m.index = Index(from.varint());
      m.last_index = Index(from.varint());
      m.conflict_term = Term(from.varint());
      m.conflict_first = Index(from.varint());
      m.round = from.varint();
      return Body(m);
    }
    case Kind::snapshot_request: {
      BASCULE_TRY_ASSIGN(raft::SnapshotRequest m, get_snapshot(from));
      return Body(std::move(m));
    }
    case Kind::snapshot_response: {
      raft::SnapshotResponse m;
      m.index = Index(from.varint());
      m.next_offset = from.varint();
      m.round = from.varint();
      return Body(m);
    }
    case Kind::timeout_now: return Body(raft::TimeoutNow{});
    case Kind::read_request: return Body(raft::ReadRequest{from.varint()});
    case Kind::read_response: {
      raft::ReadResponse m;
      m.ok = (flags() & 1) != 0;
      m.id = from.varint();
      m.index = Index(from.varint());
      return Body(m);
    }
  }
  return fail(Errc::invalid, "raft frame: unknown kind of message");
}

}  // namespace

Slice encode_raft_frame(const raft::Message& message) {
  Bytes out;
  out.reserve(128);
  Writer to(out);
  to.raw(Bytes(k_raft_frame_head_bytes));
  put(to, message.from);
  put(to, message.to);
  to.varint(message.term.value);
  to.varint(message.incarnation.value);
  to.fixed(static_cast<uint8_t>(message.body.index()));
  std::visit(BodyWriter(to), message.body);
  const ByteView body = ByteView(out).subspan(k_raft_frame_head_bytes);
  store_le(out.data(), static_cast<uint32_t>(body.size()));
  store_le(out.data() + 4, crc32c(ByteView(out).first(4)));
  store_le(out.data() + 8, crc32c(body));
  return Slice::copy_of(out);
}

Result<raft::Message> decode_raft_message(ByteView bytes) {
  Reader from(bytes);
  raft::Message out;
  out.from = get_member(from);
  out.to = get_member(from);
  out.term = Term(from.varint());
  out.incarnation = Incarnation(from.varint());
  const auto kind = static_cast<Kind>(from.fixed<uint8_t>());
  BASCULE_TRY_ASSIGN(out.body, get_body(from, kind));
  BASCULE_TRY(from.finish("raft frame"));
  return out;
}

namespace {

struct Describe {
  std::string operator()(const raft::VoteRequest& m) const {
    return std::string(m.pre ? "pre-vote?" : "vote?") + " log " + m.last_index.to_string() + "@" +
           m.last_term.to_string();
  }
  std::string operator()(const raft::VoteResponse& m) const {
    return std::string(m.pre ? "pre-vote " : "vote ") + (m.granted ? "granted" : "refused");
  }
  std::string operator()(const raft::AppendRequest& m) const {
    return "append " + m.prev_index.to_string() + "@" + m.prev_term.to_string() + "+" +
           std::to_string(m.entries.size()) + " commit " + m.commit.to_string();
  }
  std::string operator()(const raft::AppendResponse& m) const {
    return (m.accepted ? "has " : "lacks ") + m.index.to_string() + ", ends at " +
           m.last_index.to_string();
  }
  std::string operator()(const raft::SnapshotRequest& m) const {
    return "snapshot " + m.meta.index.to_string() + " bytes " + std::to_string(m.offset) + "+" +
           std::to_string(m.data.size()) + " of " + std::to_string(m.total_bytes);
  }
  std::string operator()(const raft::SnapshotResponse& m) const {
    return "of snapshot " + m.index.to_string() + " has " + std::to_string(m.next_offset);
  }
  std::string operator()(const raft::TimeoutNow&) const { return "stand now"; }
  std::string operator()(const raft::ReadRequest&) const { return "read?"; }
  std::string operator()(const raft::ReadResponse& m) const {
    return m.ok ? "read at " + m.index.to_string() : "read refused";
  }
};

}  // namespace

std::string describe(const raft::Message& message) { return std::visit(Describe(), message.body); }

Result<std::optional<raft::Message>> RaftFrameReader::next() {
  const ByteView rest = ByteView(buffer_).subspan(at_);
  const auto wait = [this] {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(at_));
    at_ = 0;
    return std::optional<raft::Message>();
  };
  if (rest.size() < k_raft_frame_head_bytes) return wait();
  const auto size = load_le<uint32_t>(rest.data());
  if (crc32c(rest.first(4)) != load_le<uint32_t>(rest.data() + 4))
    return fail(Errc::corrupt, "raft frame: checksum of its length");
  if (size > k_raft_frame_bytes_max) return fail(Errc::too_large, "raft frame");
  if (rest.size() - k_raft_frame_head_bytes < size) return wait();
  const ByteView body = rest.subspan(k_raft_frame_head_bytes, size);
  if (crc32c(body) != load_le<uint32_t>(rest.data() + 8))
    return fail(Errc::corrupt, "raft frame: checksum");
  BASCULE_TRY_ASSIGN(raft::Message message, decode_raft_message(body));
  at_ += k_raft_frame_head_bytes + size;
  return std::optional<raft::Message>(std::move(message));
}

}  // namespace bascule::sim
