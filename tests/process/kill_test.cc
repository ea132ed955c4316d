// kill -9 of the broker under load, again and again: everything that was acknowledged must be there, byte
// for byte, at the offset that the acknowledgement named.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "src/base/prng.h"
#include "tests/process/broker_process.h"
#include "tests/process/nats_publisher.h"

namespace bascule::process_test {
namespace {

constexpr uint64_t k_verify_whole_every = 100;

// Content that is a function of its number, of 1 byte to 4 KiB.
std::string payload_of(uint64_t number) {
  Prng prng(number);
  std::string out = std::to_string(number) + ":";
  const size_t size = 1 + prng.below(prng.chance(1, 10) ? 4096 : 200);
  while (out.size() < size) out += static_cast<char>('a' + prng.below(26));
  return out;
}

struct Ledger {
  std::map<uint64_t, uint64_t> number_at;  // offset → message number, acknowledged
  uint64_t next_number = 0;
  uint64_t checked = 0;
  uint64_t lost = 0;
  uint64_t altered = 0;
};

// Publishes until the broker is killed after `delay`; adds what was acknowledged to the ledger.
void publish_until_killed(BrokerProcess& broker, Ledger& ledger, Duration delay) {
  NatsPublisher publisher(broker.nats_url());
  std::atomic<bool> killed = false;
  std::thread killer([&] {
    usleep(static_cast<useconds_t>(delay.ns / 1000));
    broker.kill9();
    killed = true;
  });
  while (!killed) {
    const uint64_t number = ledger.next_number++;
    if (!publisher.publish("load." + std::to_string(number % 7), payload_of(number), number)) break;
    if (number % 64 == 0) usleep(500);
  }
  killer.join();
  publisher.wait_for_answers(SIZE_MAX);
  for (const auto& [number, sequence] : publisher.acknowledged())
    ledger.number_at[sequence - 1] = number;
}

// Reads the stream from `first` on and compares it with the ledger.
void verify(const BrokerProcess& broker, Ledger& ledger, uint64_t first) {
  const CommandResult got = broker.command(
      {"sub", "load", "--from", "@" + std::to_string(first), "--until", "latest", "--json"});
  ASSERT_EQ(got.exit_status, 0) << got.error;
  std::map<uint64_t, std::string> values;
  std::istringstream lines(got.out);
  std::string line;
  uint64_t expected = first;
  while (std::getline(lines, line)) {
    const auto json = nlohmann::json::parse(line);
    ASSERT_EQ(json["offset"].get<uint64_t>(), expected++) << "offsets are contiguous";
    values[json["offset"]] = json["value"];
  }
  for (auto it = ledger.number_at.lower_bound(first); it != ledger.number_at.end(); ++it) {
    ++ledger.checked;
    const auto found = values.find(it->first);
    if (found == values.end()) {
      ++ledger.lost;
    } else if (found->second != payload_of(it->second)) {
      ++ledger.altered;
    }
  }
}

void kill_rounds(uint64_t rounds, const std::string& durability) {
  const TemporaryDirectory directory;
  BrokerProcess broker(directory.path() + "/data", {"--segment-bytes", "1MiB"});
  Ledger ledger;
  Prng prng(rounds);
  ASSERT_TRUE(broker.start()) << broker.error();
  const CommandResult created = broker.command(
      {"stream", "create", "load", "--subject", "load.*", "--durability", durability});
  ASSERT_EQ(created.exit_status, 0) << created.error;
  for (uint64_t round = 1; round <= rounds; ++round) {
    const uint64_t first = ledger.number_at.empty() ? 0 : ledger.number_at.rbegin()->first + 1;
    publish_until_killed(broker, ledger, prng.between(milliseconds(1), milliseconds(150)));
    ASSERT_TRUE(broker.start()) << "round " << round << ": " << broker.error();
    const bool whole = round % k_verify_whole_every == 0 || round == rounds;
    // What came unacknowledged before `first` may have moved nothing: earlier acks keep their offsets.
    ASSERT_NO_FATAL_FAILURE(verify(broker, ledger, whole ? 0 : first)) << "round " << round;
    ASSERT_EQ(ledger.lost, 0U) << "round " << round;
    ASSERT_EQ(ledger.altered, 0U) << "round " << round;
  }
  std::printf("%s: %llu rounds of kill -9, %zu acked messages, %llu checks, lost 0, altered 0\n",
              durability.c_str(), static_cast<unsigned long long>(rounds), ledger.number_at.size(),
              static_cast<unsigned long long>(ledger.checked));
  EXPECT_GT(ledger.number_at.size(), rounds) << "the load must have been acknowledged";
  EXPECT_EQ(broker.terminate(), 0) << broker.error();
}

uint64_t rounds() { return std::getenv("BASCULE_LONG_TESTS") != nullptr ? 1000 : 30; }

TEST(kill, nothing_acked_is_lost_in_fsync_mode) { kill_rounds(rounds(), "fsync"); }

TEST(kill, nothing_acked_is_lost_in_memory_mode) { kill_rounds(rounds() / 3, "memory"); }

}  // namespace
}  // namespace bascule::process_test
