// The Cluster capability: who is in the cluster, and changes of that.
#include <utility>

#include "capnp/cluster_values.h"
#include "capnp/event_values.h"
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
    const auto params = context.getParams();
    auto call = session_.call<broker::ClusterStatus>();
    session_.api().cluster_status(
        session_.who(), {read_max_age(params.getMaxAge()), session_.deadline(params.getBudgetNs())},
        std::move(call.done));
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

  kj::Promise<void> decide(DecideContext context) override {
    context.allowCancellation();
    auto decision = read_decision(context.getParams().getDecision());
    if (!decision) return refuse(context, decision.error());
    auto permit = session_.admit_call();
    if (!permit) return refuse(context, too_many());
    auto call = session_.call<void>();
    session_.api().decide_cluster(session_.who(), std::move(*decision), std::move(call.done));
    return call.promise.then([context, permit = std::move(permit)](Result<void> result) mutable {
      if (!result) write_failure(context.getResults().initFailure(), result.error());
    });
  }

  kj::Promise<void> events(EventsContext context) override {
    context.allowCancellation();
    const auto params = context.getParams();
    auto from = read_events_start(params.getFrom());
    if (!from) return refuse(context, from.error());
    auto permit = session_.admit_call();
    if (!permit) return refuse(context, too_many());
    auto call = session_.call<broker::EventsPage>();
    session_.api().read_events(session_.who(),
                               {*from, params.getMax(), read_max_age(params.getMaxAge()),
                                session_.deadline(params.getBudgetNs())},
                               std::move(call.done));
    return call.promise.then(
        [context, permit = std::move(permit)](Result<broker::EventsPage> result) mutable {
          if (!result) return write_failure(context.getResults().initFailure(), result.error());
          write_page(context.getResults(), *result);
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
