// A start of the controller: who this directory is, then its metadata; or the formatting of an empty one.
//
// Formatting makes the metadata log first and `identity` last. So a directory without `identity` holds
// either nothing, or a log that was never opened, or it has lost its identity: then it is refused, since a
// new one would turn everything that it holds into another broker's.
#include <memory>
#include <string>
#include <utility>

#include "src/controller/controller.h"

namespace bascule::controller {

namespace {

using log::call;
using log::Co;

constexpr uint64_t k_identity_bytes_max = 64 << 10;

Co<Slice> read_small(env::Disk& disk, std::string name) {
  auto bytes = co_await call<Slice>([&disk, &name](env::Done<Slice> done) {
    env::read_file(disk, name, k_identity_bytes_max, std::move(done));
  });
  if (!bytes && bytes.error().code != Errc::not_found)
    co_return fail(bytes.error().code, "the file '" + name + "' cannot be read");
  co_return bytes;
}

Co<void> write_small(env::Disk& disk, std::string name, Bytes contents) {
  const Slice bytes = Slice::copy_of(contents);
  co_return co_await call<void>([&disk, &name, &bytes](env::Done<void> done) {
    env::replace_file(disk, "", name, bytes, std::move(done));
  });
}

}  // namespace

struct ControllerOpening {
  ControllerOpening(env::World& w, ControllerOptions o, const CommandCodec& c)
      : world(w), options(std::move(o)), codec(c), scope(w.loop) {}

  Co<void> run() {
    // What a dead life renamed is visible, and perhaps not durable.
    auto synced = co_await call<void>(
        [this](env::Done<void> done) { world.disk.sync_dir("", std::move(done)); });
    if (!synced) co_return synced;
    auto file = co_await read_small(world.disk, "identity");
    if (!file && file.error().code == Errc::not_found) {
      auto formatted = co_await format();
      if (!formatted) co_return formatted;
      file = co_await read_small(world.disk, "identity");
    }
    if (!file) co_return fail(std::move(file.error()));
    auto identity = decode_identity(*file);
    if (!identity) co_return fail(std::move(identity.error()));
    if (identity->node != options.node)
      co_return fail(Errc::invalid, "the data directory is of node " + identity->node.to_string() +
                                        ", not " + options.node.to_string());
    co_return co_await open_log(*identity);
  }

  Co<void> format() {
    auto entries = co_await call<std::vector<env::DirEntry>>(
        [this](auto done) { world.disk.list("", std::move(done)); });
    if (!entries) co_return fail(std::move(entries.error()));
    for (const env::DirEntry& e : *entries) {
      if (e.is_directory && e.name != options.log.directory)
        co_return fail(Errc::corrupt, "the data directory holds '" + e.name +
                                          "' and has lost its file 'identity'");
    }
    Identity identity{options.node, world.random.uuid(), world.random.uuid()};
    auto status = co_await call<void>([this, &identity](env::Done<void> done) {
      format_local_metadata_log(world, options.log, identity.storage, std::move(done));
    });
    if (!status && status.error().code == Errc::corrupt)
      co_return fail(Errc::corrupt,
                     "the data directory has lost its file 'identity': " + status.error().context);
    if (status)
      status =
          co_await write_small(world.disk, "incarnation", encode_incarnation(identity.storage, {}));
    if (status) status = co_await write_small(world.disk, "identity", encode_identity(identity));
    if (status) world.trace.probe("controller.formatted");
    co_return status;
  }

  Co<void> open_log(Identity identity) {
    auto file = co_await read_small(world.disk, "incarnation");
    if (!file) co_return fail(Errc::corrupt, file.error().context + ": 'incarnation' is lost");
    auto persisted = decode_incarnation(identity.storage, *file);
    if (!persisted) co_return fail(std::move(persisted.error()));
    controller.reset(new Controller(world, options, codec, identity, *persisted));
    auto opened = co_await call<std::unique_ptr<MetadataLog>>([this, &identity](auto done) {
      open_local_metadata_log(world, options.log, identity.storage, *controller, std::move(done));
    });
    if (!opened && opened.error().code == Errc::not_found)
      co_return fail(Errc::corrupt, "the metadata is lost: " + opened.error().context);
    if (!opened) co_return fail(std::move(opened.error()));
    controller->log_ = std::move(*opened);
    controller->maybe_snapshot();
    co_return Status();
  }

  env::World& world;
  const ControllerOptions options;
  const CommandCodec& codec;
  std::unique_ptr<Controller> controller;
  log::CoScope scope;
};

void open_controller(env::World& world, ControllerOptions options, const CommandCodec& codec,
                     env::Done<std::unique_ptr<Controller>> done) {
  // The scope outlives the opening: it belongs to the completion.
  auto opening = std::make_shared<ControllerOpening>(world, std::move(options), codec);
  opening->scope.spawn<void>(
      opening->run(), [opening, done = std::move(done)](Status status) mutable {
        Result<std::unique_ptr<Controller>> result = fail(Errc::internal);
        if (status) {
          result = std::move(opening->controller);
        } else {
          result = fail(std::move(status.error()));
        }
        opening->world.loop.post([done = std::move(done), result = std::move(result)]() mutable {
          done(std::move(result));
        });
      });
}

}  // namespace bascule::controller
