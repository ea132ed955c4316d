// The reading half of KjStream: bytes to messages.
#include <algorithm>
#include <cstring>
#include <string>

#include "capnp/kj_stream.h"
#include "src/base/codec.h"

namespace bascule::rpc {

using ::capnp::word;

namespace {

// Small messages come many at a time through this; the first part of a large one is copied out of it.
constexpr size_t k_input_bytes = 32 << 10;
constexpr size_t k_word = sizeof(word);
// As the library: more segments are taken for an attack.
constexpr size_t k_segments_max = 512;
constexpr const char* k_speaks_tls = "the other side speaks TLS, this one does not";
// Messages from this size on can give away slices of their memory.
constexpr size_t k_sliceable_bytes = 4 << 10;

}  // namespace

// Large messages that are alive, so that slice_of() finds the owner of an address.
class MessageBuffers {
 public:
  void add(const BufferRef& buffer) { live_.push_back(buffer); }
  void remove(const BufferRef& buffer) {
    const auto it = std::ranges::find(live_, buffer.data(), &BufferRef::data);
    ASSERT(it != live_.end());
    *it = std::move(live_.back());
    live_.pop_back();
  }
  const BufferRef* find(ByteView bytes) const {
    for (const BufferRef& buffer : live_) {
      if (bytes.data() >= buffer.data() &&
          bytes.data() + bytes.size() <= buffer.data() + buffer.size())
        return &buffer;
    }
    return nullptr;
  }

 private:
  std::vector<BufferRef> live_;
};

namespace {

// A TLS record (RFC 8446 §5.1) where a message should begin: as a segment table it would be of more
// segments than any message has.
bool looks_like_tls(ByteView bytes) {
  return bytes.size() >= 3 && bytes[0] >= 0x14 && bytes[0] <= 0x17 && bytes[1] == 3 &&
         bytes[2] <= 4;
}

size_t segment_count(const uint8_t* table) { return size_t{load_le<uint32_t>(table)} + 1; }
size_t table_bytes(size_t segments) { return (segments / 2 + 1) * k_word; }
size_t segment_words(const uint8_t* table, size_t i) {
  return load_le<uint32_t>(table + 4 + 4 * i);
}

// A message in one buffer, segment table first.
class BufferMessage final : public ::capnp::MessageReader {
 public:
  BufferMessage(BufferRef buffer, size_t table, ::capnp::ReaderOptions limits,
                std::shared_ptr<MessageBuffers> live)
      : MessageReader(limits), buffer_(std::move(buffer)), table_bytes_(table) {
    if (buffer_.size() >= k_sliceable_bytes) {
      live_ = std::move(live);
      live_->add(buffer_);
    }
  }
  ~BufferMessage() noexcept override {
    if (live_) live_->remove(buffer_);
  }

  kj::ArrayPtr<const word> getSegment(kj::uint id) override {
    const uint8_t* const table = buffer_.data();
    if (id >= segment_count(table)) return nullptr;
    size_t at = table_bytes_;
    for (size_t i = 0; i < id; ++i) at += segment_words(table, i) * k_word;
    return kj::arrayPtr(reinterpret_cast<const word*>(table + at), segment_words(table, id));
  }

 private:
  BufferRef buffer_;
  size_t table_bytes_;
  std::shared_ptr<MessageBuffers> live_;
};

kj::Exception broken_format(const std::string& text) {
  return kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::str(text.c_str()));
}

}  // namespace

KjStream::KjStream(KjGuest& guest, std::unique_ptr<env::Stream> stream, size_t message_bytes_max)
    : guest_(guest),
      message_bytes_max_(message_bytes_max),
      input_(BufferRef::allocate(k_input_bytes)),
      live_(std::make_shared<MessageBuffers>()),
      stream_(std::move(stream)) {}

KjStream::~KjStream() noexcept = default;

Slice KjStream::slice_of(ByteView bytes) const {
  const BufferRef* buffer = live_->find(bytes);
  if (buffer == nullptr) return Slice::copy_of(bytes);
  return Slice(*buffer, static_cast<size_t>(bytes.data() - buffer->data()), bytes.size());
}

kj::Promise<KjStream::MaybeMessage> KjStream::tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd>,
                                                             ::capnp::ReaderOptions options,
                                                             kj::ArrayPtr<word>) {
  reader_options_ = options;
  auto paf = kj::newPromiseAndFulfiller<MaybeMessage>();
  read_fulfiller_ = kj::mv(paf.fulfiller);
  finish_read();
  return kj::mv(paf.promise);
}

// Answers the reader if there is something to answer with; else reads on.
void KjStream::finish_read() {
  if (read_fulfiller_.get() == nullptr) return;
  if (auto message = take_message()) {
    auto fulfiller = kj::mv(read_fulfiller_);
    fulfiller->fulfill(MaybeMessage(::capnp::MessageReaderAndFds{kj::mv(*message), nullptr}));
    return;
  }
  if (read_fulfiller_.get() == nullptr) return;  // failed meanwhile
  if (broken_) return fail_read(disconnected(*broken_));
  if (!read_ended_) return read_more();
  const bool between_messages = !message_ && read_begin_ == read_end_;
  if (!between_messages)
    return fail_read(disconnected({Errc::connection_lost, "the peer stopped inside a message"}));
  auto fulfiller = kj::mv(read_fulfiller_);
  fulfiller->fulfill(MaybeMessage(nullptr));
}

void KjStream::fail_read(kj::Exception exception) {
  if (read_fulfiller_.get() == nullptr) return;
  auto fulfiller = kj::mv(read_fulfiller_);
  fulfiller->reject(kj::mv(exception));
}

std::optional<kj::Own<::capnp::MessageReader>> KjStream::take_message() {
  if (!message_) {
    const uint8_t* const table = input_.data() + read_begin_;
    const size_t available = read_end_ - read_begin_;
    if (looks_like_tls({table, available})) {
      speaks_tls_ = true;
      fail_read(broken_format(k_speaks_tls));
      return std::nullopt;
    }
    if (available < k_word) return std::nullopt;
    const size_t segments = segment_count(table);
    if (segments > k_segments_max) {
      fail_read(broken_format("message with " + std::to_string(segments) + " segments"));
      return std::nullopt;
    }
    const size_t table_size = table_bytes(segments);
    if (available < table_size) return std::nullopt;
    size_t bytes = table_size;
    for (size_t i = 0; i < segments; ++i) bytes += segment_words(table, i) * k_word;
    if (bytes > message_bytes_max_) {
      fail_read(broken_format("message of " + std::to_string(bytes) + " bytes, over the limit of " +
                              std::to_string(message_bytes_max_)));
      return std::nullopt;
    }
    message_ = BufferRef::allocate(bytes);
    message_table_bytes_ = table_size;
    message_filled_ = std::min(bytes, available);
    std::memcpy(message_.mutable_bytes().data(), table, message_filled_);
    read_begin_ += message_filled_;
    if (read_begin_ == read_end_) read_begin_ = read_end_ = 0;
  }
  if (message_filled_ < message_.size()) return std::nullopt;
  return kj::heap<BufferMessage>(std::exchange(message_, {}), message_table_bytes_, reader_options_,
                                 live_);
}

std::optional<Error> KjStream::refusal() const {
  if (speaks_tls_) return Error{Errc::unsupported, k_speaks_tls};
  if (broken_ && broken_->code != Errc::connection_lost) return broken_;
  return std::nullopt;
}

void KjStream::read_more() {
  if (reading_) return;
  reading_ = true;
  MutableBytes into;
  if (message_) {
    into = message_.mutable_bytes().subspan(message_filled_);
  } else {
    if (read_begin_ > 0) {
      uint8_t* const data = input_.mutable_bytes().data();
      std::memmove(data, data + read_begin_, read_end_ - read_begin_);
      read_end_ -= read_begin_;
      read_begin_ = 0;
    }
    into = input_.mutable_bytes().subspan(read_end_);
  }
  stream_->read(into, alive_.wrap([this](Result<size_t> count) { read_done(std::move(count)); }));
}

void KjStream::read_done(Result<size_t> count) {
  reading_ = false;
  if (!count) {
    broken_ = count.error();
  } else if (*count == 0) {
    read_ended_ = true;
  } else if (message_) {
    message_filled_ += *count;
  } else {
    read_end_ += *count;
  }
  const Status status = guest_.enter([this] { finish_read(); });
  ASSERT(status.has_value());
}

}  // namespace bascule::rpc
