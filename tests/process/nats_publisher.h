// A real NATS client (nats.c) that publishes with reply subjects and keeps what was acknowledged.
#pragma once

#include <nats/nats.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <semaphore>
#include <string>
#include <vector>

namespace bascule::process_test {

class NatsPublisher {
 public:
  // Connects; no reconnects: the connection ends with the broker.
  explicit NatsPublisher(const std::string& url);
  ~NatsPublisher();
  NatsPublisher(const NatsPublisher&) = delete;
  NatsPublisher& operator=(const NatsPublisher&) = delete;

  // Publishes with a reply subject of its own. False once the connection is gone.
  bool publish(const std::string& subject, const std::string& payload, uint64_t number);
  // Waits until `count` messages were answered (acknowledged or refused), or the connection ended.
  void wait_for_answers(size_t count);
  // Message number → sequence (offset + 1) of the acknowledged ones.
  std::map<uint64_t, uint64_t> acknowledged();
  std::vector<std::string> refusals();

 private:
  static void on_answer(natsConnection*, natsSubscription*, natsMsg* message, void* self);

  natsConnection* connection_ = nullptr;
  natsSubscription* subscription_ = nullptr;
  std::string inbox_;
  std::binary_semaphore finished_{0};
  std::mutex mutex_;
  std::map<uint64_t, uint64_t> acknowledged_;
  std::vector<std::string> refusals_;
};

}  // namespace bascule::process_test
