// What every world's byte streams keep.
#include <algorithm>
#include <cstring>
#include <deque>

#include "tests/env/conformance.h"

namespace bascule::env {
namespace {

constexpr Duration k_timeout = seconds(5);

// A stretch of one endless sequence of bytes, with a period that no size of a buffer or a piece divides.
constexpr size_t k_period = 65'521;

const Bytes& period() {
  static const Bytes bytes = [] {
    Bytes made(k_period);
    for (size_t i = 0; i < k_period; ++i) made[i] = static_cast<uint8_t>(mix64(i));
    return made;
  }();
  return bytes;
}

Slice stretch(uint64_t from, size_t size) {
  BufferRef buffer = BufferRef::allocate(size);
  MutableBytes bytes = buffer.mutable_bytes();
  for (size_t at = 0; at < size;) {
    const auto phase = static_cast<size_t>((from + at) % k_period);
    const size_t step = std::min(size - at, k_period - phase);
    std::memcpy(bytes.data() + at, period().data() + phase, step);
    at += step;
  }
  return buffer;
}

Slice slice_of(std::string_view text) { return Slice::copy_of(as_bytes(text)); }

// Reads a stream to its end, all the time, and keeps or only checks what comes.
struct Sink {
  explicit Sink(size_t buffer_size = 64 * 1024) : buffer(buffer_size) {}

  void start(Stream& s) {
    stream = &s;
    next();
  }
  void next() {
    stream->read(buffer, [this](Result<size_t> r) {
      ++reads;
      if (!r) {
        error = r.error().code;
        return;
      }
      if (*r == 0) {
        ended = true;
        return;
      }
      if (keep) text.append(reinterpret_cast<const char*>(buffer.data()), *r);
      if (!keep && !equal(ByteView(buffer.data(), *r), stretch(bytes, *r))) ++wrong;
      bytes += *r;
      next();
    });
  }
  bool over() const { return ended || error != Errc{}; }

  Stream* stream = nullptr;
  Bytes buffer;
  bool keep = true;
  std::string text;
  uint64_t bytes = 0;
  uint64_t wrong = 0;  // reads whose bytes were not the sequence's
  uint64_t reads = 0;
  bool ended = false;
  Errc error{};
};

// A listener, and pairs of connected streams through it.
class Pairs {
 public:
  Pairs(WorldHarness& harness, Network& network) : harness_(harness), network_(network) {
    auto r = wait<std::unique_ptr<Listener>>(harness_, [&](auto done) {
      network_.listen(
          {harness_.host(), 0},
          [this](std::unique_ptr<Stream> s) { accepted.push_back(std::move(s)); }, std::move(done));
    });
    if (r && *r) listener = std::move(**r);
  }

  // Connects; the client's stream is returned, the server's is at the back of `accepted`.
  std::unique_ptr<Stream> connect() {
    if (!listener) return nullptr;
    const size_t before = accepted.size();
    auto r = wait<std::unique_ptr<Stream>>(harness_, [&](auto done) {
      network_.connect(listener->address(), k_timeout, std::move(done));
    });
    if (!r || !*r) return nullptr;
    harness_.run_until([&] { return accepted.size() > before; }, k_patience);
    return std::move(**r);
  }

  std::deque<std::unique_ptr<Stream>> accepted;
  std::unique_ptr<Listener> listener;

 private:
  WorldHarness& harness_;
  Network& network_;
};

// One connection: `near` connected to `far`.
class Pair : public Pairs {
 public:
  Pair(WorldHarness& harness, Network& network) : Pairs(harness, network) {
    near = connect();
    if (!accepted.empty()) far = std::move(accepted.back());
  }
  bool good() const { return near && far; }
  std::unique_ptr<Stream> near;
  std::unique_ptr<Stream> far;
};

TEST_P(NetworkConformance, a_listener_tells_the_port_that_was_picked) {
  Pairs pairs(*harness_, network());
  ASSERT_TRUE(pairs.listener);
  EXPECT_NE(pairs.listener->address().port, 0);
  EXPECT_EQ(pairs.listener->address().host, harness_->host());
  auto client = pairs.connect();
  ASSERT_TRUE(client);
  EXPECT_EQ(client->peer(), pairs.listener->address());
}

TEST_P(NetworkConformance, a_port_in_use_is_told) {
  Pairs pairs(*harness_, network());
  ASSERT_TRUE(pairs.listener);
  auto again = wait<std::unique_ptr<Listener>>(*harness_, [&](auto done) {
    network().listen(pairs.listener->address(), [](auto) {}, std::move(done));
  });
  ASSERT_TRUE(again.has_value());
  ASSERT_FALSE(again->has_value());
  EXPECT_EQ(again->error().code, Errc::already_exists);
}

TEST_P(NetworkConformance, where_nobody_listens_a_connect_is_refused) {
  Pairs pairs(*harness_, network());
  ASSERT_TRUE(pairs.listener);
  const Address address = pairs.listener->address();
  pairs.listener.reset();
  auto r = wait<std::unique_ptr<Stream>>(
      *harness_, [&](auto done) { network().connect(address, k_timeout, std::move(done)); });
  ASSERT_TRUE(r.has_value());
  ASSERT_FALSE(r->has_value());
  EXPECT_EQ(r->error().code, Errc::connection_refused);
}

TEST_P(NetworkConformance, a_port_can_be_listened_on_again_at_once) {
  Pairs pairs(*harness_, network());
  auto client = pairs.connect();
  ASSERT_TRUE(client);
  const Address address = pairs.listener->address();
  pairs.accepted.clear();  // the side that closes first keeps the connection's remains
  pairs.listener.reset();
  auto again = wait<std::unique_ptr<Listener>>(
      *harness_, [&](auto done) { network().listen(address, [](auto) {}, std::move(done)); });
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(again->has_value()) << again->error().to_string();
}

TEST_P(NetworkConformance, no_completion_runs_inside_the_call) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  bool inside = true;
  int done = 0;
  Bytes buffer(100);
  const auto note = [&](const auto&) {
    EXPECT_FALSE(inside);
    ++done;
  };
  pair.far->write({slice_of("ready to be read")}, [](Status) {});
  run_for(milliseconds(20));
  std::unique_ptr<Stream> other;
  loop().post([&] {
    inside = true;
    pair.near->read(buffer, note);
    pair.near->write({slice_of("x")}, note);
    pair.near->write({}, note);
    network().listen({harness_->host(), 0}, [](auto) {}, note);
    network().connect(pair.listener->address(), k_timeout, note);
    network().connect({harness_->host(), 1}, k_timeout, note);
    inside = false;
  });
  EXPECT_TRUE(run_until([&] { return done == 6; })) << done;
}

TEST_P(NetworkConformance, bytes_arrive_in_order_whatever_the_pieces) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  Sink sink(1'000);
  sink.keep = false;
  sink.start(*pair.far);
  Prng random(1);
  uint64_t sent = 0;
  uint64_t completed = 0;
  uint64_t writes = 0;
  std::function<void()> some = [&] {
    for (int i = 0; i < 20; ++i) {
      std::vector<Slice> pieces;
      for (uint64_t k = random.below(5); k > 0; --k) {
        pieces.push_back(stretch(sent, random.below(3'000)));
        sent += pieces.back().size();
      }
      const uint64_t number = writes++;
      pair.near->write(std::move(pieces), [&, number](Status s) {
        EXPECT_TRUE(s.has_value());
        EXPECT_EQ(number, completed) << "completions keep the order of the writes";
        ++completed;
      });
    }
    if (writes < 2'000) loop().post([&] { some(); });
  };
  some();
  ASSERT_TRUE(run_until([&] { return completed == 2'000 && sink.bytes == sent; }))
      << sink.bytes << " of " << sent;
  EXPECT_EQ(sink.wrong, 0u);
}

TEST_P(NetworkConformance, sixty_four_mebibytes_cross_both_ways_at_once) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  constexpr uint64_t k_total = uint64_t{64} << 20;
  constexpr size_t k_piece = 1 << 20;
  Sink sinks[2];
  Stream* streams[2] = {pair.near.get(), pair.far.get()};
  uint64_t sent[2] = {0, 0};
  std::function<void(int)> next = [&](int side) {
    if (sent[side] == k_total) return streams[side]->shutdown();
    const uint64_t from = sent[side];
    sent[side] += k_piece;
    streams[side]->write({stretch(from, k_piece)}, [&, side](Status s) {
      EXPECT_TRUE(s.has_value());
      if (s) next(side);
    });
    EXPECT_LE(streams[side]->queued_bytes(), k_piece);
  };
  for (int side : {0, 1}) {
    sinks[side].keep = false;
    sinks[side].start(*streams[side]);
    next(side);
  }
  ASSERT_TRUE(run_until([&] { return sinks[0].over() && sinks[1].over(); }));
  for (const Sink& sink : sinks) {
    EXPECT_TRUE(sink.ended);
    EXPECT_EQ(sink.bytes, k_total);
    EXPECT_EQ(sink.wrong, 0u);
  }
}

TEST_P(NetworkConformance, small_writes_of_one_turn_leave_together) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  Sink sink;
  sink.start(*pair.far);
  run_for(milliseconds(5));
  std::string expected;
  loop().post([&] {
    for (int i = 0; i < 500; ++i) {
      const std::string text = std::to_string(i) + ",";
      expected += text;
      pair.near->write({slice_of(text)}, [](Status) {});
    }
  });
  ASSERT_TRUE(run_until([&] { return !expected.empty() && sink.text.size() == expected.size(); }));
  EXPECT_EQ(sink.text, expected);
  // Streams may split bytes anywhere, but not once per write.
  EXPECT_LT(sink.reads, 50u);
}

TEST_P(NetworkConformance, one_direction_may_end_before_the_other) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  Sink near;
  Sink far;
  far.start(*pair.far);
  near.start(*pair.near);
  pair.near->write({slice_of("question")}, [](Status) {});
  pair.near->shutdown();
  ASSERT_TRUE(run_until([&] { return far.ended; }));
  EXPECT_EQ(far.text, "question");
  EXPECT_FALSE(near.over());
  pair.far->write({slice_of("an answer after the end")}, [](Status) {});
  pair.far->shutdown();
  ASSERT_TRUE(run_until([&] { return near.ended; }));
  EXPECT_EQ(near.text, "an answer after the end");
}

TEST_P(NetworkConformance, a_read_after_the_end_is_the_end_again) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  pair.far->shutdown();
  Sink first;
  first.start(*pair.near);
  ASSERT_TRUE(run_until([&] { return first.ended; }));
  Sink second;
  second.start(*pair.near);
  EXPECT_TRUE(run_until([&] { return second.ended; }));
}

TEST_P(NetworkConformance, a_destroyed_peer_is_the_end_after_its_bytes) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  bool handed_over = false;
  pair.far->write({slice_of("last words")}, [&](Status) { handed_over = true; });
  ASSERT_TRUE(run_until([&] { return handed_over; }));
  pair.far.reset();
  Sink sink;
  sink.start(*pair.near);
  ASSERT_TRUE(run_until([&] { return sink.over(); }));
  EXPECT_TRUE(sink.ended);
  EXPECT_EQ(sink.text, "last words");
}

TEST_P(NetworkConformance, an_aborted_stream_is_lost_on_both_sides) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  Sink near;
  Sink far;
  far.start(*pair.far);
  near.start(*pair.near);
  run_for(milliseconds(5));
  Errc write_error{};
  loop().post([&] {
    pair.near->write({slice_of("never sent")},
                     [&](Status s) { write_error = s ? Errc{} : s.error().code; });
    pair.near->abort();
    EXPECT_FALSE(near.over()) << "a completion ran inside the call";
  });
  ASSERT_TRUE(run_until([&] { return near.over() && far.over() && write_error != Errc{}; }));
  EXPECT_EQ(near.error, Errc::connection_lost);
  EXPECT_EQ(far.error, Errc::connection_lost);
  EXPECT_EQ(write_error, Errc::connection_lost);
  EXPECT_EQ(pair.near->queued_bytes(), 0u);
  // And it stays so.
  Sink again;
  again.start(*pair.near);
  ASSERT_TRUE(run_until([&] { return again.over(); }));
  EXPECT_EQ(again.error, Errc::connection_lost);
  write_error = Errc{};
  pair.near->write({slice_of("x")}, [&](Status s) { write_error = s ? Errc{} : s.error().code; });
  EXPECT_TRUE(run_until([&] { return write_error == Errc::connection_lost; }));
}

TEST_P(NetworkConformance, writing_to_a_peer_that_is_gone_is_told_in_the_end) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  pair.far.reset();
  Errc error{};
  std::function<void()> next = [&] {
    pair.near->write({stretch(0, 1'000)}, [&](Status s) {
      if (s) {
        loop().after(milliseconds(1), [&] { next(); });
      } else {
        error = s.error().code;
      }
    });
  };
  next();
  ASSERT_TRUE(run_until([&] { return error != Errc{}; }));
  EXPECT_EQ(error, Errc::connection_lost);
}

TEST_P(NetworkConformance, queued_bytes_pile_up_while_nobody_reads_and_fall_when_somebody_does) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  constexpr size_t k_total = size_t{64} << 20;
  bool done = false;
  pair.near->write({stretch(0, k_total / 2), stretch(k_total / 2, k_total / 2)},
                   [&](Status s) { done = s.has_value(); });
  EXPECT_EQ(pair.near->queued_bytes(), k_total);
  run_for(milliseconds(200));
  const size_t stuck = pair.near->queued_bytes();
  EXPECT_GT(stuck, 0u) << "what the network takes unread is bounded";
  EXPECT_FALSE(done);
  Sink sink;
  sink.keep = false;
  sink.start(*pair.far);
  ASSERT_TRUE(run_until([&] { return pair.near->queued_bytes() < stuck; }));
  ASSERT_TRUE(run_until([&] { return done && sink.bytes == k_total; }));
  EXPECT_EQ(pair.near->queued_bytes(), 0u);
  EXPECT_EQ(sink.wrong, 0u);
}

TEST_P(NetworkConformance, a_destroyed_stream_drops_its_completions) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  bool called = false;
  Bytes buffer(100);
  pair.near->read(buffer, [&](Result<size_t>) { called = true; });
  pair.near->write({stretch(0, size_t{16} << 20)}, [&](Status) { called = true; });
  run_for(milliseconds(20));
  pair.near->write({slice_of("x")}, [&](Status) { called = true; });
  pair.far->write({slice_of("data for the read")}, [](Status) {});
  pair.near.reset();
  run_for(milliseconds(100));
  EXPECT_FALSE(called);
}

TEST_P(NetworkConformance, a_stream_may_be_destroyed_by_its_own_completion) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  Bytes buffer(100);
  bool read = false;
  bool written = false;
  pair.near->read(buffer, [&](Result<size_t>) {
    read = true;
    pair.near.reset();
  });
  pair.far->write({slice_of("x")}, [&](Status) {
    written = true;
    pair.far.reset();
  });
  EXPECT_TRUE(run_until([&] { return read && written; }));
  run_for(milliseconds(10));
}

TEST_P(NetworkConformance, a_destroyed_listener_accepts_nobody_and_its_streams_live_on) {
  Pair pair(*harness_, network());
  ASSERT_TRUE(pair.good());
  pair.listener.reset();
  Sink sink;
  sink.start(*pair.far);
  pair.near->write({slice_of("still here")}, [](Status) {});
  pair.near->shutdown();
  ASSERT_TRUE(run_until([&] { return sink.ended; }));
  EXPECT_EQ(sink.text, "still here");
}

TEST_P(NetworkConformance, many_connections_do_not_mix) {
  Pairs pairs(*harness_, network());
  constexpr size_t k_connections = 50;
  std::vector<std::unique_ptr<Stream>> clients;
  std::vector<std::unique_ptr<Sink>> client_sinks;
  std::vector<std::unique_ptr<Sink>> server_sinks;
  for (size_t i = 0; i < k_connections; ++i) {
    clients.push_back(pairs.connect());
    ASSERT_TRUE(clients.back());
    ASSERT_EQ(pairs.accepted.size(), i + 1);
    Stream& server = *pairs.accepted.back();
    server_sinks.push_back(std::make_unique<Sink>());
    client_sinks.push_back(std::make_unique<Sink>());
    server_sinks.back()->start(server);
    client_sinks.back()->start(*clients.back());
    clients.back()->write({slice_of("client " + std::to_string(i))}, [](Status) {});
    server.write({slice_of("server " + std::to_string(i))}, [](Status) {});
    clients.back()->shutdown();
    server.shutdown();
  }
  ASSERT_TRUE(run_until([&] {
    return std::ranges::all_of(client_sinks, [](const auto& s) { return s->ended; }) &&
           std::ranges::all_of(server_sinks, [](const auto& s) { return s->ended; });
  }));
  for (size_t i = 0; i < k_connections; ++i) {
    EXPECT_EQ(server_sinks[i]->text, "client " + std::to_string(i));
    EXPECT_EQ(client_sinks[i]->text, "server " + std::to_string(i));
  }
}

}  // namespace
}  // namespace bascule::env
