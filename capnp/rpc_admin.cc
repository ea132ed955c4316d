// The Admin capability: streams made, listed, described, deleted.
#include <algorithm>
#include <utility>

#include "capnp/rpc_session.h"
#include "capnp/wire_values.h"

namespace bascule::rpc {
namespace {

// One answer of listStreams: a few MiB at most, whatever the streams are.
constexpr size_t k_page_streams_max = 1000;
constexpr size_t k_page_partitions_max = 8192;

template <class Results>
void write_failed(Results results, const Error& error) {
  write_failure(results.initFailure(), error);
}

class AdminImpl final : public wire::Admin::Server {
 public:
  explicit AdminImpl(Session& session) : session_(session) {}

  kj::Promise<void> createStream(CreateStreamContext context) override {
    context.allowCancellation();
    auto config = read_config(context.getParams().getConfig());
    if (!config) return refuse(context, config.error());
    auto permit = session_.admit_call();
    if (!permit) return refuse(context, too_many());
    auto call = session_.call<broker::StreamStatus>();
    session_.api().create_stream(
        session_.who(), {std::move(*config), session_.deadline(context.getParams().getBudgetNs())},
        std::move(call.done));
    return answer_info(
        call.promise.then([](Result<broker::StreamStatus> made) -> Result<broker::DescribedStream> {
          if (!made) return fail(std::move(made.error()));
          return broker::DescribedStream{std::move(*made), {}};
        }),
        context, std::move(permit));
  }

  kj::Promise<void> describeStream(DescribeStreamContext context) override {
    context.allowCancellation();
    auto permit = session_.admit_call();
    if (!permit) return refuse(context, too_many());
    const auto params = context.getParams();
    auto call = session_.call<broker::DescribedStream>();
    session_.api().describe_stream(
        session_.who(), read_ref(params.getStream()),
        {read_max_age(params.getMaxAge()), session_.deadline(params.getBudgetNs())},
        std::move(call.done));
    return answer_info(std::move(call.promise), context, std::move(permit));
  }

  kj::Promise<void> listStreams(ListStreamsContext context) override {
    context.allowCancellation();
    auto permit = session_.admit_call();
    if (!permit) return refuse(context, too_many());
    const auto params = context.getParams();
    auto call = session_.call<broker::StreamList>();
    session_.api().list_streams(
        session_.who(), {read_max_age(params.getMaxAge()), session_.deadline(params.getBudgetNs())},
        std::move(call.done));
    return call.promise.then(
        [context, permit = std::move(permit)](Result<broker::StreamList> result) mutable {
          if (!result) return write_failed(context.getResults(), result.error());
          write_as_of(context.getResults().initAsOf(), result->as_of);
          write_page(context, std::move(result->streams));
        });
  }

  kj::Promise<void> deleteStream(DeleteStreamContext context) override {
    context.allowCancellation();
    auto permit = session_.admit_call();
    if (!permit) return refuse(context, too_many());
    auto call = session_.call<void>();
    session_.api().delete_stream(session_.who(), StreamId(context.getParams().getId()),
                                 std::move(call.done));
    return call.promise.then([context, permit = std::move(permit)](Result<void> result) mutable {
      if (!result) write_failed(context.getResults(), result.error());
    });
  }

 private:
  static Error too_many() { return {Errc::overloaded, "too many open calls of one connection"}; }

  template <class Context>
  static kj::Promise<void> refuse(Context context, const Error& error) {
    write_failed(context.getResults(), error);
    return kj::READY_NOW;
  }

  template <class Context>
  kj::Promise<void> answer_info(kj::Promise<Result<broker::DescribedStream>> promise,
                                Context context, std::shared_ptr<void> permit) {
    return promise.then([this, context, permit = std::move(permit)](
                            Result<broker::DescribedStream> result) mutable {
      if (!result) return write_failed(context.getResults(), result.error());
      const auto& nodes = session_.options().nodes;
      write_info(context.getResults().initStream(), result->stream,
                 nodes ? nodes() : std::vector<client::NodeEndpoint>{}, result->as_of);
    });
  }

  static void write_page(ListStreamsContext context, std::vector<broker::StreamStatus> streams) {
    std::ranges::sort(streams, {},
                      [](const auto& s) -> const std::string& { return s.config.name; });
    const std::string after = read_text(context.getParams().getAfter());
    const auto begin = std::ranges::upper_bound(
        streams, after, {}, [](const auto& s) -> const std::string& { return s.config.name; });
    auto end = begin;
    size_t partitions = 0;
    while (end != streams.end() && static_cast<size_t>(end - begin) < k_page_streams_max &&
           (end == begin || partitions + end->partitions.size() <= k_page_partitions_max)) {
      partitions += end->partitions.size();
      ++end;
    }
    auto list = context.getResults().initStreams(static_cast<kj::uint>(end - begin));
    for (auto it = begin; it != end; ++it)
      write_status(list[static_cast<kj::uint>(it - begin)], *it);
    context.getResults().setMore(end != streams.end());
  }

  Session& session_;
};

}  // namespace

wire::Admin::Client make_admin(Session& session) { return kj::heap<AdminImpl>(session); }

}  // namespace bascule::rpc
