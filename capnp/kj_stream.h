// Cap'n Proto messages over an env::Stream: what the RPC system reads and writes.
//
// Reading is buffered: many small messages come with one read; the rest of a large one is read straight
// into the memory that the message then lives in. Writing is coalesced: what a run of KJ's events writes
// leaves as one write; small pieces are copied together, and a piece that was *lent* (a
// batch) goes by reference. Every message's size is checked from its segment table before memory is
// taken for it.
//
// Why messages and not bytes (kj::AsyncIoStream): the RPC system asks for messages, and here their
// bounds are known, so neither buffers nor limits have to guess.
//
// A failure breaks this stream only: reads and writes end with an exception of type DISCONNECTED, or
// FAILED where the peer broke the format, and the RPC system closes the connection.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize-async.h>
#include <kj/async.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "capnp/kj_guest.h"
#include "src/base/bytes.h"
#include "src/env/loop.h"
#include "src/env/network.h"

namespace bascule::rpc {

class MessageBuffers;

class KjStream final : public ::capnp::MessageStream {
 public:
  // Messages over `message_bytes_max` end the stream. `guest` outlives it.
  KjStream(KjGuest& guest, std::unique_ptr<env::Stream> stream, size_t message_bytes_max);
  ~KjStream() noexcept;
  KJ_DISALLOW_COPY(KjStream);

  void set_message_bytes_max(size_t bytes) { message_bytes_max_ = bytes; }
  const env::Address& peer() const { return stream_->peer(); }

  // Lends `bytes` to the next message. `data` is for Orphanage::referenceExternalData: its address is
  // only ever compared, never followed. When the message that refers to it is written, the slice goes
  // to the network without a copy. Whoever lends sends the message in the same turn; messages are
  // written in the order of their sending.
  struct Loan {
    ::capnp::Data::Reader data;
    uint64_t number;  // 1, 2, 3, …
  };
  Loan lend(Slice bytes);
  // The number of the last loan that was given to the network's queue: a message with a greater one
  // has not been sent.
  uint64_t last_loan_written() const { return lends_written_; }

  // The slice of the message's own memory that holds `bytes`, which a message that is still alive
  // handed out; a copy where no such message is found.
  Slice slice_of(ByteView bytes) const;

  // Written and not yet handed to the network.
  size_t queued_bytes() const { return pending_bytes_ + stream_->queued_bytes(); }
  // Runs in a turn of its own each time that queued_bytes() has fallen below half its bound.
  void on_drained(env::Task task) { drained_ = std::move(task); }
  // Why the stream is broken, if it is.
  const std::optional<Error>& broken() const { return broken_; }
  // Why there can be no talking to the other side, where that is known: it speaks TLS and this stream does
  // not, or it does not accept our certificate.
  std::optional<Error> refusal() const;
  // Breaks the stream at once.
  void abort();

  // --- capnp::MessageStream ---
  using ::capnp::MessageStream::tryReadMessage;
  using ::capnp::MessageStream::writeMessage;
  using ::capnp::MessageStream::writeMessages;
  kj::Promise<kj::Maybe<::capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd> fd_space, ::capnp::ReaderOptions options,
      kj::ArrayPtr<::capnp::word> scratch) override;
  kj::Promise<void> writeMessage(
      kj::ArrayPtr<const int> fds,
      kj::ArrayPtr<const kj::ArrayPtr<const ::capnp::word>> segments) override;
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const ::capnp::word>>> messages) override;
  kj::Maybe<int> getSendBufferSize() override;
  kj::Promise<void> end() override;

 private:
  using MaybeMessage = kj::Maybe<::capnp::MessageReaderAndFds>;

  // --- Reading (kj_stream_read.cc) ---
  // Takes a whole message out of what was read; nothing: more has to be read.
  std::optional<kj::Own<::capnp::MessageReader>> take_message();
  void read_more();
  void read_done(Result<size_t> count);
  void finish_read();
  void fail_read(kj::Exception exception);

  // --- Writing (kj_stream_write.cc) ---
  void append(ByteView bytes);
  void append_message(kj::ArrayPtr<const kj::ArrayPtr<const ::capnp::word>> segments);
  bool append_lent(kj::ArrayPtr<const ::capnp::word> segment);
  void close_chunk();
  void flush_soon();
  void flush();
  void write_done(Result<void> result);
  kj::Promise<void> when_writable();

  struct Lent {
    const uint8_t* address;  // rounded down to a word
    size_t words;
    Slice bytes;
  };

  KjGuest& guest_;
  size_t message_bytes_max_;

  // Read and not consumed: [read_begin_, read_end_) of input_. read_begin_ is a multiple of a word.
  BufferRef input_;
  size_t read_begin_ = 0;
  size_t read_end_ = 0;
  // A message whose table was read, and whose words are being gathered.
  BufferRef message_;
  size_t message_table_bytes_ = 0;
  size_t message_filled_ = 0;
  bool reading_ = false;
  bool read_ended_ = false;  // the peer ended its direction
  bool speaks_tls_ = false;  // it does, where a message should begin
  ::capnp::ReaderOptions reader_options_;
  kj::Own<kj::PromiseFulfiller<MaybeMessage>> read_fulfiller_;
  std::shared_ptr<MessageBuffers> live_;  // memory of the messages that are alive

  std::deque<Lent> lent_;
  std::vector<Slice> pieces_;  // closed pieces of the write being gathered
  BufferRef chunk_;            // where small pieces are gathered: [chunk_begin_, chunk_end_) is new
  uint8_t* chunk_data_ = nullptr;
  size_t chunk_begin_ = 0;
  size_t chunk_end_ = 0;
  size_t pending_bytes_ = 0;  // in pieces_ and the chunk
  bool flush_planned_ = false;
  bool shut_ = false;
  uint64_t lends_ = 0;
  uint64_t lends_written_ = 0;
  env::Task drained_;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> writers_;  // wait for room

  std::optional<Error> broken_;
  std::unique_ptr<env::Stream> stream_;
  env::Scope alive_;
};

}  // namespace bascule::rpc
