// Any bytes as each file of a log: manifest, `logs`, index, frame, and a segment under a manifest that
// lists it. As they are, and once more with their checksum made right. An error, or a value that encodes
// to what decodes to the same; looking through a segment ends, and finds only what verifies.
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "sim/world/node.h"
#include "src/base/codec.h"
#include "src/base/crc32c.h"
#include "src/log/format.h"
#include "src/log/index.h"
#include "src/log/inspect.h"

using namespace bascule;

namespace {

constexpr Uuid k_log_id{{0x1234, 0x5678}};
constexpr Uuid k_nonce{{0x9abc, 0xdef0}};
constexpr size_t k_small_header_bytes = 12;

void expect(bool condition) {
  if (!condition) std::abort();
}

void as_small_files(ByteView bytes) {
  if (const auto manifest = log::decode_manifest(bytes)) {
    const auto back = log::decode_manifest(log::encode_manifest(*manifest));
    expect(back.has_value() && *back == *manifest);
  }
  if (const auto logs = log::decode_logs(bytes)) {
    const auto back = log::decode_logs(log::encode_logs(*logs));
    expect(back.has_value() && *back == *logs);
  }
  if (const auto index = log::SegmentIndex::decode(bytes, k_nonce, 4096)) {
    const auto back = log::SegmentIndex::decode(index->encode(k_nonce), k_nonce, 4096);
    expect(back.has_value() && *back == *index);
  }
  (void)log::decode_any_frame(bytes, 0);
  const std::string_view name = as_text(bytes);
  if (const auto id = log::parse_segment_file_name(name, ".log"))
    expect(log::segment_file_name(*id) == name);
  (void)log::parse_log_directory_name(name);
  (void)log::parse_quarantine_number(name);
}

void with_checksum(ByteView bytes) {
  if (bytes.size() < k_small_header_bytes) return;
  Bytes sealed(bytes.begin(), bytes.end());
  store_le<uint32_t>(sealed.data() + 8, crc32c(ByteView(sealed).subspan(k_small_header_bytes)));
  as_small_files(sealed);
}

// The frames in `bytes` get the nonce, the place and the checksum that make them frames of the file.
Bytes framed(ByteView bytes) {
  Bytes file(bytes.begin(), bytes.end());
  const uint32_t seed = model::batch_crc_seed(k_log_id);
  for (size_t at = 0; at + log::k_frame_bytes <= file.size(); at += log::k_group_alignment) {
    const ByteView here = ByteView(file).subspan(at, log::k_frame_bytes);
    if (load_le<uint32_t>(here.data()) != 0x46637342) continue;
    log::Frame frame;
    frame.nonce = k_nonce;
    frame.position = at;
    frame.write_number = load_le<uint64_t>(here.data() + 24);
    frame.batch_bytes = load_le<uint32_t>(here.data() + 40);
    frame.batch_count = load_le<uint32_t>(here.data() + 44);
    frame.first = Offset(load_le<uint64_t>(here.data() + 48));
    frame.durable_leo = Offset(load_le<uint64_t>(here.data() + 56));
    frame.headers_crc = load_le<uint32_t>(here.data() + 64);
    log::encode_frame(frame, seed, MutableBytes(file).subspan(at, log::k_frame_bytes));
  }
  return file;
}

void put(sim::Storage& storage, const std::string& path, ByteView bytes) {
  const auto inode = storage.open(path, env::OpenMode::create_new);
  expect(inode.has_value() && storage.write_cached(*inode, 0, bytes).has_value());
}

void as_segment(ByteView bytes) {
  log::Manifest manifest;
  manifest.partition = {StreamId(7), PartitionIndex(1)};
  manifest.assignment = AssignmentId(3);
  manifest.log_id = k_log_id;
  manifest.recovery_segment = 1;
  manifest.next_segment_id = 2;
  log::SegmentEntry entry;
  entry.id = 1;
  entry.nonce = k_nonce;
  entry.based = true;
  manifest.segments = {entry};
  struct Idle final : sim::Program {};
  sim::Simulation sim(1);
  sim::Node& node = sim.add_node({.disk = {}});
  node.start([](env::World&) { return std::make_unique<Idle>(); });
  sim.run_until(milliseconds(1));
  sim::Storage& storage = node.device().storage();
  expect(storage.make_dir("logs/7-1-3").has_value());
  put(storage, "logs/7-1-3/manifest", log::encode_manifest(manifest));
  put(storage, "logs/7-1-3/" + log::segment_file_name(1), bytes);
  bool ended = false;
  const auto visit = [](const model::BatchHeader& header, ByteView batch, uint64_t, uint64_t) {
    expect(batch.size() == header.total_bytes && model::batch_body_matches(header, batch));
  };
  node.world().loop.post([&] {
    log::inspect_log(node.world(), "logs", {manifest.partition, manifest.assignment}, visit,
                     [&](Result<log::InspectedLog> found) {
                       ended = true;
                       if (found) expect(found->segments.size() == 1);
                     });
  });
  expect(sim.run_until_true(sim.now() + seconds(600), [&] { return ended; }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(data, size);
  as_small_files(bytes);
  with_checksum(bytes);
  if (size > (64 << 10)) return 0;
  as_segment(bytes);
  as_segment(framed(bytes));
  return 0;
}
