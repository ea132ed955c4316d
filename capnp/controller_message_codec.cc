#include "capnp/controller_message_codec.h"

#include <algorithm>
#include <string>
#include <utility>

#include "capnp/controller.capnp.h"
#include "capnp/peer_values.h"

namespace bascule::capnp_codec {
namespace {

namespace schema = controller_schema;
using Verb = controller::MembershipRequest::Verb;

constexpr uint32_t k_format = 1;

void write(schema::Uuid::Builder out, const Uuid& u) {
  out.setFirst(u.words[0]);
  out.setSecond(u.words[1]);
}
Uuid read(schema::Uuid::Reader in) { return Uuid{{in.getFirst(), in.getSecond()}}; }

void write(schema::Member::Builder out, const raft::Member& m) {
  out.setNode(m.id.node.value);
  write(out.initStorage(), m.id.storage);
  out.setAddress(m.address);
}
Result<raft::Member> read(schema::Member::Reader in) {
  raft::Member m;
  m.id.node = NodeId(in.getNode());
  m.id.storage = read(in.getStorage());
  BASCULE_TRY_ASSIGN(m.address,
                     bounded_text(in.getAddress(), raft::k_address_bytes_max, "an address"));
  return m;
}

// Foreign: any number may come.
Duration read_span(uint64_t ns) {
  return nanoseconds(static_cast<int64_t>(std::min<uint64_t>(ns, INT64_MAX)));
}

struct Encode {
  schema::PeerMessage::Builder out;

  void operator()(const controller::FoundingQuery& m) {
    auto list = out.initFoundingQuery().initFounders(static_cast<unsigned>(m.founders.size()));
    for (unsigned i = 0; i < list.size(); ++i) list.set(i, m.founders[i].value);
  }
  void operator()(const controller::FoundingAnswer& m) {
    auto r = out.initFoundingAnswer();
    write(r.initStorage(), m.storage);
    write(r.initCluster(), m.cluster);
    if (m.configuration == raft::Configuration{}) return;
    const Bytes bytes = raft::encode_configuration(m.configuration);
    r.setConfiguration(kj::arrayPtr(bytes.data(), bytes.size()));
  }
  void operator()(const controller::JoinRequest& m) {
    write(out.initJoinRequest().initMember(), m.member);
  }
  void operator()(const controller::JoinAnswer& m) {
    write(out.initJoinAnswer().initCluster(), m.cluster);
  }
  void operator()(const controller::SessionHeartbeat& m) {
    auto r = out.initHeartbeat();
    r.setIncarnation(m.incarnation.value);
    r.setReady(m.ready);
    r.setOldestUnsyncedNs(static_cast<uint64_t>(m.oldest_unsynced.ns));
  }
  void operator()(const controller::HeartbeatAnswer& m) {
    out.initHeartbeatAnswer().setFenced(m.fenced);
  }
  void operator()(const controller::MembershipRequest& m) {
    auto r = out.initMembershipRequest();
    r.setVerb(static_cast<uint8_t>(m.verb));
    r.setNode(m.node.value);
    r.setReplaces(m.replaces.value);
  }
  void operator()(const controller::MembershipAnswer&) { out.setMembershipAnswer(); }
  void operator()(const controller::MembersQuery&) { out.setMembersQuery(); }
  void operator()(const controller::MembersAnswer& m) {
    auto r = out.initMembersAnswer();
    r.setLeader(m.leader.value);
    r.setTerm(m.term.value);
    r.setCommit(m.commit.value);
    r.setJoint(m.joint);
    auto list = r.initMembers(static_cast<unsigned>(m.members.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      write(list[i].initMember(), m.members[i].member);
      list[i].setVoter(m.members[i].voter);
      list[i].setMatch(m.members[i].match.value);
      list[i].setActive(m.members[i].active);
      list[i].setOldestUnsyncedNs(static_cast<uint64_t>(m.members[i].oldest_unsynced.ns));
    }
  }
};

Result<controller::PeerMessage> read(schema::FoundingQuery::Reader in) {
  controller::FoundingQuery m;
  BASCULE_TRY(bounded(in.getFounders(), raft::k_voters_max, "founders"));
  for (const uint32_t node : in.getFounders()) m.founders.emplace_back(node);
  return m;
}

Result<controller::PeerMessage> read(schema::FoundingAnswer::Reader in) {
  controller::FoundingAnswer m;
  m.storage = read(in.getStorage());
  m.cluster = read(in.getCluster());
  const auto bytes = in.getConfiguration();
  if (bytes.size() != 0) {
    BASCULE_TRY_ASSIGN(m.configuration,
                       raft::decode_configuration(ByteView(bytes.begin(), bytes.size())));
  }
  return m;
}

Result<controller::PeerMessage> read(schema::MembershipRequest::Reader in) {
  if (in.getVerb() > static_cast<uint8_t>(Verb::transfer))
    return fail(Errc::unsupported, "membership: what is asked comes from a later program");
  return controller::MembershipRequest{static_cast<Verb>(in.getVerb()), NodeId(in.getNode()),
                                       NodeId(in.getReplaces())};
}

Result<controller::PeerMessage> read(schema::MembersAnswer::Reader in) {
  controller::MembersAnswer m;
  m.leader = NodeId(in.getLeader());
  m.term = Term(in.getTerm());
  m.commit = Index(in.getCommit());
  m.joint = in.getJoint();
  BASCULE_TRY(bounded(in.getMembers(), raft::k_members_max, "members"));
  for (const auto each : in.getMembers()) {
    controller::MemberProgress p;
    BASCULE_TRY_ASSIGN(p.member, read(each.getMember()));
    p.voter = each.getVoter();
    p.match = Index(each.getMatch());
    p.active = each.getActive();
    p.oldest_unsynced = read_span(each.getOldestUnsyncedNs());
    m.members.push_back(std::move(p));
  }
  return m;
}

Result<controller::PeerMessage> read(schema::PeerMessage::Reader in) {
  if (in.getFormat() != k_format)
    return fail(in.getFormat() == 0 ? Errc::corrupt : Errc::unsupported,
                "controller message: format " + std::to_string(in.getFormat()));
  switch (in.which()) {
    case schema::PeerMessage::FOUNDING_QUERY: return read(in.getFoundingQuery());
    case schema::PeerMessage::FOUNDING_ANSWER: return read(in.getFoundingAnswer());
    case schema::PeerMessage::JOIN_REQUEST: {
      BASCULE_TRY_ASSIGN(raft::Member member, read(in.getJoinRequest().getMember()));
      return controller::JoinRequest{std::move(member)};
    }
    case schema::PeerMessage::JOIN_ANSWER:
      return controller::JoinAnswer{read(in.getJoinAnswer().getCluster())};
    case schema::PeerMessage::HEARTBEAT: {
      const auto m = in.getHeartbeat();
      return controller::SessionHeartbeat{Incarnation(m.getIncarnation()), m.getReady(),
                                          read_span(m.getOldestUnsyncedNs())};
    }
    case schema::PeerMessage::HEARTBEAT_ANSWER:
      return controller::HeartbeatAnswer{in.getHeartbeatAnswer().getFenced()};
    case schema::PeerMessage::MEMBERSHIP_REQUEST: return read(in.getMembershipRequest());
    case schema::PeerMessage::MEMBERSHIP_ANSWER: return controller::MembershipAnswer{};
    case schema::PeerMessage::MEMBERS_QUERY: return controller::MembersQuery{};
    case schema::PeerMessage::MEMBERS_ANSWER: return read(in.getMembersAnswer());
  }
  return fail(Errc::unsupported, "controller message: a kind of a later program");
}

}  // namespace

Bytes ControllerMessageCodec::encode(const controller::PeerMessage& message) const {
  SmallMessage out;
  auto root = out.builder().initRoot<schema::PeerMessage>();
  root.setFormat(k_format);
  std::visit(Encode{root}, message);
  return out.finish();
}

Result<controller::PeerMessage> ControllerMessageCodec::decode(ByteView bytes) const {
  return decode_peer_message<schema::PeerMessage>(
      bytes, [](schema::PeerMessage::Reader in) { return read(in); });
}

}  // namespace bascule::capnp_codec
