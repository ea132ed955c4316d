// bascule pub STREAM [TEXT]: publishes one text, or each line of a file or of standard input.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "io/asio_loop.h"
#include "io/cli/app.h"
#include "io/cli/client_session.h"
#include "io/cli/line_source.h"
#include "src/model/subject.h"

namespace bascule::cli {
namespace {

struct PubOptions {
  ConnectOptions connect;
  std::string stream;
  std::optional<std::string> text;
  std::string file;
  std::string subject;
  std::optional<std::string> key;
  std::vector<std::string> headers;
  std::string ack = "all";
  std::optional<uint32_t> partition;
  bool quiet = false;
};

Result<std::vector<model::Header>> parse_headers(const std::vector<std::string>& texts) {
  std::vector<model::Header> out;
  for (const std::string& text : texts) {
    const size_t colon = text.find(':');
    if (colon == std::string::npos || colon == 0)
      return fail(Errc::invalid, "--header \"" + text + "\": write NAME:VALUE");
    const size_t value = text.find_first_not_of(' ', colon + 1);
    out.emplace_back(text.substr(0, colon),
                     value == std::string::npos ? std::string() : text.substr(value));
  }
  return out;
}

// One run of the command.
class Publishing {
 public:
  Publishing(const PubOptions& options, ClientSession& session, model::Record pattern)
      : options_(options), session_(session), record_(std::move(pattern)) {
    client::PublisherOptions publisher;
    publisher.acks = options.ack == "none"     ? model::Acks::none
                     : options.ack == "leader" ? model::Acks::leader
                                               : model::Acks::all;
    publisher.delivery_timeout = session.request_timeout();
    if (options.partition) publisher.partition = PartitionIndex(*options.partition);
    publisher_ = session.client().publisher(options.stream, publisher);
  }

  ExitStatus text(const std::string& text) {
    publish(text);
    ended_ = true;
    return finish();
  }

  ExitStatus lines(LineSource& source) {
    source.start([this](std::vector<std::string> lines) { take(std::move(lines)); },
                 [this](Status status) {
                   if (!status) status_ = report(status.error());
                   ended_ = true;
                   stop_when_answered();
                 });
    source_ = &source;
    return finish();
  }

 private:
  void take(std::vector<std::string> lines) {
    for (const std::string& line : lines) publish(line);
    if (publisher_->buffered_bytes() == 0) return source_->proceed();
    publisher_->when_ready([this] { source_->proceed(); });
  }

  // After a failure nothing more is published, so that whoever repeats knows where to go on.
  void publish(const std::string& text) {
    ++line_;
    if (failed_ > 0) return;
    record_.timestamp = session_.loop().wall();
    record_.value = text;
    ++unanswered_;
    auto accepted = publisher_->publish(model::view_of(record_),
                                        [this, line = line_](Result<client::Published> result) {
                                          answered(line, std::move(result));
                                        });
    if (!accepted) answered(line_, fail(std::move(accepted.error())));
  }

  void answered(uint64_t line, Result<client::Published> result) {
    --unanswered_;
    if (!result) {
      if (failed_++ == 0) {
        status_ = report(result.error());
        first_failed_ = line;
      }
      last_failed_ = line;
    } else if (!options_.quiet) {
      print(*result);
    }
    stop_when_answered();
  }

  void print(const client::Published& p) const {
    if (options_.connect.json) {
      nlohmann::ordered_json out;
      out["stream"] = options_.stream;
      out["partition"] = p.partition.index.value;
      out["offset"] = p.offset.value;
      out["epoch"] = p.epoch.value;
      out["duplicate"] = p.duplicate;
      std::printf("%s\n", out.dump().c_str());
    } else {
      std::printf("%s/%s@%s\n", options_.stream.c_str(), p.partition.index.to_string().c_str(),
                  p.offset.to_string().c_str());
    }
  }

  void stop_when_answered() {
    if (ended_ && unanswered_ == 0) session_.stop_loop();
  }

  ExitStatus finish() {
    while (!ended_ || unanswered_ > 0) session_.run_loop();
    std::fflush(stdout);
    if (failed_ > 0) {
      std::fprintf(stderr,
                   "bascule: %zu message(s) were not acknowledged, from line %llu to line %llu; of "
                   "%llu line(s) nothing after that was published\n",
                   failed_, static_cast<unsigned long long>(first_failed_),
                   static_cast<unsigned long long>(last_failed_),
                   static_cast<unsigned long long>(line_));
    }
    return status_;
  }

  const PubOptions& options_;
  ClientSession& session_;
  model::Record record_;
  std::unique_ptr<client::Publisher> publisher_;
  LineSource* source_ = nullptr;
  bool ended_ = false;
  size_t unanswered_ = 0;
  uint64_t line_ = 0;  // read so far
  size_t failed_ = 0;
  uint64_t first_failed_ = 0;
  uint64_t last_failed_ = 0;
  ExitStatus status_ = k_exit_done;
};

// The stream's first literal subject; where all have wildcards, its name.
Result<std::string> default_subject(ClientSession& session, const std::string& stream) {
  auto status = session.await<broker::DescribedStream>(
      [&](auto done) { session.client().describe_stream(stream, std::move(done)); });
  if (!status) return fail(std::move(status.error()));
  for (const std::string& subject : status->stream.config.subjects) {
    if (model::valid_subject(subject)) return subject;
  }
  return status->stream.config.name;
}

ExitStatus pub(PubOptions& options) {
  auto headers = parse_headers(options.headers);
  if (!headers) return report_usage(headers.error());
  if (!options.subject.empty() && !model::valid_subject(options.subject))
    return report_usage({Errc::invalid, "--subject \"" + options.subject + "\": is no subject"});
  auto session = ClientSession::open(options.connect);
  if (!session) return report_usage(session.error());
  model::Record pattern;
  pattern.key = options.key;
  pattern.headers = std::move(*headers);
  pattern.subject = options.subject;
  if (pattern.subject.empty()) {
    auto subject = default_subject(**session, options.stream);
    if (!subject) return report(subject.error());
    pattern.subject = std::move(*subject);
  }
  Publishing publishing(options, **session, std::move(pattern));
  if (options.text) return publishing.text(*options.text);
  auto source = LineSource::open((*session)->loop(), options.file);
  if (!source) return report_usage(source.error());
  return publishing.lines(**source);
}

}  // namespace

void register_pub(CLI::App& app, ExitStatus& status) {
  auto options = std::make_shared<PubOptions>();
  CLI::App* command = app.add_subcommand("pub", "publish a text, or each line of standard input");
  command->add_option("STREAM", options->stream, "the stream's name")->required();
  auto* text = command->add_option("TEXT", options->text, "the message; absent: lines of stdin");
  command->add_option("--file", options->file, "publish each line of this file")->excludes(text);
  command->add_option(
      "--subject", options->subject,
      "NATS subject kept with the message (default: the stream's first literal one)");
  command->add_option("--key", options->key, "key: decides the partition");
  command->add_option("--header", options->headers, "NAME:VALUE; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--ack", options->ack, "all, leader or none")
      ->check(CLI::IsMember({"all", "leader", "none"}))
      ->capture_default_str();
  command->add_option("--partition", options->partition, "publish to this partition");
  command->add_flag("--quiet", options->quiet, "print no offsets");
  add_connect_options(*command, options->connect);
  command->callback([options, &status] { status = pub(*options); });
}

}  // namespace bascule::cli
