#include "tests/process/nats_publisher.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

namespace bascule::process_test {
namespace {

void check(natsStatus status, const char* what) {
  if (status != NATS_OK)
    throw std::runtime_error(std::string(what) + ": " + natsStatus_GetText(status));
}

}  // namespace

NatsPublisher::NatsPublisher(const std::string& url) {
  natsOptions* options = nullptr;
  check(natsOptions_Create(&options), "options");
  natsOptions_SetURL(options, url.c_str());
  natsOptions_SetAllowReconnect(options, false);
  const natsStatus connected = natsConnection_Connect(&connection_, options);
  natsOptions_Destroy(options);
  check(connected, "connect");
  natsInbox* inbox = nullptr;
  check(natsInbox_Create(&inbox), "inbox");
  inbox_ = inbox;
  natsInbox_Destroy(inbox);
  check(natsConnection_Subscribe(&subscription_, connection_, (inbox_ + ".*").c_str(), on_answer,
                                 this),
        "subscribe");
  natsSubscription_SetPendingLimits(subscription_, -1, -1);
  check(natsSubscription_SetOnCompleteCB(
            subscription_,
            [](void* self) { static_cast<NatsPublisher*>(self)->finished_.release(); }, this),
        "completion");
}

NatsPublisher::~NatsPublisher() {
  natsConnection_Close(connection_);
  natsSubscription_Destroy(subscription_);
  // The library's thread may be in on_answer: only after this it is not.
  finished_.acquire();
  natsConnection_Destroy(connection_);
}

bool NatsPublisher::publish(const std::string& subject, const std::string& payload,
                            uint64_t number) {
  const std::string reply = inbox_ + "." + std::to_string(number);
  return natsConnection_PublishRequest(connection_, subject.c_str(), reply.c_str(), payload.data(),
                                       static_cast<int>(payload.size())) == NATS_OK;
}

void NatsPublisher::wait_for_answers(size_t count) {
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (acknowledged_.size() + refusals_.size() >= count) return;
    }
    if (natsConnection_IsClosed(connection_)) return;
    nats_Sleep(1);
  }
}

std::map<uint64_t, uint64_t> NatsPublisher::acknowledged() {
  const std::lock_guard lock(mutex_);
  return acknowledged_;
}

std::vector<std::string> NatsPublisher::refusals() {
  const std::lock_guard lock(mutex_);
  return refusals_;
}

void NatsPublisher::on_answer(natsConnection*, natsSubscription*, natsMsg* message, void* self) {
  auto& me = *static_cast<NatsPublisher*>(self);
  const std::string subject = natsMsg_GetSubject(message);
  const std::string text(natsMsg_GetData(message),
                         static_cast<size_t>(natsMsg_GetDataLength(message)));
  natsMsg_Destroy(message);
  const uint64_t number = std::stoull(subject.substr(subject.rfind('.') + 1));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const std::lock_guard lock(me.mutex_);
  if (json.is_object() && json.contains("seq")) {
    me.acknowledged_[number] = json["seq"].get<uint64_t>();
  } else {
    me.refusals_.push_back(text);
  }
}

}  // namespace bascule::process_test
