// Any bytes as a snapshot of the metadata table: an error, or a state that is refused by name or restores to
// a table which encodes again to the same one.
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "capnp/command_codec.h"
#include "src/controller/metadata_table.h"

using namespace bascule;

namespace {

void expect(bool condition) {
  if (!condition) std::abort();
}

void as_snapshot(ByteView bytes) {
  const capnp_codec::MetadataCodec codec;
  auto state = codec.decode_snapshot(bytes);
  if (!state) return;
  const auto table = controller::MetadataTable::restore(std::move(*state));
  if (!table) return;
  const auto again = codec.encode_snapshot(table->state());
  expect(again.has_value());
  const auto back = codec.decode_snapshot(*again);
  expect(back.has_value() && controller::state_hash(*back) == table->hash());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  as_snapshot({data, size});
  return 0;
}
