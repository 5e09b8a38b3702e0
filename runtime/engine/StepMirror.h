// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_STEPMIRROR_H
#define FDPP_RUNTIME_ENGINE_STEPMIRROR_H

#include "Device.h"
#include "PhiBank.h"
#include "fdpp-runtime/model_abi.h"

#include <cstdint>

namespace fdpp::runtime {

/// What a step's [device] arrays are on a device with memory of its own: one
/// block that goes there in one copy, and logits and counters that come back.
class StepMirror {
public:
  /// For steps of at most `sequences`, each with `maxPages` pages, of a model
  /// that writes fdpp_step::picks or does not.
  StepMirror(Device &device, const fdpp_model_limits &limits, int32_t sequences,
             int32_t maxPages, PhiBank &phi, bool picks);

  /// Sends the arrays and the numbers phi. Returns the step that names the
  /// device's; it stays valid until the next call.
  fdpp_step &send(const fdpp_step &step);
  /// Waits for the step that was sent; its recomputed rows are with PhiBank's
  /// then.
  void receive();
  /// The logits of the received step's rows.
  void receiveLogits(float *to);
  /// Of a received step's row: its largest logit's id, -1 where that is not
  /// finite. Only of a model that picks.
  int32_t pick(int64_t row) const {
    return static_cast<const int32_t *>(picked.data())[row];
  }
  /// PhiBank's counters, which were changed here, for the device.
  void sendCounters();

private:
  const int32_t *stage(const int32_t *array, int64_t count);

  Device &device;
  PhiBank &phi;
  const int64_t vocabulary, heads;
  const bool picks;
  StagingMemory staging, picked;
  DeviceMemory arrays, logits, counters, phiThere, picksThere;
  fdpp_step sent = {};
  int64_t used = 0;          // words of staging
  int32_t sentSwitched = -1; // PhiBank::switched() of what phiThere holds
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_STEPMIRROR_H
