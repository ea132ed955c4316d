// Publishing: verify, admit, reserve, stamp, append. The rest is the machine's (leader.h).
#include <algorithm>
#include <utility>

#include "src/base/assert.h"
#include "src/model/limits.h"
#include "src/partition/batch_check.h"
#include "src/partition/partition.h"

namespace bascule::partition {

void Partition::answer_later(env::Done<PublishResult> done, Result<PublishResult> result) {
  loop_.post(
      [done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
}

Status Partition::may_publish() const {
  if (stopping_ || draining_) return fail(Errc::stopping);
  if (!leader_) return fail(Errc::not_leader);
  return {};
}

void Partition::publish(const PublishRequest& request, env::Done<PublishResult> done) {
  // The cheap questions first: an overloaded leader must not spend its time on checksums.
  if (Status may = may_publish(); !may) return answer_later(std::move(done), fail(may.error()));
  const Admission admission{.epoch = request.epoch,
                            .acks = request.acks,
                            .deadline = request.deadline,
                            .bytes = request.batch.size(),
                            .bytes_waiting = waiting_bytes_};
  if (Status admitted = leader_->admit(admission, loop_.now()); !admitted)
    return answer_later(std::move(done), fail(admitted.error()));
  Result<model::BatchHeader> header = check_client_batch(request.batch, view_.message_bytes_max);
  if (!header) return answer_later(std::move(done), fail(header.error()));
  if (waiting_.empty() && log_->has_space(header->total_bytes))
    return append_now(admission, *header, request.batch, std::move(done));
  wait_for_space(admission, *header, request.batch, std::move(done));
}

void Partition::append_now(const Admission& admission, const model::BatchHeader& client_header,
                           ByteView batch, env::Done<PublishResult> done) {
  const Stamp stamp = leader_->stamp(loop_.wall());
  model::BatchHeader header = client_header;
  header.base_offset = stamp.base_offset;
  header.epoch = stamp.epoch;
  header.append_time = stamp.append_time;
  const log::Appended appended = log_->append(header, batch.subspan(limits::k_batch_header_bytes));
  ASSERT(appended.base_offset == stamp.base_offset, appended.base_offset, stamp.base_offset);
  ASSERT(appended.next_offset == header.next_offset(), appended.next_offset);
  const RequestId request(first_request_ + answers_.size());
  answers_.push_back(std::move(done));
  perform(leader_->appended({.request = request,
                             .acks = admission.acks,
                             .deadline = admission.deadline,
                             .base = header.base_offset,
                             .count = header.offset_count(),
                             .bytes = header.total_bytes},
                            stamp.append_time));
  if (replicating_) replicating_->appended();
}

// --- Waiting for space ----------------------------------------------------------------------------

void Partition::wait_for_space(const Admission& admission, const model::BatchHeader& header,
                               ByteView batch, env::Done<PublishResult> done) {
  waiting_.push_back({admission, header, BufferRef::copy_of(batch), std::move(done)});
  waiting_bytes_ += header.total_bytes;
  set_deadline_timer();
  if (!asking_for_space_) ask_for_space();
}

void Partition::ask_for_space() {
  asking_for_space_ = true;
  log_->make_space(waiting_.front().header.total_bytes,
                   scope_.wrap([this](Status space) { on_space(std::move(space)); }));
}

void Partition::on_space(Status space) {
  asking_for_space_ = false;
  // The leadership, the deadline or the in-sync set may be others than when these were admitted: each
  // is judged again, and a refusal is still definite.
  while (!waiting_.empty() && leader_) {
    const size_t bytes = waiting_.front().header.total_bytes;
    if (space && !log_->has_space(bytes)) break;
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= bytes;
    if (!space) {
      // Only the one that asked: a smaller batch behind it may still fit.
      answer_later(std::move(next.done), fail(std::move(space.error())));
      break;
    }
    next.admission.bytes_waiting = 0;
    Status admitted = leader_->admit(next.admission, loop_.now());
    if (!admitted) {
      answer_later(std::move(next.done), fail(std::move(admitted.error())));
    } else {
      append_now(next.admission, next.header, next.batch.view(), std::move(next.done));
    }
  }
  if (!waiting_.empty() && !asking_for_space_) ask_for_space();
}

void Partition::refuse_waiting(const Error& why) {
  for (Waiting& waiting : std::exchange(waiting_, {}))
    answer_later(std::move(waiting.done), fail(why));
  waiting_bytes_ = 0;
}

void Partition::expire_waiting() {
  const MonotonicTime now = loop_.now();
  std::deque<Waiting> left;
  for (Waiting& waiting : waiting_) {
    if (waiting.admission.deadline > now) {
      left.push_back(std::move(waiting));
      continue;
    }
    waiting_bytes_ -= waiting.header.total_bytes;
    answer_later(std::move(waiting.done), fail(Errc::deadline_exceeded, "before the append"));
  }
  waiting_ = std::move(left);
}

}  // namespace bascule::partition
