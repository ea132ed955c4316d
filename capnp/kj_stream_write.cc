// The writing half of KjStream: messages to bytes, gathered per run of KJ's events.
#include <algorithm>
#include <cstring>

#include "capnp/kj_stream.h"
#include "src/base/codec.h"

namespace bascule::rpc {

using ::capnp::word;

namespace {

constexpr size_t k_word = sizeof(word);
constexpr size_t k_chunk_bytes = 32 << 10;
// Writers wait while more than this is queued, until it is half of it.
constexpr size_t k_queued_bytes_max = 2 << 20;
// What the RPC system takes for the window of its `-> stream` calls: bytes sent and not answered.
// Credits bound those; this only has to be large enough not to get in their way.
constexpr int k_stream_window_bytes = 16 << 20;
// What is gathered before it is written without waiting for the run's end.
constexpr size_t k_gathered_bytes_max = 1 << 20;

}  // namespace

KjStream::Loan KjStream::lend(Slice bytes) {
  const auto address = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t down = address / k_word * k_word;
  const auto* const at = reinterpret_cast<const uint8_t*>(down);
  const size_t size = bytes.size();
  lent_.push_back({at, (size + k_word - 1) / k_word, std::move(bytes)});
  return {{at, size}, ++lends_};
}

bool KjStream::append_lent(kj::ArrayPtr<const word> segment) {
  const auto* const at = reinterpret_cast<const uint8_t*>(segment.begin());
  const auto it = std::ranges::find_if(
      lent_, [&](const Lent& lent) { return lent.address == at && lent.words == segment.size(); });
  if (it == lent_.end()) return false;
  Slice bytes = std::move(it->bytes);
  lent_.erase(it);
  ++lends_written_;
  const size_t padding = segment.size() * k_word - bytes.size();
  close_chunk();
  pending_bytes_ += bytes.size();
  pieces_.push_back(std::move(bytes));
  static constexpr uint8_t zeros[k_word] = {};
  append({zeros, padding});
  return true;
}

void KjStream::append(ByteView bytes) {
  pending_bytes_ += bytes.size();
  while (!bytes.empty()) {
    if (!chunk_ || chunk_end_ == chunk_.size()) {
      close_chunk();
      chunk_ = BufferRef::allocate(std::max(k_chunk_bytes, bytes.size()));
      chunk_data_ = chunk_.mutable_bytes().data();
      chunk_begin_ = chunk_end_ = 0;
    }
    const size_t n = std::min(bytes.size(), chunk_.size() - chunk_end_);
    std::memcpy(chunk_data_ + chunk_end_, bytes.data(), n);
    chunk_end_ += n;
    bytes = bytes.subspan(n);
  }
}

void KjStream::close_chunk() {
  if (chunk_begin_ == chunk_end_) return;
  pieces_.push_back(Slice(chunk_, chunk_begin_, chunk_end_ - chunk_begin_));
  chunk_begin_ = chunk_end_;
}

void KjStream::append_message(kj::ArrayPtr<const kj::ArrayPtr<const word>> segments) {
  uint32_t count = static_cast<uint32_t>(segments.size()) - 1;
  append({reinterpret_cast<const uint8_t*>(&count), sizeof count});
  for (const auto& segment : segments) {
    const auto words = static_cast<uint32_t>(segment.size());
    append({reinterpret_cast<const uint8_t*>(&words), sizeof words});
  }
  static constexpr uint8_t zeros[4] = {};
  if (segments.size() % 2 == 0) append({zeros, sizeof zeros});
  for (const auto& segment : segments) {
    if (lent_.empty() || !append_lent(segment)) {
      const auto bytes = segment.asBytes();
      append({bytes.begin(), bytes.size()});
    }
  }
}

kj::Promise<void> KjStream::writeMessage(kj::ArrayPtr<const int>,
                                         kj::ArrayPtr<const kj::ArrayPtr<const word>> segments) {
  if (broken_) return disconnected(*broken_);
  append_message(segments);
  flush_soon();
  return when_writable();
}

kj::Promise<void> KjStream::writeMessages(
    kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const word>>> messages) {
  if (broken_) return disconnected(*broken_);
  for (const auto& segments : messages) append_message(segments);
  flush_soon();
  return when_writable();
}

// The pieces are ours from here on, so the message's memory may go at once; the promise only tells
// the RPC system when to hand over the next.
kj::Promise<void> KjStream::when_writable() {
  if (queued_bytes() < k_queued_bytes_max) return kj::READY_NOW;
  auto paf = kj::newPromiseAndFulfiller<void>();
  writers_.push_back(kj::mv(paf.fulfiller));
  return kj::mv(paf.promise);
}

void KjStream::flush_soon() {
  if (pending_bytes_ >= k_gathered_bytes_max) return flush();
  if (flush_planned_) return;
  flush_planned_ = true;
  // After the events that run now; the stream below gathers what several such runs of a turn write.
  guest_.defer(alive_.wrap([this] {
    flush_planned_ = false;
    flush();
  }));
}

void KjStream::flush() {
  close_chunk();
  if (pieces_.empty() || broken_) return;
  pending_bytes_ = 0;
  stream_->write(std::exchange(pieces_, {}),
                 alive_.wrap([this](Result<void> result) { write_done(std::move(result)); }));
}

void KjStream::write_done(Result<void> result) {
  if (!result && !broken_) broken_ = result.error();
  if (!broken_ && queued_bytes() > k_queued_bytes_max / 2) return;
  if (drained_) drained_();
  if (writers_.empty()) return;
  auto writers = std::exchange(writers_, {});
  const Status status = guest_.enter([&] {
    for (auto& writer : writers) {
      if (broken_) {
        writer->reject(disconnected(*broken_));
      } else {
        writer->fulfill();
      }
    }
  });
  ASSERT(status.has_value());
}

kj::Maybe<int> KjStream::getSendBufferSize() { return k_stream_window_bytes; }

kj::Promise<void> KjStream::end() {
  if (!shut_ && !broken_) {
    shut_ = true;
    flush();
    stream_->shutdown();
  }
  return kj::READY_NOW;
}

void KjStream::abort() {
  if (!broken_) broken_ = Error{Errc::connection_lost, "closed here"};
  stream_->abort();
}

}  // namespace bascule::rpc
