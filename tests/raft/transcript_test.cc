// Stories of several machines, as text: testdata/*.txt. Lines that begin with `> ` are commands, what follows
// one is what it prints; other lines are prose. Each file is replayed, and must print what it says.
//
// Commands: nodes 1 2 3 | add 4 | wipe 3 | elect 1 | propose 1 text | settle | run MS | cut 1 2 | cut-one-way 1 2 | isolate 1 |
// heal | crash 1 | restart 1 | compact 1 | transfer 1 2 | read 2 | members 1 VOTERS LEARNERS | state | logs |
// stand 1: elected, and stopped before anybody hears of it | lose-messages. Nodes in lists: `1,2,3'`, where the
// prime means the wiped node's present storage; `-`: none.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/raft/raft_group.h"

namespace bascule::raft {
namespace {

const char* role_name(Role role) {
  switch (role) {
    case Role::follower: return "follower";
    case Role::pre_candidate: return "pre-candidate";
    case Role::candidate: return "candidate";
    case Role::leader: return "leader";
    case Role::learner: return "learner";
  }
  return "";
}

std::string list(const std::vector<Member>& members) {
  std::string out;
  for (const Member& m : members) out += (out.empty() ? "" : ",") + m.id.node.to_string();
  return out.empty() ? "-" : out;
}

class Story {
 public:
  // What the command prints, line by line.
  std::string command(const std::string& line) {
    std::istringstream in(line);
    std::string verb;
    in >> verb;
    std::vector<uint32_t> numbers;
    std::string rest;
    std::getline(in, rest);
    std::istringstream words(rest);
    for (uint32_t number = 0; words >> number;) numbers.push_back(number);
    const auto n = [&](size_t i) { return numbers.at(i); };
    if (verb == "nodes") {
      group_ = std::make_unique<Group>(numbers);
    } else if (verb == "state") {
      return state();
    } else if (verb == "logs") {
      return logs();
    } else if (verb == "propose") {
      return propose(n(0), rest);
    } else if (verb == "members") {
      return change(n(0), rest);
    } else if (verb == "read") {
      return read(n(0));
    } else if (verb == "transfer") {
      return status(group()[n(0)].transfer(group().now(), member_id(n(1))));
    } else if (!act(verb, numbers)) {
      return "unknown command\n";
    }
    return "";
  }

 private:
  Group& group() { return *group_; }

  bool act(const std::string& verb, const std::vector<uint32_t>& numbers) {
    const auto n = [&](size_t i) { return numbers.at(i); };
    if (verb == "add")
      group().add_peer(n(0));
    else if (verb == "wipe")
      group().crash(n(0)), group().add_peer(n(0), 0xffff + n(0));
    else if (verb == "elect")
      group().elect(n(0));
    else if (verb == "settle")
      group().settle();
    else if (verb == "run")
      group().run(milliseconds(n(0)));
    else if (verb == "cut")
      group().cut(n(0), n(1)), group().cut(n(1), n(0));
    else if (verb == "cut-one-way")
      group().cut(n(0), n(1));
    else if (verb == "isolate")
      group().isolate(n(0));
    else if (verb == "heal")
      group().heal();
    else if (verb == "crash")
      group().crash(n(0));
    else if (verb == "restart")
      group().restart(n(0));
    else if (verb == "compact")
      group().compact(n(0));
    else if (verb == "lose-messages")
      group().messages().clear();
    else if (verb == "stand")
      stand(n(0));
    else
      return false;
    return true;
  }

  // Becomes leader, and is stopped before anybody has its first entry.
  void stand(uint32_t node) {
    group().advance(milliseconds(150));
    group().tick(node);
    for (int i = 0; i < 100 && group()[node].role() != Role::leader; ++i) {
      for (const uint32_t each : group().nodes()) group().complete_writes(each);
      if (!group().messages().empty()) group().deliver(0);
    }
    group().pump(node);
    group().complete_writes(node);
    group().messages().clear();
  }

  std::string status(const Status& result) {
    return result ? "ok\n" : std::string(errc_name(result.error().code)) + "\n";
  }
  std::string status(const Result<Index>& result) {
    return result ? "index " + result->to_string() + "\n"
                  : std::string(errc_name(result.error().code)) + "\n";
  }

  std::string propose(uint32_t node, const std::string& rest) {
    return status(group().propose(node, rest.substr(rest.find_last_of(' ') + 1)));
  }

  // "1 1,2,3 4,5": by node 1, voters and learners; a node's present storage is meant.
  std::string change(uint32_t node, const std::string& rest) {
    std::istringstream in(rest);
    std::string by;
    std::string voting;
    std::string listening;
    in >> by >> voting >> listening;
    const auto parse = [&](const std::string& nodes) {
      std::vector<Member> out;
      std::istringstream each(nodes);
      for (std::string one; std::getline(each, one, ',');) {
        if (one == "-") continue;
        const auto number = static_cast<uint32_t>(std::stoul(one));
        Member m = member(number);
        // `3'` is the wiped one that came back.
        if (one.ends_with('\'')) m.id = group()[number].self();
        out.push_back(m);
      }
      return out;
    };
    const auto result = group()[node].change_membership(parse(voting), parse(listening));
    group().pump(node);
    return status(result);
  }

  std::string read(uint32_t node) {
    const uint64_t id = ++reads_;
    if (const Status asked = group()[node].read(group().now(), id); !asked) return status(asked);
    group().settle();
    const auto& reads = group().peer(node).reads;
    return reads.contains(id) ? status(reads.at(id).index) : "waits\n";
  }

  std::string state() {
    std::string out;
    for (const auto& [node, peer] : group().peers()) {
      out += std::to_string(node) + ": ";
      if (!peer.raft) {
        out += "down\n";
        continue;
      }
      const Raft& raft = *peer.raft;
      out += std::string(role_name(raft.role())) + ", term " + raft.term().to_string() +
             ", commit " + raft.commit().to_string() + ", voters " +
             list(raft.configuration().voters);
      if (raft.configuration().joint()) out += ", outgoing " + list(raft.configuration().outgoing);
      if (!raft.configuration().learners.empty())
        out += ", learners " + list(raft.configuration().learners);
      out += ", applied:";
      for (const std::string& applied : peer.state) out += " " + applied;
      out += "\n";
    }
    return out;
  }

  // index@term of what is in memory.
  std::string logs() {
    std::string out;
    for (const auto& [node, peer] : group().peers()) {
      out += std::to_string(node) + ":";
      if (peer.raft)
        for (Index i = peer.raft->first_index(); i <= peer.raft->last_index(); i = i.next())
          out += " " + i.to_string() + "@" + peer.raft->term_at(i)->to_string();
      out += "\n";
    }
    return out;
  }

  std::unique_ptr<Group> group_;
  uint64_t reads_ = 0;
};

// The same text with what the machines print now.
std::string replay(const std::string& text) {
  Story story;
  std::istringstream in(text);
  std::string out;
  bool output = false;  // of the last command, up to an empty line
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("> ")) {
      out += line + "\n" + story.command(line.substr(2));
      output = true;
    } else if (line.empty() || !output) {
      out += line + "\n";
      output = false;
    }
  }
  return out;
}

class raft_transcript : public testing::TestWithParam<std::string> {};

TEST_P(raft_transcript, prints_what_it_says) {
  const std::filesystem::path path =
      std::filesystem::path(BASCULE_SOURCE_DIR) / "tests/raft/testdata" / (GetParam() + ".txt");
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  std::stringstream text;
  text << file.rdbuf();
  const std::string now = replay(text.str());
  if (now == text.str()) return;
  // For who has changed what is printed on purpose: to be read, and copied over the story.
  const std::string place = testing::TempDir() + GetParam() + ".txt";
  std::ofstream(place) << now;
  EXPECT_EQ(now, text.str()) << "what it prints now is in " << place;
}

INSTANTIATE_TEST_SUITE_P(stories, raft_transcript,
                         testing::Values("election", "partitioned_minority", "figure8",
                                         "joint_change", "replace_wiped_voter",
                                         "snapshot_to_slow_follower", "leadership_transfer",
                                         "read_index"),
                         [](const auto& story) { return story.param; });

}  // namespace
}  // namespace bascule::raft
