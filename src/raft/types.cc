#include "src/raft/types.h"

#include <algorithm>

#include "src/base/codec.h"

namespace bascule::raft {
namespace {

constexpr uint8_t k_configuration_version = 1;

const Member* find_in(const std::vector<Member>& members, const MemberId& id) {
  const auto at = std::ranges::lower_bound(members, id, {}, &Member::id);
  return at == members.end() || at->id != id ? nullptr : &*at;
}

// Order, distinct nodes, and what each member must be.
Status check_list(const std::vector<Member>& members, const char* name) {
  std::vector<NodeId> nodes;
  for (size_t i = 0; i < members.size(); ++i) {
    const Member& member = members[i];
    if (!member.id || !member.id.storage)
      return fail(Errc::invalid, std::string(name) + ": a member without a node or storage id");
    if (member.address.size() > k_address_bytes_max)
      return fail(Errc::invalid, std::string(name) + ": an address is too long");
    if (i > 0 && members[i - 1].id >= member.id)
      return fail(Errc::invalid, std::string(name) + ": not in ascending order");
    // Ascending by (node, storage): a node that is there twice is its own neighbour.
    if (i > 0 && members[i - 1].id.node == member.id.node)
      return fail(Errc::invalid,
                  std::string(name) + ": node " + member.id.node.to_string() + " is there twice");
  }
  return {};
}

void write_members(Writer& out, const std::vector<Member>& members) {
  out.varint(members.size());
  for (const Member& member : members) {
    out.varint(member.id.node.value);
    for (const uint64_t word : member.id.storage.words) out.fixed(word);
    out.sized(member.address);
  }
}

bool read_members(Reader& in, std::vector<Member>& members) {
  const uint64_t count = in.varint();
  if (count > k_members_max) return false;
  for (uint64_t i = 0; i < count && !in.failed(); ++i) {
    Member member;
    const uint64_t node = in.varint();
    if (node > UINT32_MAX) return false;
    member.id.node = NodeId(static_cast<uint32_t>(node));
    for (uint64_t& word : member.id.storage.words) word = in.fixed<uint64_t>();
    member.address = std::string(in.sized_text());
    members.push_back(std::move(member));
  }
  return !in.failed();
}

}  // namespace

std::string MemberId::to_string() const {
  return node.to_string() + ":" + storage.to_string().substr(0, 8);
}

bool Configuration::is_voter(const MemberId& id) const {
  return find_in(voters, id) != nullptr || find_in(outgoing, id) != nullptr;
}

bool Configuration::is_learner(const MemberId& id) const {
  return find_in(learners, id) != nullptr;
}

const Member* Configuration::find(const MemberId& id) const {
  for (const auto* members : {&voters, &outgoing, &learners})
    if (const Member* member = find_in(*members, id)) return member;
  return nullptr;
}

std::vector<Member> Configuration::all() const {
  std::vector<Member> members = voters;
  members.insert(members.end(), outgoing.begin(), outgoing.end());
  members.insert(members.end(), learners.begin(), learners.end());
  // Stable: the address of the newer half is the one that is kept.
  std::ranges::stable_sort(members, {}, &Member::id);
  const auto rest = std::ranges::unique(members, {}, &Member::id);
  members.erase(rest.begin(), rest.end());
  return members;
}

Status Configuration::check() const {
  BASCULE_TRY(check_list(voters, "voters"));
  BASCULE_TRY(check_list(outgoing, "outgoing voters"));
  BASCULE_TRY(check_list(learners, "learners"));
  BASCULE_TRY(check_list(demoted, "demoted voters"));
  if (voters.empty()) return fail(Errc::invalid, "voters: there is none");
  if (voters.size() > k_voters_max || outgoing.size() > k_voters_max)
    return fail(Errc::invalid, "voters: more than " + std::to_string(k_voters_max));
  if (voters.size() + outgoing.size() + learners.size() > k_members_max)
    return fail(Errc::invalid, "members: more than " + std::to_string(k_members_max));
  for (const Member& learner : learners)
    if (is_voter(learner.id))
      return fail(Errc::invalid, "learners: " + learner.id.to_string() + " is a voter");
  for (const Member& member : demoted)
    if (!find_in(outgoing, member.id) || find_in(voters, member.id))
      return fail(Errc::invalid, "demoted voters: " + member.id.to_string() + " is not leaving");
  return {};
}

bool operator==(const Entry& a, const Entry& b) {
  return a.term == b.term && a.kind == b.kind && equal(a.data, b.data);
}

Bytes encode_configuration(const Configuration& configuration) {
  Bytes bytes;
  Writer out(bytes);
  out.fixed(k_configuration_version);
  write_members(out, configuration.voters);
  write_members(out, configuration.outgoing);
  write_members(out, configuration.learners);
  write_members(out, configuration.demoted);
  return bytes;
}

Result<Configuration> decode_configuration(ByteView bytes) {
  Reader in(bytes);
  const auto version = in.fixed<uint8_t>();
  if (in.failed()) return fail(Errc::corrupt, "configuration: it is empty");
  if (version != k_configuration_version)
    return fail(Errc::unsupported, "configuration: version " + std::to_string(version));
  Configuration configuration;
  for (auto* members : {&configuration.voters, &configuration.outgoing, &configuration.learners,
                        &configuration.demoted})
    if (!read_members(in, *members)) return fail(Errc::corrupt, "configuration: a list is cut");
  if (in.remaining() != 0) return fail(Errc::corrupt, "configuration: bytes behind its end");
  if (const Status status = configuration.check(); !status)
    return fail(Errc::corrupt, "configuration: " + status.error().context);
  return configuration;
}

}  // namespace bascule::raft
