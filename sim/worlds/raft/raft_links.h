// The way between the members of world `raft`: a stream per direction and pair, opened by who sends, with a
// bounded queue; what does not fit, and what a broken stream held, is lost.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "sim/worlds/raft/message_frames.h"
#include "src/env/world.h"
#include "src/raft/raft_driver.h"

namespace bascule::sim {

inline constexpr uint16_t k_raft_port = 7000;

class RaftLinks {
 public:
  using Receive = std::function<void(raft::Message)>;

  RaftLinks(env::World& world, std::string host, Receive receive);
  ~RaftLinks();

  void send(NodeId to, Slice frame);
  size_t queued_bytes_max() const { return queued_bytes_max_; }  // ever, on one link

 private:
  struct Out {
    std::unique_ptr<env::Stream> stream;
    bool connecting = false;
    MonotonicTime not_before;
    std::vector<Slice> waiting;  // for the connection
    size_t waiting_bytes = 0;
  };
  struct In {
    std::unique_ptr<env::Stream> stream;
    Bytes buffer;
    RaftFrameReader frames;
    bool dead = false;
  };

  void listen();
  void connect(NodeId to, Out& out);
  void write(NodeId to, Out& out, Slice frame);
  void lose(NodeId to);
  void read(const std::shared_ptr<In>& in);
  void take(const std::shared_ptr<In>& in, size_t size);
  void reap();

  env::World& world_;
  const std::string host_;
  Receive receive_;
  std::unique_ptr<env::Listener> listener_;
  std::map<NodeId, Out> out_;
  std::vector<std::shared_ptr<In>> in_;
  size_t queued_bytes_max_ = 0;
  env::Scope scope_;
};

}  // namespace bascule::sim
