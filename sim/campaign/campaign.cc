#include "sim/campaign/campaign.h"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "sim/campaign/isolate.h"

namespace bascule::sim {
namespace {

using Clock = std::chrono::steady_clock;

// Shared by the jobs and the campaign.
struct Shared {
  std::atomic<uint64_t> first_failure{UINT64_MAX};
  std::atomic<uint64_t> seeds{0};     // that have ended
  std::atomic<uint64_t> current[64];  // the seed that a job is running
};

struct Job {
  pid_t pid = 0;
  int fd = -1;
  std::string buffer;
  uint64_t next = 0;  // first seed of this job that is not known to be over
};

// What a job has done since it last told.
struct Tally {
  uint64_t seeds = 0;
  Outcome sum;
};

void add(std::map<std::string, uint64_t, std::less<>>& to,
         const std::map<std::string, uint64_t, std::less<>>& from) {
  for (const auto& [name, value] : from) to[name] += value;
}

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

class Worker {
 public:
  Worker(const WorldType& world, const CampaignOptions& options, Shared& shared, uint32_t index,
         int fd)
      : world_(world), options_(options), shared_(shared), index_(index), fd_(fd) {}

  [[noreturn]] void run(uint64_t first, Clock::time_point deadline) {
    const uint64_t end = options_.seeds == 0 ? UINT64_MAX : options_.start + options_.seeds;
    for (uint64_t seed = first; seed < end; seed += options_.jobs) {
      if (options_.stop_at_first && seed > shared_.first_failure.load()) break;
      if (options_.minutes > 0 && Clock::now() >= deadline) break;
      shared_.current[index_].store(seed);
      ::alarm(k_run_seconds_max);
      one(seed);
      shared_.seeds.fetch_add(1);
      if (++tally_.seeds == 256 || since(told_) > 0.5) tell();
    }
    ::alarm(0);
    tell();
    ::_exit(0);
  }

 private:
  void one(uint64_t seed) {
    const Plan plan = world_.expand(seed);
    Outcome outcome = world_.run(plan, {});
    if (options_.check_every > 0 && (seed - options_.start) % options_.check_every == 0)
      again(seed, plan, outcome.trace);
    tally_.sum.events += outcome.events;
    tally_.sum.simulated = tally_.sum.simulated + outcome.simulated;
    add(tally_.sum.counts, outcome.counts);
    if (!outcome.failure) return;
    uint64_t known = shared_.first_failure.load();
    while (seed < known && !shared_.first_failure.compare_exchange_weak(known, seed)) {
    }
    send("fail " + std::to_string(seed) + '\n' + outcome_text(outcome) + "end\n");
  }

  // The same plan with other addresses and other bytes in fresh memory.
  void again(uint64_t seed, const Plan& plan, const Uuid& trace) {
    ::mallopt(M_PERTURB, static_cast<int>(1 + seed % 255));
    std::vector<std::unique_ptr<char[]>> noise;
    for (uint64_t i = 0; i < 16; ++i)
      noise.push_back(std::make_unique<char[]>(static_cast<size_t>(mix64(seed + i) % 5000)));
    const Outcome second = world_.run(plan, {});
    ::mallopt(M_PERTURB, 0);
    if (second.trace != trace) send("differs " + std::to_string(seed) + '\n');
  }

  void tell() {
    send("tally\n" + outcome_text(tally_.sum) + "end\n");
    tally_ = {};
    told_ = Clock::now();
  }

  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::write(fd_, text.data(), text.size());
      if (n <= 0) ::_exit(4);
      text.remove_prefix(static_cast<size_t>(n));
    }
  }

  const WorldType& world_;
  const CampaignOptions& options_;
  Shared& shared_;
  uint32_t index_;
  int fd_;
  Tally tally_;
  Clock::time_point told_ = Clock::now();
};

class Campaign {
 public:
  Campaign(const WorldType& world, const CampaignOptions& options)
      : world_(world), options_(options) {
    options_.jobs = std::clamp<uint32_t>(options_.jobs, 1, 64);
    void* memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    shared_ = new (memory) Shared;
    deadline_ = begin_ + std::chrono::milliseconds(static_cast<int64_t>(options_.minutes * 60e3));
  }
  ~Campaign() { ::munmap(shared_, sizeof(Shared)); }

  CampaignResult run() {
    jobs_.resize(options_.jobs);
    for (uint32_t i = 0; i < options_.jobs; ++i) start(i, options_.start + i);
    while (std::ranges::any_of(jobs_, [](const Job& job) { return job.pid != 0; })) gather();
    if (options_.progress) std::fprintf(stderr, "\r%70s\r", "");
    result_.seconds = since(begin_);
    result_.seeds += shared_->seeds.load();
    std::ranges::sort(result_.failures, {}, &SeedFailure::seed);
    std::ranges::sort(result_.nondeterministic);
    return std::move(result_);
  }

 private:
  void start(uint32_t index, uint64_t seed) {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid < 0) std::abort();
    if (pid == 0) {
      ::close(ends[0]);
      Worker(world_, options_, *shared_, index, ends[1]).run(seed, deadline_);
    }
    ::close(ends[1]);
    jobs_[index] = {pid, ends[0], {}, seed};
  }

  void gather() {
    std::vector<pollfd> polls;
    std::vector<uint32_t> whose;
    for (uint32_t i = 0; i < jobs_.size(); ++i) {
      if (jobs_[i].pid == 0) continue;
      polls.push_back({jobs_[i].fd, POLLIN, 0});
      whose.push_back(i);
    }
    ::poll(polls.data(), polls.size(), 1000);
    for (size_t i = 0; i < polls.size(); ++i) {
      if (polls[i].revents == 0) continue;
      Job& job = jobs_[whose[i]];
      char buffer[65536];
      const ssize_t n = ::read(job.fd, buffer, sizeof buffer);
      if (n > 0) {
        job.buffer.append(buffer, static_cast<size_t>(n));
        parse(job);
      } else {
        ended(whose[i]);
      }
    }
    if (options_.progress && since(shown_) > 0.5) show();
  }

  void parse(Job& job) {
    while (true) {
      const size_t line_end = job.buffer.find('\n');
      if (line_end == std::string::npos) return;
      const std::string line = job.buffer.substr(0, line_end);
      if (line.starts_with("differs ")) {
        result_.nondeterministic.push_back(std::strtoull(line.c_str() + 8, nullptr, 10));
        job.buffer.erase(0, line_end + 1);
        continue;
      }
      const size_t end = job.buffer.find("\nend\n");
      if (end == std::string::npos) return;
      const Outcome outcome =
          parse_outcome(std::string_view(job.buffer).substr(line_end + 1, end - line_end));
      if (line.starts_with("fail ")) {
        result_.failures.push_back(
            {std::strtoull(line.c_str() + 5, nullptr, 10), *outcome.failure});
      } else {
        result_.events += outcome.events;
        result_.simulated_seconds += static_cast<double>(outcome.simulated.ns) / 1e9;
        add(result_.counts, outcome.counts);
      }
      job.buffer.erase(0, end + 5);
    }
  }

  // A job's process is over: at its end, or killed by the seed that it was running.
  void ended(uint32_t index) {
    Job& job = jobs_[index];
    ::close(job.fd);
    int status = 0;
    ::waitpid(job.pid, &status, 0);
    job.pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    const uint64_t seed = shared_->current[index].load();
    ++result_.seeds;
    result_.failures.push_back({seed, {oracle_of_death(status), "the run ended its process", {}}});
    if (options_.stop_at_first) {
      shared_->first_failure.store(std::min(seed, shared_->first_failure.load()));
      return;
    }
    start(index, seed + options_.jobs);
  }

  void show() {
    shown_ = Clock::now();
    const double seconds = since(begin_);
    std::fprintf(stderr, "\r%llu seeds, %.0f/s, %.2f M events/s, %zu failures ",
                 static_cast<unsigned long long>(shared_->seeds.load()),
                 static_cast<double>(shared_->seeds.load()) / seconds,
                 static_cast<double>(result_.events) / seconds / 1e6, result_.failures.size());
  }

  const WorldType& world_;
  CampaignOptions options_;
  Shared* shared_;
  std::vector<Job> jobs_;
  CampaignResult result_;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point deadline_;
  Clock::time_point shown_ = Clock::now();
};

}  // namespace

CampaignResult run_campaign(const WorldType& world, const CampaignOptions& options) {
  return Campaign(world, options).run();
}

std::string campaign_json(const WorldType& world, const CampaignResult& result) {
  const double seconds = std::max(result.seconds, 1e-9);
  nlohmann::ordered_json faults = nlohmann::ordered_json::object();
  nlohmann::ordered_json probes = nlohmann::ordered_json::object();
  for (const auto& [name, value] : result.counts) {
    if (name.starts_with("fault.")) {
      faults[name.substr(6)] = value;
    } else {
      probes[name] = value;
    }
  }
  nlohmann::ordered_json out;
  out["world"] = world.name();
  out["seeds"] = result.seeds;
  out["failures"] = result.failures.size() + result.nondeterministic.size();
  out["seconds"] = result.seconds;
  out["seeds_per_s"] = static_cast<double>(result.seeds) / seconds;
  out["events_per_s"] = static_cast<double>(result.events) / seconds;
  out["sim_s_per_s"] = result.simulated_seconds / seconds;
  if (!result.failures.empty()) {
    out["first_seed"] = result.failures.front().seed;
    out["first_oracle"] = result.failures.front().failure.oracle;
  }
  out["faults"] = faults;
  out["probes"] = probes;
  return out.dump();
}

std::string campaign_text(const WorldType& world, const CampaignResult& result) {
  const double seconds = std::max(result.seconds, 1e-9);
  char line[256];
  std::snprintf(line, sizeof line,
                "world %s: %llu seeds, %zu failures, %.1f s; %.0f seeds/s, %.0f events/s, %.0f "
                "simulated s/s\n",
                std::string(world.name()).c_str(), static_cast<unsigned long long>(result.seeds),
                result.failures.size() + result.nondeterministic.size(), result.seconds,
                static_cast<double>(result.seeds) / seconds,
                static_cast<double>(result.events) / seconds, result.simulated_seconds / seconds);
  std::string out = line;
  for (const auto& [name, value] : result.counts)
    out += "  " + name + ' ' + std::to_string(value) + '\n';
  return out;
}

}  // namespace bascule::sim
