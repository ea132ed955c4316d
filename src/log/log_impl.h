// The log of one partition: see log.h for what it promises.
//
// Its verbs lie in files of their own: open.cc (recovery), append.cc (groups, writes, durability),
// space.cc (segments made ready, extended, rolled, sealed), reader.cc, truncate.cc, retention.cc,
// thin_rewrite.cc. What all of them share is here.
//
//   append → gathering group → queued → in flight → written → durable
//            └─────────── groups_: readable from memory ───────────┘
//
// Structural changes (segments, cuts, log start) run one at a time, under structure_, and each takes
// effect by one replacement of the manifest.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/env/coroutine.h"
#include "src/log/log.h"
#include "src/log/log_host.h"
#include "src/log/segment.h"
#include "src/log/verdict.h"

namespace bascule::log {

class LogImpl final : public Log {
 public:
  // Recovers the log in `directory`, or makes it.
  static Co<std::unique_ptr<Log>> open(LogHost& host, LogOptions options, std::string directory,
                                       bool exists, bool promised);
  ~LogImpl() override;

  const Uuid& id() const override { return options_.log_id; }
  Offset log_start() const override { return manifest_.log_start; }
  Offset leo() const override { return leo_; }
  Offset written_leo() const override { return written_leo_; }
  Offset durable_leo() const override { return durable_leo_; }
  Epoch last_epoch() const override { return last_epoch_; }
  WallTime last_append_time() const override { return last_append_time_; }
  const std::vector<EpochStart>& epochs() const override { return epochs_; }
  const RecoveryReport& recovery() const override { return recovery_; }
  LogStats stats() const override;
  std::vector<SegmentInfo> segments() const override;
  bool has_space(size_t bytes) const override;
  void make_space(size_t bytes, env::Done<void> done) override;
  Appended append(const model::BatchHeader& header, ByteView body) override;
  Result<Appended> append_sealed(ByteView batch) override;
  void durable(Ticket ticket, env::Done<void> done) override;
  void written(Ticket ticket, env::Done<void> done) override;
  void on_progress(std::move_only_function<void()> observer) override;
  void set_durability(model::DurabilityMode mode) override;
  void sync(env::Done<void> done) override;
  void read(ReadOptions options, env::Done<ReadResult> done) override;
  void find_time(WallTime time, env::Done<Offset> done) override;
  void truncate(Offset to, env::Done<void> done) override;
  void restart_at(Offset at, env::Done<void> done) override;
  void set_log_start(Offset to, env::Done<void> done) override;
  void note_hw(Offset hw) override;
  Offset recovered_hw() const override { return recovered_hw_; }
  void compact_thin_segments(env::Done<void> done) override;
  void stop(env::Done<void> done) override;
  void check_invariants() const override;

  // For the store.
  PartitionId partition() const { return options_.partition; }
  AssignmentId assignment() const { return options_.assignment; }
  LogsEntry logs_entry() const;
  void set_suspect(bool suspect) { suspect_ = suspect; }
  void mark_deleted() { deleted_ = true; }
  bool stopped() const { return stopped_; }
  bool opened() const { return opened_; }

 private:
  enum class GroupState : uint8_t { gathering, queued, in_flight, written, durable };

  // One write, and the memory that recent reads are served from.
  struct Group {
    uint64_t sequence = 0;
    GroupState state = GroupState::gathering;
    uint64_t write = 0;  // the host's number, while in flight
    SegmentRef segment;
    uint64_t position = 0;
    BufferRef buffer;          // frame, batches, padding; null once it need not be kept
    uint8_t* bytes = nullptr;  // of `buffer`: readers share the part that is filled, and only that
    size_t capacity = 0;       // of batch bytes
    size_t used = 0;
    uint32_t headers_crc = 0;
    Offset first;
    Offset next;
    uint64_t last_ticket = 0;
    std::vector<BatchPlace> batches;

    Slice batches_slice(size_t from, size_t until) const;  // indices into `batches`
  };
  using GroupRef = std::shared_ptr<Group>;

  struct SpaceWaiter {
    size_t bytes;
    env::Done<void> done;
  };
  struct TicketWaiter {
    uint64_t ticket;
    env::Done<void> done;
  };

  LogImpl(LogHost& host, LogOptions options, std::string directory);

  env::Loop& loop() { return host_.world().loop; }
  env::Disk& disk() { return host_.world().disk; }
  std::string path_of(const std::string& name) const { return directory_ + "/" + name; }
  std::string quarantine_name(const std::string& file) const {
    return log_directory_name(options_.partition, options_.assignment) + "-" + file;
  }
  uint64_t segment_bytes() const;
  uint64_t file_bytes_max() const;

  // Why nothing may be changed while the store does not serve.
  static Error not_serving() { return {Errc::no_space, "there was no room at the start"}; }
  // Replaces the manifest by a changed copy. What was `refused` leaves all as it was; any other failure ends
  // the process. Callers hold structure_.
  Co<void> change_manifest(const Manifest& changed);
  // Entries of all segments as they are now known, in order.
  void list_segments(Manifest& manifest) const;

  // --- open.cc
  // What the last life left about this log in `logs`.
  struct Promise {
    bool exists = false;  // an entry
    bool counts = false;  // of the manifest's generation
    bool clean = false;   // and the log was stopped at exactly its LEO
    LogsEntry entry;
  };
  Co<void> create(const Promise& promise);
  Co<void> recover(const Promise& left);
  Co<Manifest> read_manifest();
  Co<void> open_segments();
  Co<bool> open_file(const SegmentRef& segment);
  Co<Verdict> read_tail(const Promise& promise);
  Co<void> tidy_directory();
  Co<void> quarantine_directory();
  void adopt(const Verdict& verdict);
  bool note_damage(const std::vector<OffsetRange>& found);
  Co<void> continue_last_segment();
  Co<void> begin_after_copy(const Verdict& verdict, bool clean);
  Co<Offset> copy_into(const SegmentRef& fresh, const Verdict& verdict);
  void finish_open(const Promise& promise);
  Co<SegmentRef> new_segment(uint64_t reserve_bytes, bool from_pool, uint64_t id);
  Co<SegmentRef> try_new_segment(uint64_t reserve_bytes, bool from_pool, uint64_t id);

  // --- append.cc
  BatchPlace place_in_group(const model::BatchHeader& header, ByteView sealed_header,
                            ByteView body);
  Group& group_for(size_t bytes);
  void close_gathering();
  void flush();
  void pump();
  void submit(Group& group);
  void group_written(uint64_t sequence, env::Sync mode, Status status);
  void advance();
  void evict();
  void sync_written();
  void schedule_sync();
  void complete(std::deque<TicketWaiter>& waiters, uint64_t ticket);
  void wait_for(std::deque<TicketWaiter>& waiters, uint64_t reached, Ticket ticket,
                env::Done<void> done);
  Group& group_at(uint64_t sequence) { return *groups_[sequence - groups_first_]; }
  uint64_t groups_next() const { return groups_first_ + groups_.size(); }
  void progress();
  Co<void> wait_durable();

  // --- space.cc
  uint64_t end_of_active() const;
  bool roll_due(size_t bytes) const;
  bool wants_next() const;
  bool wants_extension() const;
  bool wants_sealing() const;
  void roll();
  void kick_maintenance();
  Co<void> maintain();
  Co<void> begin_life(size_t bytes);
  Co<void> prepare_next(size_t bytes);
  Co<void> extend_active(size_t bytes);
  Co<void> seal_rolled();
  Co<void> write_index(const SegmentRef& segment);
  Co<void> remove_retired();
  void refuse_space_waiters(const Error& why);
  void grant_space();

  // --- reader.cc
  struct Located {
    SegmentRef segment;
    uint64_t position = 0;
  };
  std::optional<ReadResult> read_memory(const ReadOptions& options) const;
  Co<ReadResult> read_disk(ReadOptions options);
  Co<Offset> find_time_on_disk(WallTime time);
  Co<void> ensure_readable(const SegmentRef& segment);
  SegmentRef segment_of(Offset offset) const;
  void note_loaded(const SegmentRef& segment);
  void end_read();
  Offset disk_end() const;  // first offset that only memory holds

  // --- truncate.cc, restart.cc, retention.cc, thin_rewrite.cc
  Co<void> truncate_now(Offset to);
  void cut_memory(Offset to);
  Co<void> restart_now(Offset at);
  Co<void> set_log_start_now(Offset to);
  Co<void> compact_now();
  Co<bool> rewrite_segment(const SegmentRef& thin);
  Co<void> stop_now();

  LogHost& host_;
  const std::shared_ptr<const bool> host_alive_;
  LogOptions options_;
  const std::string directory_;
  const uint32_t seed_;

  Manifest manifest_;                 // as it is on the disk
  size_t first_scanned_ = 0;          // during recovery: the segment of the recovery point
  std::vector<OffsetRange> damaged_;  // during recovery: what is known to be missing
  std::vector<SegmentRef> segments_;  // in order; active_ and next_ are the last ones, where set
  SegmentRef active_;  // groups go there; null until the first append of a life that must not touch
                       // the files of the last one
  SegmentRef next_;    // made ready and listed, without a batch
  std::vector<std::pair<SegmentRef, bool>> dropped_;  // unlisted; waiting for readers and writes to
                                                      // end. Second: may be pooled

  Offset leo_;
  Offset written_leo_;  // <= leo_
  Offset durable_leo_;  // <= written_leo_
  Epoch last_epoch_;
  WallTime last_append_time_;
  std::vector<EpochStart> epochs_;
  RecoveryReport recovery_;
  bool suspect_ = false;
  bool sealed_lazily_ =
      false;  // the old segments end at leo_, and the next append's manifest says so
  Offset hw_;
  Offset recovered_hw_;
  model::DurabilityMode mode_;

  std::deque<GroupRef> groups_;
  uint64_t groups_first_ = 0;   // sequence of groups_.front()
  uint64_t written_seq_ = 0;    // all groups below are written
  uint64_t durable_seq_ = 0;    // all groups below are durable; <= written_seq_
  uint64_t cached_seq_ = 0;     // groups below have no buffer any more; <= written_seq_
  uint64_t submitted_seq_ = 0;  // groups below were submitted
  uint64_t in_flight_ = 0;
  uint64_t cached_bytes_ = 0;
  size_t group_hint_ = 0;  // batch bytes of the last turn
  uint64_t tickets_ = 0;   // given so far
  uint64_t written_ticket_ = 0;
  uint64_t durable_ticket_ = 0;
  std::deque<TicketWaiter> written_waiters_;  // ascending tickets
  std::deque<TicketWaiter> durable_waiters_;
  std::deque<SpaceWaiter> space_waiters_;
  std::deque<SegmentRef> loaded_;  // sealed ones with file and index, the last used at the back
  uint64_t reads_ = 0;             // from disk, under way
  env::Done<void> reads_ended_;    // of stop
  std::move_only_function<void()> observer_;
  bool flush_due_ = false;
  bool progress_due_ = false;
  bool sync_scheduled_ = false;
  bool granting_ = false;
  bool maintaining_ = false;
  bool maintain_again_ = false;
  bool opened_ = false;  // recovery is over: the numbers above are the log's
  bool stopping_ = false;
  bool stopped_ = false;
  bool dead_ = false;  // fail_stop was called
  bool deleted_ = false;
  LogStats stats_;

  CoMutex structure_;
  env::Scope alive_;
  CoScope scope_;  // last: its coroutines use all of the above
};

}  // namespace bascule::log
