#include "sim/worlds/raft/command_chain.h"

#include "sim/oracles/raft_history.h"
#include "src/base/codec.h"
#include "src/base/prng.h"

namespace bascule::sim {
namespace {

constexpr size_t k_head_bytes = 16;

void fill(Bytes& out, uint64_t seed, size_t until) {
  while (out.size() < until) {
    const uint64_t word = mix64(seed ^ out.size());
    for (size_t i = 0; i < 8 && out.size() < until; ++i)
      out.push_back(static_cast<uint8_t>(word >> (8 * i)));
  }
}

}  // namespace

Slice make_command(uint64_t number, size_t bytes) {
  Bytes out;
  Writer(out).fixed(number);
  fill(out, number, 8 + bytes);
  return Slice::copy_of(out);
}

uint64_t command_number(ByteView data) {
  return data.size() < 8 ? 0 : load_le<uint64_t>(data.data());
}

void CommandChain::apply(Index index, Term term, raft::EntryKind kind, ByteView data) {
  index_ = index;
  chain_ = chain_of(chain_, index, term, kind, data);
}

Slice CommandChain::snapshot() const {
  Bytes out;
  Writer writer(out);
  writer.fixed(index_.value);
  writer.fixed(chain_);
  fill(out, chain_, k_head_bytes + padding_);
  return Slice::copy_of(out);
}

Status CommandChain::restore(Index index, ByteView snapshot) {
  Reader from(snapshot);
  const Index there(from.fixed<uint64_t>());
  const auto chain = from.fixed<uint64_t>();
  if (from.failed() || there != index) return fail(Errc::corrupt, "snapshot of another index");
  Bytes expected;
  Writer writer(expected);
  writer.fixed(index.value);
  writer.fixed(chain);
  fill(expected, chain, snapshot.size());
  if (!equal(expected, snapshot)) return fail(Errc::corrupt, "snapshot's bytes");
  index_ = index;
  chain_ = chain;
  return {};
}

}  // namespace bascule::sim
