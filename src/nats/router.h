// Who gets a message: all subscriptions of the server, by subject, with queue groups.
//
// A message costs one look-up in a cache by subject; only where that fails, one walk through the tree.
// Any change of the subscriptions ends what the cache knows. The router owns nothing of the clients: a
// Receiver takes its subscriptions back before it goes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/prng.h"
#include "src/nats/message.h"
#include "src/nats/subject_cache.h"
#include "src/nats/subject_index.h"

namespace bascule::nats {

class Receiver;

struct Subscription {
  Receiver* receiver = nullptr;
  std::string subject;  // with wildcards
  std::string queue;    // empty: none
  std::string sid;      // the client's name for it
  uint64_t max = 0;     // it ends after so many messages; 0: never
  uint64_t delivered = 0;
};

// Who subscribes: a client's connection.
class Receiver {
 public:
  virtual ~Receiver() = default;
  // False: it takes nothing more (it is being closed).
  virtual bool receives() const = 0;
  // Whether it wants what it published itself.
  virtual bool echo() const = 0;
  // May not change subscriptions.
  virtual void deliver(const Subscription& subscription, const Message& message) = 0;
  // The subscription has had its last message: take it back. Not called while a message is delivered.
  virtual void exhausted(Subscription& subscription) = 0;
};

class Router {
 public:
  explicit Router(uint64_t seed);

  // `subscription` stays where it is until it is removed; its subject is a valid filter.
  void add(Subscription& subscription);
  void remove(Subscription& subscription);

  // Delivers to every plain subscription and to one member of each queue group, chosen at random; `origin`
  // (perhaps null) gets it only if it wants its own messages.
  struct Outcome {
    bool valid = false;  // false: the subject is no literal subject, and reaches nobody
    size_t delivered = 0;
  };
  Outcome publish(const Message& message, const Receiver* origin);

  // Subscriptions that could get some message on a subject of `filter`. Looks at all of them.
  size_t interest_on(std::string_view filter) const;
  size_t size() const { return index_.size(); }

 private:
  struct Group {
    std::string_view queue;  // of a member
    std::vector<Subscription*> members;
  };
  struct Route {
    bool valid = false;
    bool wide = false;  // too many to be kept: collected anew for each message
    std::vector<Subscription*> plain;
    std::vector<Group> groups;
  };

  const Route& route(std::string_view subject);
  void collect(std::string_view subject, Route& out) const;
  void deliver(Subscription& subscription, const Message& message);
  bool deliver_to_group(const Group& group, const Message& message, const Receiver* origin);
  static bool eligible(const Subscription& subscription, const Receiver* origin);

  SubjectIndex<Subscription*> index_;
  SubjectCache<Route> cache_;
  Route wide_;  // the one at hand
  uint64_t generation_ = 1;
  Prng random_;
  std::vector<Subscription*> exhausted_;
};

}  // namespace bascule::nats
