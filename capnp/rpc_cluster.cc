// The Cluster capability: who is in the cluster, and changes of that.
#include <utility>

#include "capnp/cluster_values.h"
#include "capnp/rpc_session.h"
#include "capnp/wire_values.h"

namespace bascule::rpc {
namespace {

class ClusterImpl final : public wire::Cluster::Server {
 public:
  explicit ClusterImpl(Session& session) : session_(session) {}

  kj::Promise<void> status(StatusContext context) override {
    context.allowCancellation();
    auto permit = session_.admit_call();
    if (!permit) return refuse(context, too_many());
    auto call = session_.call<broker::ClusterStatus>();
    session_.api().cluster_status(session_.who(), std::move(call.done));
    return call.promise.then(
        [context, permit = std::move(permit)](Result<broker::ClusterStatus> result) mutable {
          if (!result) return write_failure(context.getResults().initFailure(), result.error());
          write_cluster(context.getResults().initStatus(), *result);
        });
  }

  kj::Promise<void> change(ChangeContext context) override {
    context.allowCancellation();
    auto params = context.getParams();
    auto verb = read_verb(params.getVerb());
    if (!verb) return refuse(context, verb.error());
    auto permit = session_.admit_call();
    if (!permit) return refuse(context, too_many());
    auto call = session_.call<void>();
    session_.api().change_cluster(session_.who(),
                                  {*verb, NodeId(params.getNode()), NodeId(params.getReplaces())},
                                  std::move(call.done));
    return call.promise.then([context, permit = std::move(permit)](Result<void> result) mutable {
      if (!result) write_failure(context.getResults().initFailure(), result.error());
    });
  }

 private:
  static Error too_many() { return {Errc::overloaded, "too many open calls of one connection"}; }

  template <class Context>
  static kj::Promise<void> refuse(Context context, const Error& error) {
    write_failure(context.getResults().initFailure(), error);
    return kj::READY_NOW;
  }

  Session& session_;
};

}  // namespace

wire::Cluster::Client make_cluster(Session& session) { return kj::heap<ClusterImpl>(session); }

}  // namespace bascule::rpc
