// bascule events: the activity of the cluster's metadata, what is kept of it and what comes.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "io/cli/app.h"
#include "io/cli/client_session.h"
#include "io/cli/event_format.h"

namespace bascule::cli {
namespace {

struct EventsOptions {
  ConnectOptions connect;
  std::string from = "earliest";
  bool follow = false;
};

void print(const model::Event& event, bool json) {
  std::printf("%s\n", json ? event_json(event).c_str() : event_line(event).c_str());
}

void print_lost(const broker::EventsLost& lost, bool json) {
  const std::string first = lost.first_kept ? lost.first_kept->to_string() : "none";
  if (json) std::printf("%s\n", lost_json(lost).c_str());
  std::fprintf(stderr, "bascule: events_lost: the first that is still kept is %s\n", first.c_str());
}

// Prints what comes until the stream ends.
class Follower final : public client::EventReceiver {
 public:
  Follower(ClientSession& session, bool json) : session_(session), json_(json) {}

  void events(std::span<const model::Event> events) override {
    for (const model::Event& event : events) print(event, json_);
    std::fflush(stdout);
  }
  void events_lost(const broker::EventsLost& lost) override {
    print_lost(lost, json_);
    std::fflush(stdout);
  }
  void ended(const Error& why) override {
    failure = why;
    session_.stop_loop();
  }

  std::optional<Error> failure;

 private:
  ClientSession& session_;
  const bool json_;
};

ExitStatus follow(ClientSession& session, const broker::EventsStart& from, bool json) {
  Follower follower(session, json);
  const auto stream = session.client().follow_events(from, follower);
  while (!follower.failure) session.run_loop();
  return report(*follower.failure);
}

// What there is now.
ExitStatus print_kept(ClientSession& session, broker::EventsStart from, bool json) {
  client::ReadEventsOptions options;
  options.max_age = {};
  ExitStatus status = k_exit_done;
  for (;;) {
    auto page = session.await<broker::EventsPage>(
        [&](auto done) { session.client().read_events(from, options, std::move(done)); });
    if (!page) return report(page.error());
    if (page->lost) {
      print_lost(*page->lost, json);
      status = k_exit_failed;
    } else if (page->events.empty()) {
      return status;
    }
    for (const model::Event& event : page->events) print(event, json);
    from = page->next;
  }
}

ExitStatus events(const EventsOptions& options) {
  auto from = parse_events_start(options.from);
  if (!from) return report_usage(from.error());
  auto session = ClientSession::open(options.connect);
  if (!session) return report_usage(session.error());
  return options.follow ? follow(**session, *from, options.connect.json)
                        : print_kept(**session, *from, options.connect.json);
}

}  // namespace

void register_events(CLI::App& app, ExitStatus& status) {
  auto options = std::make_shared<EventsOptions>();
  CLI::App* command = app.add_subcommand(
      "events", "what has happened to the cluster's metadata, each change once and in order");
  command
      ->add_option(
          "--from", options->from,
          "after this position (12.3, as printed; 12: from entry 12 on), earliest (what is "
          "kept), or now")
      ->capture_default_str();
  command->add_flag("--follow", options->follow, "go on with what comes");
  add_connect_options(*command, options->connect);
  command->callback([options, &status] { status = events(*options); });
}

}  // namespace bascule::cli
