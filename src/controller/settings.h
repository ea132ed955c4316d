// Settings of the whole cluster: a small set of names with checked values, changed by one command each.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/base/time.h"

namespace bascule::controller {

// What was set, by name, each value in its shortest exact form. A name that is absent has its default.
using SettingValues = std::map<std::string, std::string, std::less<>>;

// Least value of unsynced_write_max.
inline constexpr Duration k_unsynced_write_least = milliseconds(100);

struct Settings {
  Duration session_timeout = seconds(3);  // of brokers with the controller
  // From the first report of a leaderless epoch until those who reported elect.
  Duration election_wait = seconds(10);
  Duration memory_election_wait = seconds(30);  // the same for `memory` partitions
  Duration replica_lag_max = seconds(2);        // a follower behind for longer leaves the ISR
  Duration unsynced_write_max = seconds(1);  // a leader with an older unsynced write should resign
  uint32_t default_replicas = 1;             // of a stream whose creator says none

  bool operator==(const Settings&) const = default;
};

// The value in the form that is kept. `invalid`: no such setting (names them all), or a value that is not
// one of it. An empty value stands for the default and stays empty.
Result<std::string> check_setting(std::string_view name, std::string_view value);

// A setting as people see it.
struct SettingValue {
  std::string name;
  std::string value;  // in force
  bool by_default = true;
};
// Every setting, by name. Requires checked values.
std::vector<SettingValue> all_settings(const SettingValues& values);

// Requires checked values; `corrupt` where one is not.
Result<Settings> settings_from(const SettingValues& values);

}  // namespace bascule::controller
