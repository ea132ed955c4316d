// How `sub` and `pub` print messages: one JSON object per line, or a format string in kcat's manner.
#pragma once

#include <string>
#include <string_view>

#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/model/record.h"

namespace bascule::cli {

// A record where it stands in its stream.
struct PlacedRecord {
  std::string_view stream;
  PartitionIndex partition;
  Offset offset;
  Epoch epoch;
  WallTime append_time;
  const model::RecordView& record;
};

// {"stream","partition","offset","epoch","time","append_time","subject","reply","key","value","headers"}:
// `key`, `reply` and `value` only where present; bytes that are not UTF-8 as `key_base64`, `value_base64`.
// `headers` is an array of [name, value], in their order.
std::string json_line(const PlacedRecord& placed);

// A format parsed once: %o offset, %T timestamp in ms, %k key, %s payload, %S its length, %h headers, %t stream,
// %p partition, %u subject, %% a percent sign; \n \t \\ . Anything else after them is `invalid`.
class MessageFormat {
 public:
  static Result<MessageFormat> parse(std::string_view text);
  std::string render(const PlacedRecord& placed) const;

 private:
  struct Part {
    char directive;  // 0: literal text
    std::string text;
  };
  std::vector<Part> parts_;
};

bool valid_utf8(std::string_view text);
std::string base64(std::string_view bytes);

}  // namespace bascule::cli
