// One segment of an open log: its file, what is known of its batches, where the next group goes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "src/env/disk.h"
#include "src/log/format.h"
#include "src/log/index.h"

namespace bascule::log {

// Shared by the log, by groups in flight and by readers: whoever drops a file waits for the others.
struct Segment {
  uint64_t id = 0;
  Uuid nonce;
  std::string path;
  std::unique_ptr<env::File> file;  // null until first needed, for sealed ones
  bool never_write = false;
  bool sealed = false;  // in the manifest as well
  bool lost = false;    // listed, and the file is not there
  Offset first;
  Offset end;                   // of the batches appended or recovered; sealed: for good
  uint64_t write_position = 0;  // where the next group begins; multiple of k_group_alignment
  uint64_t reserved = 0;        // writes below it never answer no_space
  uint64_t write_number = 0;
  SegmentSummary summary;
  SegmentIndex index;
  bool index_ready = false;

  bool empty() const { return summary.batch_bytes == 0; }

  // The batch lies at the end of the segment.
  void add(const BatchPlace& batch) {
    if (summary.batch_bytes == 0) summary.first_time = batch.append_time;
    summary.batch_bytes += batch.bytes;
    summary.last_time = batch.append_time;
    if (summary.epochs.empty() || summary.epochs.back().epoch != batch.epoch)
      summary.epochs.push_back({batch.epoch, batch.base});
    end = batch.next;
    index.add(batch);
  }

  SegmentEntry entry() const {
    SegmentEntry e;
    e.id = id;
    e.nonce = nonce;
    e.never_write = never_write;
    e.based = !empty();
    e.first = first;
    return e;
  }
  // As it is listed once nothing more is appended to it.
  SegmentEntry sealed_entry() const {
    SegmentEntry e = entry();
    e.based = true;
    e.sealed = true;
    e.end = end;
    e.end_position = write_position;
    e.summary = summary;
    return e;
  }
};
using SegmentRef = std::shared_ptr<Segment>;

}  // namespace bascule::log
