// Any bytes as a metadata command: an error, or a value that encodes again to the same value and that the
// table applies or refuses without losing an invariant. Snapshots: snapshot_fuzz.cc.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "capnp/command_codec.h"
#include "src/controller/metadata_table.h"

using namespace bascule;

namespace {

void expect(bool condition) {
  if (!condition) std::abort();
}

controller::MetadataTable small_table() {
  controller::MetadataTable table(Uuid{{1, 1}});
  for (uint32_t n : {1, 2, 3}) {
    controller::RegisterBroker c;
    c.node = NodeId(n);
    c.storage = Uuid{{2, n}};
    c.incarnation = Incarnation(1);
    c.host = "h" + std::to_string(n);
    c.features = {1, 2};
    (void)table.apply(Index(2 * n - 1), c);
    (void)table.apply(Index(2 * n), controller::UnfenceBroker{NodeId(n), Incarnation(1)});
  }
  model::StreamConfig config;
  config.name = "orders";
  config.subjects = {"orders.*"};
  config.partitions = 2;
  config.replicas = 3;
  config.min_isr = 2;
  expect(table.apply(Index(7), controller::CreateStream{config, Uuid{{3, 3}}, WallTime{1}})
             .outcome.has_value());
  return table;
}

void as_command(ByteView bytes) {
  const capnp_codec::MetadataCodec codec;
  const auto command = codec.decode_command(bytes);
  if (!command) return;
  const auto again = codec.encode_command(*command);
  expect(again.has_value());
  const auto back = codec.decode_command(*again);
  expect(back.has_value() && *back == *command);
  controller::MetadataTable table = small_table();
  (void)table.apply(Index(8), *command);
  expect(table.find_broken_invariant().has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  as_command({data, size});
  return 0;
}
