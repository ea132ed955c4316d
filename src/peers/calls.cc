// What goes over open connections: Raft messages, requests with their answers, notices.
#include "src/peers/peers.h"

namespace bascule::peers {

Connection* Peers::open_connection(NodeId node, Channel channel, Status& why_not) {
  Peer* peer = find(node);
  Connection* connection = peer == nullptr ? nullptr : peer->slots[slot_of(channel)].open;
  if (connection != nullptr) return connection;
  why_not = fail(Errc::connection_refused, "node " + node.to_string() + " is not connected (" +
                                               std::string(channel_name(channel)) + ")");
  return nullptr;
}

Status Peers::send_on(Connection& connection, const Frame& frame, Connection::Bound bound) {
  BASCULE_TRY_ASSIGN(auto pieces, encode_frame(frame));
  return connection.send(std::move(pieces), bound);
}

Status Peers::send(NodeId node, Channel channel, const Frame& frame) {
  Status status;
  Connection* connection = open_connection(node, channel, status);
  if (connection == nullptr) return status;
  return send_on(*connection, frame, Connection::Bound::full_queue);
}

Status Peers::send(const raft::Message& message) {
  const Channel channel = std::holds_alternative<raft::SnapshotRequest>(message.body)
                              ? Channel::bulk
                              : Channel::control;
  Status status;
  Connection* connection = open_connection(message.to.node, channel, status);
  if (connection == nullptr) return status;
  BASCULE_TRY_ASSIGN(const Frame frame, codec_.encode_raft(message));
  return send_on(*connection, frame, Connection::Bound::full_queue);
}

namespace {

Frame call_frame(const PeerCodec& codec, const CallHead& head, Slice body,
                 std::vector<Slice> attachments) {
  Frame frame;
  frame.kind = FrameKind::call;
  frame.body = Slice::copy_of(codec.encode_call(head));
  frame.attachments = std::move(attachments);
  frame.attachments.insert(frame.attachments.begin(), std::move(body));
  return frame;
}

}  // namespace

Status Peers::notify(NodeId node, Channel channel, Notice notice) {
  return send(node, channel,
              call_frame(codec_, NoticeHead{notice.kind}, std::move(notice.body),
                         std::move(notice.attachments)));
}

void Peers::request(NodeId node, Channel channel, Request request, Duration timeout,
                    env::Done<Reply> done) {
  Status status;
  Connection* connection = open_connection(node, channel, status);
  if (connection != nullptr && find(node)->requests_out >= options_.requests_max)
    status = fail(Errc::overloaded, "too many requests to node " + node.to_string());
  const uint64_t id = next_request_++;
  if (status) {
    status = send_on(*connection,
                     call_frame(codec_, RequestHead{id, request.kind}, std::move(request.body),
                                std::move(request.attachments)),
                     Connection::Bound::full_queue);
  }
  if (!status) {
    world_.loop.post([done = std::move(done), error = std::move(status.error())]() mutable {
      done(fail(std::move(error)));
    });
    return;
  }
  ++find(node)->requests_out;
  const env::TimerId timer = world_.loop.after(timeout, scope_.wrap([this, id, node] {
    finish_request(id,
                   fail(Errc::deadline_exceeded, "node " + node.to_string() + " did not answer"));
  }));
  requests_.emplace(id, PendingRequest{node, connection->id(), std::move(done), timer});
}

void Peers::finish_request(uint64_t id, Result<Reply> result) {
  const auto it = requests_.find(id);
  if (it == requests_.end()) return;
  PendingRequest request = std::move(it->second);
  requests_.erase(it);
  world_.loop.cancel(request.timer);
  if (Peer* peer = find(request.node)) --peer->requests_out;
  request.done(std::move(result));
}

// In a later turn: the connection may have been ended by a call of the requests' owner.
void Peers::fail_requests(uint64_t connection, const Error& why) {
  for (auto it = requests_.begin(); it != requests_.end();) {
    if (it->second.connection != connection) {
      ++it;
      continue;
    }
    PendingRequest request = std::move(it->second);
    it = requests_.erase(it);
    world_.loop.cancel(request.timer);
    if (Peer* peer = find(request.node)) --peer->requests_out;
    world_.loop.post([done = std::move(request.done), context = why.context]() mutable {
      done(fail(Errc::connection_lost, std::move(context)));
    });
  }
}

void Peers::handle_requests(uint16_t kind, RequestHandler handler) {
  REQUIRE(!request_handlers_.contains(kind), kind);
  request_handlers_[kind] = std::move(handler);
}

void Peers::handle_notices(uint16_t kind, NoticeHandler handler) {
  REQUIRE(!notice_handlers_.contains(kind), kind);
  notice_handlers_[kind] = std::move(handler);
}

void Peers::received(Connection& connection, Frame frame) {
  switch (frame.kind) {
    case FrameKind::handshake:
    case FrameKind::ping: return;
    case FrameKind::call: return on_call(connection, std::move(frame));
    case FrameKind::raft: {
      auto message = codec_.decode_raft(frame);
      if (!message) return end_corrupt(connection, message.error());
      const Identity& other = connection.found().other;
      if (message->from.node != other.node || message->from.storage != other.storage) {
        ++stats_.foreign_messages;
        return;
      }
      return observer_.raft_message(*std::move(message));
    }
  }
}

void Peers::on_call(Connection& connection, Frame frame) {
  auto head = codec_.decode_call(frame.body);
  if (!head) return end_corrupt(connection, head.error());
  if (frame.attachments.empty())
    return end_corrupt(connection, {Errc::corrupt, "a call without its body"});
  if (const auto* request = std::get_if<RequestHead>(&*head))
    return on_request(connection, *request, std::move(frame));
  if (auto* response = std::get_if<ResponseHead>(&*head))
    return on_response(connection, std::move(*response), std::move(frame));
  const uint16_t kind = std::get<NoticeHead>(*head).kind;
  const auto handler = notice_handlers_.find(kind);
  if (handler == notice_handlers_.end()) {
    ++stats_.notices_dropped;
    return;
  }
  Slice body = std::move(frame.attachments.front());
  frame.attachments.erase(frame.attachments.begin());
  const Identity from = connection.found().other;
  handler->second(from, {kind, std::move(body), std::move(frame.attachments)});
}

void Peers::on_request(Connection& connection, const RequestHead& head, Frame frame) {
  const Identity from = connection.found().other;
  const uint64_t connection_id = connection.id();
  const uint64_t id = head.id;
  if (++connection.requests_in > options_.requests_max)
    return answer(connection_id, id, fail(Errc::overloaded, "too many requests at a time"));
  const auto handler = request_handlers_.find(head.kind);
  if (handler == request_handlers_.end()) {
    return answer(connection_id, id,
                  fail(Errc::unsupported,
                       "this broker knows no request of kind " + std::to_string(head.kind)));
  }
  Slice body = std::move(frame.attachments.front());
  frame.attachments.erase(frame.attachments.begin());
  handler->second(from, {head.kind, std::move(body), std::move(frame.attachments)},
                  scope_.wrap([this, connection_id, id](Result<Reply> reply) {
                    answer(connection_id, id, std::move(reply));
                  }));
}

void Peers::answer(uint64_t connection_id, uint64_t id, Result<Reply> reply) {
  const auto it = connections_.find(connection_id);
  if (it == connections_.end() || !it->second->open()) return;
  Connection& connection = *it->second;
  --connection.requests_in;
  Status sent;
  if (reply) {
    sent = send_on(connection,
                   call_frame(codec_, ResponseHead{id, std::nullopt}, std::move(reply->body),
                              std::move(reply->attachments)),
                   Connection::Bound::full_queue);
    if (sent) return;
  }
  // An error is small, and there is at most one for each request: it is sent whatever the queue holds.
  Error error = reply ? std::move(sent.error()) : std::move(reply.error());
  sent = send_on(connection, call_frame(codec_, ResponseHead{id, std::move(error)}, {}, {}),
                 Connection::Bound::none);
  ASSERT(sent.has_value());
}

void Peers::on_response(Connection& connection, ResponseHead head, Frame frame) {
  const auto it = requests_.find(head.id);
  if (it == requests_.end() || it->second.connection != connection.id()) {
    ++stats_.answers_late;
    return;
  }
  if (head.error) return finish_request(head.id, fail(*std::move(head.error)));
  Reply reply;
  reply.body = std::move(frame.attachments.front());
  frame.attachments.erase(frame.attachments.begin());
  reply.attachments = std::move(frame.attachments);
  finish_request(head.id, std::move(reply));
}

void Peers::end_corrupt(Connection& connection, const Error& why) {
  connection.close();
  closed(connection, CloseCause::corrupt, why);
}

}  // namespace bascule::peers
