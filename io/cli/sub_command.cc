// bascule sub STREAM: replays a stream and follows it.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "io/cli/app.h"
#include "io/cli/client_session.h"
#include "io/cli/message_format.h"
#include "io/cli/positions.h"
#include "src/model/subject.h"

namespace bascule::cli {
namespace {

struct SubOptions {
  ConnectOptions connect;
  std::string stream;
  std::string from = "new";
  std::string until = "never";
  std::string filter;
  std::optional<uint32_t> partition;
  uint64_t count = 0;  // 0: no limit
  std::string format;
};

// Prints what a subscription delivers.
class Printer final : public client::Receiver {
 public:
  Printer(const SubOptions& options, std::optional<MessageFormat> format, ClientSession& session)
      : options_(options), format_(std::move(format)), session_(session) {}

  void records(std::span<const client::Received> records) override {
    for (const client::Received& received : records) {
      if (done_) return;
      print(received);
      if (options_.count > 0 && ++printed_ == options_.count) finish({});
    }
    std::fflush(stdout);
  }
  void started(PartitionId, Epoch, Offset) override {}
  void partition_ended(const client::PartitionEnd& end) override {
    if (end.result || done_) return;
    std::fprintf(stderr, "bascule: partition %s ended at offset %s\n",
                 end.partition.to_string().c_str(), end.next.to_string().c_str());
    if (end.valid_end)
      std::fprintf(stderr, "bascule: its history is valid up to offset %s\n",
                   end.valid_end->to_string().c_str());
    failure_ = end.result.error();
  }
  void ended(Status result) override {
    if (!done_) finish(std::move(result));
  }

  bool done() const { return done_; }
  const std::optional<Error>& failure() const { return failure_; }

 private:
  void print(const client::Received& r) {
    const PlacedRecord placed{options_.stream, r.partition.index, r.offset,
                              r.epoch,         r.append_time,     r.record};
    std::string text;
    if (format_) {
      text = format_->render(placed);
    } else if (options_.connect.json) {
      text = json_line(placed) + "\n";
    } else {
      text = std::string(r.record.value.value_or("")) + "\n";
    }
    // A reader that has gone away (head, less) ends the command; SIGPIPE does that by itself.
    std::fwrite(text.data(), 1, text.size(), stdout);
  }

  void finish(Status result) {
    done_ = true;
    if (!result && !failure_) failure_ = result.error();
    session_.stop_loop();
  }

  const SubOptions& options_;
  const std::optional<MessageFormat> format_;
  ClientSession& session_;
  uint64_t printed_ = 0;
  bool done_ = false;
  std::optional<Error> failure_;
};

ExitStatus sub(const SubOptions& options) {
  auto from = parse_from(options.from);
  if (!from) return report_usage(from.error());
  auto until = parse_until(options.until);
  if (!until) return report_usage(until.error());
  if (!options.filter.empty() && !model::valid_subject_filter(options.filter))
    return report_usage({Errc::invalid, "--filter \"" + options.filter + "\": is no NATS subject"});
  std::optional<MessageFormat> format;
  if (!options.format.empty()) {
    auto parsed = MessageFormat::parse(options.format);
    if (!parsed) return report_usage(parsed.error());
    format = std::move(*parsed);
  }
  auto session = ClientSession::open(options.connect);
  if (!session) return report_usage(session.error());
  Printer printer(options, std::move(format), **session);
  client::SubscribeOptions subscribe;
  subscribe.stream = options.stream;
  if (options.partition) subscribe.partition = PartitionIndex(*options.partition);
  subscribe.from = *from;
  subscribe.until = *until;
  subscribe.filter = options.filter;
  const auto subscription = (*session)->client().subscribe(subscribe, printer);
  while (!printer.done()) (*session)->run_loop();
  std::fflush(stdout);
  return printer.failure() ? report(*printer.failure()) : k_exit_done;
}

}  // namespace

void register_sub(CLI::App& app, ExitStatus& status) {
  auto options = std::make_shared<SubOptions>();
  CLI::App* command = app.add_subcommand("sub", "replay a stream and follow it");
  command->add_option("STREAM", options->stream, "the stream's name")->required();
  command
      ->add_option("--from", options->from,
                   "earliest, latest, new, @OFFSET, a time (RFC 3339), -1h (ago) or last:N")
      ->capture_default_str();
  command
      ->add_option("--until", options->until,
                   "latest (what is there now), @OFFSET or a time (both not included), never")
      ->capture_default_str();
  command->add_option("--filter", options->filter, "only subjects that this NATS subject matches");
  command->add_option("--partition", options->partition, "only this partition");
  command->add_option("--count", options->count, "end after so many messages");
  command->add_option("--format", options->format,
                      "like kcat: %o offset %T ms %k key %s payload %S size %h headers %t stream "
                      "%p partition %u subject");
  add_connect_options(*command, options->connect);
  command->callback([options, &status] { status = sub(*options); });
}

}  // namespace bascule::cli
