// Reading a segment back: which groups and batches of it verify.
//
// The scan says what lies in one file and judges nothing; `verdict.h` decides what of it is the log.
// Frames are looked for at every multiple of 4 KiB that no verified group covers, so that a later
// frame, whose durable mark may prove damage before it, is never missed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/env/coroutine.h"
#include "src/env/disk.h"
#include "src/log/format.h"
#include "src/log/index.h"

namespace bascule::log {

using env::call;
using env::Co;

// Sequential reading of a file through one buffer, by ranges that may be larger than it.
class FileWindow {
 public:
  FileWindow(env::File& file, uint64_t size) : file_(file), size_(size) {}

  uint64_t size() const { return size_; }
  // The range where it is already here; empty where it must be loaded.
  ByteView here(uint64_t position, size_t bytes) const;
  // Shorter at the end of the file. `io_error`: not all of these bytes can be had.
  Co<Slice> load(uint64_t position, size_t bytes);

 private:
  env::File& file_;
  uint64_t size_;
  uint64_t start_ = 0;
  Slice buffer_;
};

// Batches that lie end to end from `at` on, each verified, the first at `position` in its file.
struct BatchRun {
  std::vector<BatchPlace> batches;
  uint64_t bytes = 0;  // that the batches take
  uint32_t headers_crc = 0;
};
// Takes batches while they verify and continue one another; the first has base `first` where given.
BatchRun verified_batches(ByteView at, uint64_t position, uint32_t seed,
                          std::optional<Offset> first);

struct ScannedGroup {
  uint64_t position = 0;
  uint64_t extent = 0;              // bytes of file, frame and padding included
  bool framed = false;              // its frame is valid
  bool whole = false;               // and every batch that the frame speaks of is there
  std::vector<BatchPlace> batches;  // those that verify

  bool operator==(const ScannedGroup&) const = default;
};

struct SegmentScan {
  std::vector<ScannedGroup> groups;  // in order of position
  Offset mark;                       // the highest durable mark of all valid frames
  bool more = false;                 // a valid frame lies beyond the end that was asked for
};

struct ScanOptions {
  Uuid nonce;
  uint32_t seed = 0;
  std::optional<Offset> first;  // base of the first batch, where known
  std::optional<Offset> stop;   // the log is known to end here: nothing beyond is looked at
};

Co<SegmentScan> scan_segment(env::File& file, uint64_t size, ScanOptions options);

}  // namespace bascule::log
