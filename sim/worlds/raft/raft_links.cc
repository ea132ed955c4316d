#include "sim/worlds/raft/raft_links.h"

#include <algorithm>

namespace bascule::sim {
namespace {

constexpr size_t k_queue_bytes_max = 8 << 20;
constexpr size_t k_read_bytes = 16 << 10;
constexpr Duration k_connect_timeout = milliseconds(50);
constexpr Duration k_listen_retry = milliseconds(2);

}  // namespace

RaftLinks::RaftLinks(env::World& world, std::string host, Receive receive)
    : world_(world), host_(std::move(host)), receive_(std::move(receive)) {
  listen();
}

RaftLinks::~RaftLinks() = default;

void RaftLinks::listen() {
  world_.network.listen(
      {host_, k_raft_port},
      [this](std::unique_ptr<env::Stream> stream) {
        reap();
        auto in = std::make_shared<In>();
        in->stream = std::move(stream);
        in->buffer.resize(k_read_bytes);
        in_.push_back(in);
        read(in);
      },
      scope_.wrap([this](Result<std::unique_ptr<env::Listener>> listener) {
        if (listener) {
          listener_ = std::move(*listener);
        } else {
          (void)world_.loop.after(k_listen_retry, scope_.wrap([this] { listen(); }));
        }
      }));
}

// --- Out -------------------------------------------------------------------------------------------

void RaftLinks::send(NodeId to, Slice frame) {
  Out& out = out_[to];
  if (out.stream) return write(to, out, std::move(frame));
  if (out.waiting_bytes + frame.size() > k_queue_bytes_max) {
    world_.trace.probe("links.dropped");
    return;
  }
  if (!out.connecting && world_.loop.now() < out.not_before) return;
  out.waiting_bytes += frame.size();
  out.waiting.push_back(std::move(frame));
  if (!out.connecting) connect(to, out);
}

void RaftLinks::connect(NodeId to, Out& out) {
  out.connecting = true;
  world_.network.connect({"n" + to.to_string(), k_raft_port}, k_connect_timeout,
                         scope_.wrap([this, to](Result<std::unique_ptr<env::Stream>> stream) {
                           Out& link = out_[to];
                           link.connecting = false;
                           std::vector<Slice> waiting = std::move(link.waiting);
                           link.waiting.clear();
                           link.waiting_bytes = 0;
                           if (!stream) {
                             world_.trace.probe("links.no_connection");
                             link.not_before =
                                 world_.loop.now() +
                                 world_.random.between(milliseconds(1), milliseconds(5));
                             return;
                           }
                           link.stream = std::move(*stream);
                           for (Slice& frame : waiting) {
                             if (link.stream) write(to, link, std::move(frame));
                           }
                         }));
}

void RaftLinks::write(NodeId to, Out& out, Slice frame) {
  const size_t queued = out.stream->queued_bytes() + frame.size();
  if (queued > k_queue_bytes_max) {
    world_.trace.probe("links.dropped");
    return;
  }
  queued_bytes_max_ = std::max(queued_bytes_max_, queued);
  std::vector<Slice> pieces;
  pieces.push_back(std::move(frame));
  out.stream->write(std::move(pieces),
                    scope_.wrap([this, to, stream = out.stream.get()](const Status& sent) {
                      if (sent) return;
                      Out& link = out_[to];
                      if (link.stream.get() == stream) lose(to);
                    }));
}

void RaftLinks::lose(NodeId to) {
  Out& link = out_[to];
  world_.trace.probe("links.lost");
  // Not from inside its own completion.
  world_.loop.post(
      [stream = std::shared_ptr<env::Stream>(std::move(link.stream))] { (void)stream; });
  link.stream = nullptr;
  link.not_before = world_.loop.now() + world_.random.between(milliseconds(1), milliseconds(5));
}

// --- In --------------------------------------------------------------------------------------------

void RaftLinks::reap() {
  std::erase_if(in_, [](const std::shared_ptr<In>& in) { return in->dead; });
}

void RaftLinks::read(const std::shared_ptr<In>& in) {
  // The stream drops the completion when it goes; it must not hold the stream alive.
  in->stream->read(in->buffer, scope_.wrap([this, weak = std::weak_ptr(in)](Result<size_t> size) {
    const std::shared_ptr<In> here = weak.lock();
    if (!here) return;
    if (!size || *size == 0) {
      here->dead = true;
      world_.loop.post(scope_.wrap([this] { reap(); }));
      return;
    }
    take(here, *size);
  }));
}

void RaftLinks::take(const std::shared_ptr<In>& in, size_t size) {
  in->frames.add(ByteView(in->buffer).first(size));
  while (true) {
    Result<std::optional<raft::Message>> message = in->frames.next();
    if (!message) {
      world_.trace.probe("links.bad_frame");
      in->dead = true;
      in->stream->abort();
      world_.loop.post(scope_.wrap([this] { reap(); }));
      return;
    }
    if (!*message) break;
    receive_(std::move(**message));
  }
  read(in);
}

}  // namespace bascule::sim
