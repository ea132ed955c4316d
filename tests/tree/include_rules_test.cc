#include "tests/tree/include_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bascule::tree {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const SourceTree& tree() {
  static const SourceTree the_tree = read_source_tree(BASCULE_SOURCE_DIR);
  return the_tree;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

TEST(include_rules, the_tree_keeps_them) {
  ASSERT_TRUE(tree().contains("src/base/assert.h"))
      << "the sources are not where they are looked for";
  const auto violations = include_violations(tree());
  EXPECT_THAT(violations, IsEmpty()) << joined(violations);
}

TEST(include_rules, the_core_uses_no_forbidden_word) {
  const auto violations = word_violations(tree());
  EXPECT_THAT(violations, IsEmpty()) << joined(violations);
}

// A tree of one file for each folder, and `path` including `name`.
std::vector<std::string> faults_of(const std::string& path, const std::string& directive) {
  SourceTree sample;
  for (const char* folder : {"base", "model", "env", "log", "raft", "peers", "controller",
                             "partition", "broker", "nats", "client"}) {
    sample["src/" + std::string(folder) + "/x.h"] = "";
  }
  sample["src/broker/api.h"] = "#include \"src/broker/position.h\"\n";
  sample["src/broker/position.h"] = "";
  sample["src/controller/command.h"] = "";
  sample["src/partition/peer_codec.h"] = sample["src/raft/message.h"] = "";
  sample["src/peers/authenticator.h"] = "";
  sample["capnp/x.h"] = sample["io/x.h"] = sample["sim/x.h"] = "";
  sample["capnp/bascule.capnp"] = "";
  sample[path] = "// a file\n#include " + directive + "\n";
  return include_violations(sample);
}

TEST(include_rules, includes_against_the_direction_are_found) {
  for (const auto& [path, directive] : std::vector<std::pair<const char*, const char*>>{
           {"src/base/y.h", R"("src/model/x.h")"},
           {"src/model/y.cc", R"("src/env/x.h")"},
           {"src/env/y.h", R"("src/log/x.h")"},
           {"src/log/y.cc", R"("src/raft/x.h")"},
           {"src/raft/y.cc", R"("src/log/x.h")"},
           {"src/raft/y.cc", R"("src/peers/x.h")"},
           {"src/log/y.cc", R"("src/peers/x.h")"},
           {"src/peers/y.cc", R"("src/raft/x.h")"},
           {"src/peers/y.cc", R"("src/log/x.h")"},
           {"src/peers/y.cc", R"("src/controller/x.h")"},
           {"src/nats/y.cc", R"("src/peers/x.h")"},
           {"capnp/y.cc", R"("src/raft/x.h")"},
           {"io/y.cc", R"("src/peers/x.h")"},
           {"src/controller/y.cc", R"("src/partition/x.h")"},
           {"src/partition/y.cc", R"("src/controller/x.h")"},
           {"src/partition/y.cc", R"("src/broker/x.h")"},
           {"src/broker/y.cc", R"("src/nats/x.h")"},
           {"src/nats/y.cc", R"("src/broker/x.h")"},
           {"src/nats/y.cc", R"("src/log/x.h")"},
           {"src/client/y.cc", R"("src/nats/x.h")"},
           {"src/new_folder/y.cc", R"("src/base/x.h")"},
           {"src/base/y.cc", R"("capnp/x.h")"},
           {"src/broker/y.cc", R"("io/x.h")"},
           {"src/log/y.cc", R"("sim/x.h")"},
           {"capnp/y.cc", R"("src/broker/x.h")"},
           {"capnp/y.cc", R"("src/log/x.h")"},
           {"capnp/y.cc", R"("io/x.h")"},
           {"io/y.cc", R"("src/broker/api.h")"},
           {"io/y.cc", R"("capnp/x.h")"},
           {"io/main.cc", R"("sim/x.h")"},
           {"sim/y.cc", R"("io/x.h")"},
           {"sim/y.cc", R"("no/such/file.h")"},
           {"src/log/y.cc", R"("x.h")"},
           {"src/base/y.cc", "<chrono>"},
           {"src/base/y.cc", "<thread>"},
           {"src/log/y.h", "<mutex>"},
           {"src/log/y.h", "<atomic>"},
           {"src/log/y.h", "<random>"},
           {"src/log/y.h", "<fstream>"},
           {"src/log/y.h", "<iostream>"},
           {"src/log/y.h", "<sstream>"},
           {"src/log/y.h", "<filesystem>"},
           {"src/log/y.h", "<unordered_map>"},
           {"src/log/y.h", "<cstdio>"},
           {"src/log/y.h", "<unistd.h>"},
           {"src/broker/y.h", "<kj/async.h>"},
           {"src/broker/y.h", "<capnp/message.h>"},
           {"src/broker/y.h", "<asio.hpp>"},
           {"io/y.h", "<kj/async.h>"},
           {"capnp/y.h", "<asio/ip/tcp.hpp>"},
           {"sim/y.h", "<asio.hpp>"},
       }) {
    EXPECT_THAT(faults_of(path, directive), ElementsAre(HasSubstr(std::string(path) + ":2: ")))
        << path << " includes " << directive;
  }
}

TEST(include_rules, includes_along_the_direction_pass) {
  for (const auto& [path, directive] : std::vector<std::pair<const char*, const char*>>{
           {"src/log/y.cc", R"("src/env/x.h")"},
           {"src/controller/y.cc", R"("src/raft/x.h")"},
           {"src/controller/y.cc", R"("src/peers/x.h")"},
           {"src/partition/y.cc", R"("src/peers/x.h")"},
           {"src/peers/y.cc", R"("src/raft/message.h")"},
           {"capnp/y.cc", R"("src/raft/message.h")"},
           {"io/y.cc", R"("src/peers/authenticator.h")"},
           {"src/broker/y.cc", R"("src/partition/x.h")"},
           {"src/nats/y.cc", R"("src/broker/api.h")"},
           {"src/nats/y.cc", R"("src/broker/position.h")"},
           {"src/log/y.cc", "<vector>"},
           {"src/base/assert.cc", "<cstdio>"},
           {"capnp/y.cc", R"("capnp/bascule.capnp.h")"},
           {"capnp/y.cc", R"("src/controller/command.h")"},
           {"capnp/y.cc", R"("src/partition/peer_codec.h")"},
           {"capnp/y.cc", R"("src/broker/api.h")"},
           {"capnp/y.cc", "<kj/async.h>"},
           {"io/y.cc", R"("src/env/x.h")"},
           {"io/serve_nats.cc", R"("capnp/x.h")"},
           {"io/cli/y.cc", R"("src/broker/x.h")"},
           {"io/y.cc", "<asio.hpp>"},
           {"sim/y.cc", R"("capnp/x.h")"},
           {"sim/y.cc", R"("src/raft/x.h")"},
           {"tests/io/y.cc", R"("io/x.h")"},
       }) {
    EXPECT_THAT(faults_of(path, directive), IsEmpty()) << path << " includes " << directive;
  }
}

TEST(include_rules, forbidden_words_are_found_in_code_and_not_in_comments_or_text) {
  const SourceTree sample{{"src/log/a.cc",
                           "// we never throw\n"
                           "const char* k = \"throw \\\" throw\"; int n = 1'000; /* throw\n"
                           "throw */ auto r = R\"(throw)\";\n"
                           "throw 1;\n"
                           "std::unordered_map<int, int> m;\n"
                           "thread_local int t;\n"
                           "char c = '\"'; std::hash<int> h;\n"}};
  EXPECT_THAT(word_violations(sample),
              ElementsAre(HasSubstr("a.cc:4: throw"), HasSubstr("a.cc:5: unordered_map"),
                          HasSubstr("a.cc:6: thread_local"), HasSubstr("a.cc:7: std::hash")));
  EXPECT_THAT(word_violations({{"io/a.cc", "throw 1;\n"}}), SizeIs(0));
}

TEST(include_rules, what_is_ordered_by_address_is_found) {
  const SourceTree sample{{"capnp/a.cc",
                           "std::set<Session*> a;\n"
                           "std::map<const rpc::Wire*, int> b;\n"
                           "std::set<std::shared_ptr<int>> c;\n"
                           "std::map<int, Wire*> fine;\n"
                           "std::set<int> fine_too;\n"}};
  EXPECT_THAT(word_violations(sample),
              ElementsAre(HasSubstr("a.cc:1: std::set<Session*"),
                          HasSubstr("a.cc:2: std::map<const rpc::Wire*"), HasSubstr("a.cc:3: ")));
}

}  // namespace
}  // namespace bascule::tree
