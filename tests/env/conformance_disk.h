// Steps of the disk suites: operations that are waited for, and test data.
#pragma once

#include "tests/env/conformance.h"

namespace bascule::env {

// Bytes that tell where they came from, aligned for direct writes.
inline Slice pattern(uint64_t seed, size_t size) {
  BufferRef buffer = BufferRef::allocate(size, k_block_bytes);
  MutableBytes bytes = buffer.mutable_bytes();
  for (size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<uint8_t>(mix64(seed + i / 8) >> (8 * (i % 8)));
  return buffer;
}

inline std::string text_of(const Slice& slice) { return to_string(slice); }
inline Slice slice_of(std::string_view text) { return Slice::copy_of(as_bytes(text)); }

// Each gives what the operation gave; an operation that never completes is the error `internal`.
template <class T, class F>
Result<T> completed(WorldHarness& harness, F start) {
  auto result = wait<T>(harness, std::move(start));
  if (!result) return fail(Errc::internal, "the operation never completed");
  return std::move(*result);
}

inline Errc code_of(const auto& result) { return result ? Errc{} : result.error().code; }

class DiskSteps {
 public:
  explicit DiskSteps(WorldHarness& harness) : harness_(harness) {}

  Result<std::unique_ptr<File>> open(std::string path, OpenMode mode) {
    return completed<std::unique_ptr<File>>(
        harness_, [&](auto done) { disk().open(std::move(path), mode, std::move(done)); });
  }
  Status write(File& file, uint64_t position, std::vector<Slice> pieces, Sync sync = Sync::no) {
    return completed<void>(harness_, [&](auto done) {
      file.write_at(position, std::move(pieces), sync, std::move(done));
    });
  }
  Result<Slice> read(File& file, uint64_t position, size_t size) {
    return completed<Slice>(harness_,
                            [&](auto done) { file.read_at(position, size, std::move(done)); });
  }
  std::string read_text(File& file, uint64_t position, size_t size) {
    const Result<Slice> r = read(file, position, size);
    return r ? text_of(*r) : "error " + r.error().to_string();
  }
  Status sync(File& file) {
    return completed<void>(harness_, [&](auto done) { file.sync(std::move(done)); });
  }
  Status reserve(File& file, uint64_t size) {
    return completed<void>(harness_, [&](auto done) { file.reserve(size, std::move(done)); });
  }
  Status truncate(File& file, uint64_t size) {
    return completed<void>(harness_, [&](auto done) { file.truncate(size, std::move(done)); });
  }
  Result<uint64_t> size(File& file) {
    return completed<uint64_t>(harness_, [&](auto done) { file.size(std::move(done)); });
  }
  Status make_dir(std::string path) {
    return completed<void>(harness_,
                           [&](auto done) { disk().make_dir(std::move(path), std::move(done)); });
  }
  Result<std::vector<DirEntry>> list(std::string path) {
    return completed<std::vector<DirEntry>>(
        harness_, [&](auto done) { disk().list(std::move(path), std::move(done)); });
  }
  Status rename(std::string from, std::string to) {
    return completed<void>(harness_, [&](auto done) {
      disk().rename(std::move(from), std::move(to), std::move(done));
    });
  }
  Status remove(std::string path) {
    return completed<void>(harness_,
                           [&](auto done) { disk().remove(std::move(path), std::move(done)); });
  }
  Status sync_dir(std::string path) {
    return completed<void>(harness_,
                           [&](auto done) { disk().sync_dir(std::move(path), std::move(done)); });
  }
  Result<uint64_t> free_bytes() {
    return completed<uint64_t>(harness_, [&](auto done) { disk().free_bytes(std::move(done)); });
  }
  Status lock(Disk& of) {
    return completed<void>(harness_, [&](auto done) { of.lock(std::move(done)); });
  }
  Status replace(std::string directory, std::string name, std::string_view contents) {
    return completed<void>(harness_, [&](auto done) {
      replace_file(disk(), std::move(directory), std::move(name), slice_of(contents),
                   std::move(done));
    });
  }
  Result<Slice> read_whole(std::string path, uint64_t bytes_max = 1 << 20) {
    return completed<Slice>(harness_, [&](auto done) {
      read_file(disk(), std::move(path), bytes_max, std::move(done));
    });
  }
  // The whole file as text; "absent" where it is not there.
  std::string text_at(std::string path) {
    const Result<Slice> r = read_whole(std::move(path));
    if (r) return text_of(*r);
    return r.error().code == Errc::not_found ? "absent" : "error " + r.error().to_string();
  }
  // A file with these contents, in the page cache alone.
  void put(std::string path, std::string_view contents) {
    auto file = open(std::move(path), OpenMode::create_or_open);
    ASSERT_TRUE(file.has_value()) << file.error().to_string();
    const Status written = write(**file, 0, {slice_of(contents)});
    ASSERT_TRUE(written.has_value()) << written.error().to_string();
  }

 private:
  Disk& disk() { return harness_.world().disk; }

  WorldHarness& harness_;
};

}  // namespace bascule::env

// An operation that must succeed, and says why it did not.
#define BASCULE_OK(expression)                                             \
  do {                                                                     \
    const auto& ok_result_ = (expression);                                 \
    ASSERT_TRUE(ok_result_.has_value()) << ok_result_.error().to_string(); \
  } while (false)
