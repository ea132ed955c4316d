// What a leader checks of a client's batch before it appends: everything, because from the append on
// the batch is history. All errors here are definite.
#pragma once

#include <cstdint>

#include "src/base/bytes.h"
#include "src/base/result.h"
#include "src/model/batch.h"

namespace bascule::partition {

// `batch` is one batch as a client makes it: base offset, epoch and append time 0, sealed with the null
// id. Checks both CRCs, the fields, every record, and that no value is over `message_bytes_max`
// (0: the format's own bound). Errors: corrupt, unsupported, invalid, too_large.
Result<model::BatchHeader> check_client_batch(ByteView batch, uint32_t message_bytes_max);

}  // namespace bascule::partition
