// Who wants to know which streams there are: the recorder and other front ends.
//
// Each is told first of the streams that exist, then of every change, in turns of their own. A stream
// may be told twice; a removal is told for every stream that was told, and for no other.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "src/base/ids.h"
#include "src/broker/api.h"
#include "src/controller/metadata_table.h"
#include "src/env/loop.h"

namespace bascule::broker {

class StreamObservers {
 public:
  // Both outlive this.
  StreamObservers(env::Loop& loop, const controller::MetadataTable& table);

  void observe(StreamObserver& observer);
  void forget(StreamObserver& observer);
  // The table has changed, in this turn of the controller's.
  void changed(const std::vector<controller::Change>& changes);

 private:
  struct Entry {
    StreamObserver* observer = nullptr;  // null: forgotten
    bool began = false;                  // told of the streams that exist
    std::set<StreamId> told;
  };

  void begin(Entry& entry);
  void tell(Entry& entry, StreamId stream);

  env::Loop& loop_;
  const controller::MetadataTable& table_;
  std::vector<std::shared_ptr<Entry>> entries_;
  env::Scope scope_;
};

}  // namespace bascule::broker
