// The little JSON that NATS speaks: one flat object in CONNECT, small objects in INFO and in answers.
//
// A general library would bring exceptions, locales and allocation per value into the core; this reads
// the members of one object, strings decoded, and passes over what is nested, with a bound on depth.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bascule::nats {

struct JsonMember {
  enum class Kind : uint8_t { string, number, boolean, null, nested };
  std::string name;
  Kind kind = Kind::null;
  std::string text;      // a string, decoded; a number, as written
  bool boolean = false;  // of kind boolean
};

// Replaces `out` by the members of the object that `json` is, in their order; more than 64 members or
// eight levels are refused. False: not an object (RFC 8259), or bytes behind it.
bool parse_json_object(std::string_view json, std::vector<JsonMember>& out);

// Writes one object, member by member.
class JsonWriter {
 public:
  JsonWriter& string(std::string_view name, std::string_view value);
  JsonWriter& number(std::string_view name, uint64_t value);
  JsonWriter& boolean(std::string_view name, bool value);
  // `json` is an object or array already written.
  JsonWriter& nested(std::string_view name, std::string_view json);
  // The object; the writer is not used after it.
  std::string finish();

 private:
  void name(std::string_view name);
  void quoted(std::string_view text);

  std::string out_ = "{";
};

}  // namespace bascule::nats
