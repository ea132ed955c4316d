#include "src/controller/placement.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace bascule::controller {
namespace {

struct Candidate {
  NodeId node;
  size_t host = 0;            // index into the hosts
  uint64_t replicas = 0;      // of all streams
  uint64_t leaders = 0;       // of all streams
  uint32_t own_replicas = 0;  // of this stream
  uint32_t own_leaders = 0;   // of this stream
};

struct Host {
  uint32_t own_replicas = 0;
  uint32_t own_leaders = 0;
  bool used = false;  // by the partition in hand
};

class Placing {
 public:
  explicit Placing(const std::vector<PlacementBroker>& brokers) {
    std::map<std::string, size_t> labels;
    for (const PlacementBroker& b : brokers) {
      size_t host = hosts_.size();
      if (!b.host.empty()) host = labels.try_emplace(b.host, host).first->second;
      if (host == hosts_.size()) hosts_.emplace_back();
      candidates_.push_back({b.node, host, b.replicas, b.leaders});
    }
    std::ranges::sort(candidates_, {}, &Candidate::node);
  }

  size_t hosts() const { return hosts_.size(); }

  std::vector<NodeId> next_partition(uint32_t replicas) {
    for (Host& host : hosts_) host.used = false;
    std::vector<NodeId> out;
    Candidate& leader = *std::ranges::min_element(candidates_, {}, [this](const Candidate& c) {
      return std::tuple(c.own_leaders, hosts_[c.host].own_leaders, c.own_replicas, c.leaders,
                        c.replicas, c.node);
    });
    ++leader.own_leaders;
    ++leader.leaders;
    ++hosts_[leader.host].own_leaders;
    out.push_back(take(leader));
    while (out.size() < replicas) {
      out.push_back(take(*std::ranges::min_element(candidates_, {}, [this](const Candidate& c) {
        const Host& host = hosts_[c.host];
        return std::tuple(host.used, c.own_replicas, host.own_replicas, c.replicas, c.node);
      })));
    }
    return out;
  }

  // Moves followers from the brokers with the most replicas to those with the fewest, while two or more lie
  // between them: a leader's place is given before its followers', and may tip the balance.
  void level(std::vector<std::vector<NodeId>>& places) {
    const uint32_t least =
        std::ranges::min_element(candidates_, {}, &Candidate::own_replicas)->own_replicas;
    for (std::vector<NodeId>& nodes : places) {
      for (size_t i = 1; i < nodes.size(); ++i) {
        Candidate& from = *find(nodes[i]);
        if (from.own_replicas < least + 2) continue;
        Candidate& to = *std::ranges::min_element(candidates_, {}, [&](const Candidate& c) {
          return std::tuple(on_host(nodes, c.host), c.own_replicas, c.node);
        });
        if (on_host(nodes, to.host) || to.own_replicas + 1 >= from.own_replicas) continue;
        --from.own_replicas;
        ++to.own_replicas;
        nodes[i] = to.node;
      }
    }
  }

 private:
  std::vector<Candidate>::iterator find(NodeId node) {
    return std::ranges::lower_bound(candidates_, node, {}, &Candidate::node);
  }
  bool on_host(const std::vector<NodeId>& nodes, size_t host) {
    return std::ranges::any_of(nodes, [&](NodeId node) { return find(node)->host == host; });
  }

  NodeId take(Candidate& c) {
    hosts_[c.host].used = true;
    ++hosts_[c.host].own_replicas;
    ++c.own_replicas;
    ++c.replicas;
    return c.node;
  }

  std::vector<Candidate> candidates_;  // by node
  std::vector<Host> hosts_;
};

}  // namespace

Result<std::vector<std::vector<NodeId>>> place_stream(const std::vector<PlacementBroker>& brokers,
                                                      PlacementRequest request) {
  Placing placing(brokers);
  if (request.replicas == 0 || placing.hosts() < request.replicas)
    return fail(Errc::not_enough_replicas,
                "replicas: " + std::to_string(request.replicas) +
                    " asked, each on a host of its own; brokers are up on " +
                    std::to_string(placing.hosts()) + " hosts");
  std::vector<std::vector<NodeId>> out;
  out.reserve(request.partitions);
  for (uint32_t i = 0; i < request.partitions; ++i)
    out.push_back(placing.next_partition(request.replicas));
  placing.level(out);
  return out;
}

}  // namespace bascule::controller
